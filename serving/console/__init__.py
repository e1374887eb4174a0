"""The console: one address for browsers, with pages, sessions and the suite's APIs behind it. It knows them by HTTP only."""
