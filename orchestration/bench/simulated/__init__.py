"""Benches on unseen seeds of the simulator."""
