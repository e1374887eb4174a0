"""Figures of models beside a trivial baseline, gates, drift."""
