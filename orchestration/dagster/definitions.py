"""Dagster's entry point: `dagster dev -m orchestration.definitions`."""

import dagster as dg

from orchestration.dagster import jobs, schedules, sensors
from orchestration.dagster.assets import (
    band_assets as bands,
)
from orchestration.dagster.assets import (
    character_assets as character,
)
from orchestration.dagster.assets import (
    drift_assets as drift,
)
from orchestration.dagster.assets import (
    model_assets as models,
)
from orchestration.dagster.assets import (
    retention_assets as retention,
)
from orchestration.dagster.assets import (
    telemetry_assets as telemetry,
)
from orchestration.dagster.resources import WorkspaceResource

defs = dg.Definitions(
    assets=[
        telemetry.service_graph_and_labels,
        telemetry.telemetry,
        telemetry.features,
        retention.lake_retention,
        character.series_character,
        bands.seasonal_bands,
        bands.capacity_forecasts,
        models.training_set,
        *models.candidates,
        models.champions,
        drift.served,
        drift.drift_report,
    ],
    jobs=[jobs.ingest_and_features, jobs.training, jobs.seasons, jobs.retention, jobs.drift_check],
    schedules=[
        schedules.nightly_features,
        schedules.nightly_seasons,
        schedules.nightly_retraining,
        schedules.nightly_retention,
        schedules.hourly_drift_check,
    ],
    sensors=[sensors.drift_sensor, sensors.false_alarm_sensor],
    resources={"workspace": WorkspaceResource()},
    executor=dg.in_process_executor,
)
