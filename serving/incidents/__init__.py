"""Alerts in, incidents kept, people notified, answers over HTTP."""
