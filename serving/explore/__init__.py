"""Read-only HTTP API over the data of a tenant: series with their points, bands and detections."""
