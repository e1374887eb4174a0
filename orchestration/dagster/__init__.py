"""Dagster: assets by subject, jobs, schedules, sensors, partitions."""
