"""Dagster definitions and the `aiops` command line: they wire the other rooms together."""
