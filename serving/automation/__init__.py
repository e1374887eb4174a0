"""Acting on incidents: actions on real targets, the durable run log, the process that runs plans, and its API."""
