"""Plans when a cause is decided, and carries out runs: one step at a time, each call bounded, an unknown outcome probed."""
