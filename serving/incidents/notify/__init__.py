"""Notifications out: what they say, to which channels they go, and that they arrive."""
