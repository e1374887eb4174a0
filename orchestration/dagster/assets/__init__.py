"""Dagster assets: thin wires from the lineage graph to `orchestration.pipeline`."""
