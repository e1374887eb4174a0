"""Alert correlation: duplicates, suppression, grouping by time and call graph, storms, page budget. Pure: time is an argument."""
