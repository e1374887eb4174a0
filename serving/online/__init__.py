"""Feast's online store, read and written in its own layout."""
