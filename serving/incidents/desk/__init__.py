"""The responder: alerts become incidents, incidents get root causes, people are notified."""
