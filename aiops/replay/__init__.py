"""Recorded telemetry: the clock of its events, and what of it is history."""
