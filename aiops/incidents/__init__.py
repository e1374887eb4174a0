"""Alerts, incidents, root cause reports, verdicts, and what is done with them."""
