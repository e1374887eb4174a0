"""What every command works in: settings in force, the lock of the home, the feature store."""
