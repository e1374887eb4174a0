"""Actions on a simulated application: the kinds that runbooks name, planned, probed, applied and undone without a real system."""
