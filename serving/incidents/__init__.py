"""Alerts in, incidents kept, people told, answers over HTTP."""
