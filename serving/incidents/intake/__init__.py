"""Alerts of other systems in: Alertmanager's webhook and webhooks of any JSON layout."""
