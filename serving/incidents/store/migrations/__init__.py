"""Schema of the incident store, step by step; run by `migrate.py` when a store is opened."""
