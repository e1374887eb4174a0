"""This machine: files written whole, private files, room on disk, logs, child processes."""
