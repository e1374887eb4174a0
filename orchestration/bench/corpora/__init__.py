"""Benches on public corpora."""
