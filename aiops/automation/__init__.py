"""Acting on incidents: runbooks, plans, bounds, approvals, runs and what they earn; pure values and rules over them."""
