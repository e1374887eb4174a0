"""What tier 1 says of chosen series, for other systems: a page that a scrape takes, and remote write to an address."""
