"""Logs and traces as signals: rows of features and evidence, computed the same way online, in a backfill and in a bench."""
