"""Telemetry in: sources that are read, and the producer that feeds the streams."""
