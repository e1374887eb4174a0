"""Dagster's entry point: `dagster dev -m orchestration.definitions`."""

from orchestration.dagster.definitions import defs

__all__ = ["defs"]
