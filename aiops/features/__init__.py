"""Features: one engine for history and stream, over windows of series and services."""
