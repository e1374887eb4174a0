"""Telemetry simulator: a service call graph, its golden signals and resources, incidents, drift, and the truth about them."""
