"""Seasonal bands of series: profile, Prophet, bounds from held-out days."""
