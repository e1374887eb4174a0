"""The reference pages of docs/, made from the code: `make docs` rewrites them, a test compares them.

Nothing here starts a process or reads a home: commands, settings, tables, descriptions of the APIs and metrics are values.
"""
