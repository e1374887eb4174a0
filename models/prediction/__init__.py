"""Incident prediction: how likely an incident of a service starts within a horizon."""
