"""What verdicts teach: labels, thresholds of series, priors of root causes, pairs of services; and what it would have changed."""
