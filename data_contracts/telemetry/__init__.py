"""Telemetry: raw rows in, accepted points and rejected rows out; the bytes in which batches travel."""
