"""Benches of latency, storms and scale."""
