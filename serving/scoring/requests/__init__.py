"""Requests of the scoring service: rows as JSON, Arrow and messages, checked."""
