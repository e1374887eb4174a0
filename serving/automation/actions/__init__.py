"""Kinds of actions: each can plan and probe by reading, acts by compare-and-swap, and takes back what can be taken back."""
