"""Detectors, one algorithm a file."""
