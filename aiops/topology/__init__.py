"""Who calls whom: the call graph, its history, calls from spans."""
