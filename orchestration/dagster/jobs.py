"""Jobs: what runs together, by hand, on a schedule or because a sensor asks."""

import dagster as dg

ingest_and_features = dg.define_asset_job(
    "ingest_and_features",
    selection=dg.AssetSelection.assets("service_graph_and_labels", "telemetry", "series_features", "service_features"),
    description="One day (or a range) of telemetry from a source to features.",
)
training = dg.define_asset_job(
    "training",
    selection=dg.AssetSelection.groups("learn"),
    description="Training set, candidates, gate, champions.",
)
seasons = dg.define_asset_job(
    "seasons",
    selection=dg.AssetSelection.assets("seasonal_bands", "capacity_forecasts"),
    description="Seasonal bands for the next two days, and when resources reach their limits.",
)
retention = dg.define_asset_job(
    "retention",
    selection=dg.AssetSelection.assets("lake_retention"),
    description="Delete the days of the lake that are older than the retention setting.",
)
drift_check = dg.define_asset_job(
    "drift_check",
    selection=dg.AssetSelection.assets("drift_report"),
    description="Has what is served drifted from the reference?",
)
