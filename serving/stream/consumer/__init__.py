"""The thin streaming consumer: telemetry stream → tier 1 → candidates → BentoML → detections, exactly once."""
