"""Notifications out: what is told, to which channels, and that it arrives."""
