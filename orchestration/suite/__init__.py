"""Processes of `aiops up`: started, watched, ended."""
