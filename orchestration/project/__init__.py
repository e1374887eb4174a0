"""What people edit: feature repository, Dagster's instance, settings file; which copy is used, and a new one.

A checkout holds them at its root, a wheel in `orchestration/project/files`; `aiops init` writes copies into a folder.
"""
