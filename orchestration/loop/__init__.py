"""`aiops run`: the whole loop once, on simulated or recorded telemetry, with a report."""
