"""Answers of the scoring service, whatever the protocol."""
