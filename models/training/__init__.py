"""Training: history in, fitted model and its run out."""
