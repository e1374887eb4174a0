"""Trials of runbooks on fakes: an example incident, targets in memory, and how services look in each case."""
