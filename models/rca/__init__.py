"""Root cause analysis: which service began it, with what probability, on which evidence."""
