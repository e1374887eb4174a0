"""Schedules: features of the day before, then retraining, every night; a drift check every hour."""

import dagster as dg

from orchestration.jobs import drift_check, ingest_and_features, training

nightly_features = dg.build_schedule_from_partitioned_job(
    ingest_and_features, name="nightly_features", hour_of_day=0, minute_of_hour=30
)
nightly_retraining = dg.ScheduleDefinition(
    name="nightly_retraining", job=training, cron_schedule="0 2 * * *", execution_timezone="UTC"
)
hourly_drift_check = dg.ScheduleDefinition(
    name="hourly_drift_check", job=drift_check, cron_schedule="15 * * * *", execution_timezone="UTC"
)
