"""Processes that run all day: telemetry sources, the lake, BentoML services and the streaming consumer."""
