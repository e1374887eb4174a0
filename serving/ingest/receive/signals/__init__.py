"""Logs and spans of OpenTelemetry: from a body to entries for the broker, each record checked; no I/O."""
