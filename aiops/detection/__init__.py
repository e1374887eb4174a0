"""Detection: routes of series, opinions of tiers, the decision and its reasons."""
