"""The settings tree: a module a section, read once by each entry point."""
