"""Where telemetry comes from: one module a source, all behind `aiops.ports.TelemetrySource`."""
