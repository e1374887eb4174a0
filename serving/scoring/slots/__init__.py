"""Models that answer: loaded, warmed up, swapped, shadowed."""
