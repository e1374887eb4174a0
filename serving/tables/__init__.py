"""Tables of the lake with rules of their own: changes, the history of the call graph, rejected rows."""
