"""What the assets and commands do, as plain functions over a workspace."""
