"""Series by service and minute from logs and spans, live: read from the streams of signals, appended to telemetry, each once."""
