"""Root causes of incidents, from what the lake holds."""
