"""Back-tests of detectors on recorded telemetry, before anything pages."""
