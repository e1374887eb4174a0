"""Schedules, running unless switched off: features, bands, retraining and retention every night; a drift check every hour."""

from datetime import UTC, timedelta

import dagster as dg

from orchestration.dagster.jobs import drift_check, ingest_and_features, retention, seasons, training
from orchestration.dagster.resources import WorkspaceResource
from orchestration.pipeline.drift import WATCHED
from orchestration.workspace.watched_champion import has_champion

RUNNING = dg.DefaultScheduleStatus.RUNNING


@dg.schedule(job=ingest_and_features, cron_schedule="30 0 * * *", execution_timezone="UTC", default_status=RUNNING)
def nightly_features(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Ask for the day that ended at midnight UTC: its late points have come."""
    day = f"{context.scheduled_execution_time.astimezone(UTC) - timedelta(days=1):%Y-%m-%d}"
    return dg.RunRequest(run_key=day, partition_key=day)


nightly_retraining = dg.ScheduleDefinition(
    name="nightly_retraining", job=training, cron_schedule="0 2 * * *", execution_timezone="UTC", default_status=RUNNING
)
nightly_seasons = dg.ScheduleDefinition(
    name="nightly_seasons", job=seasons, cron_schedule="0 1 * * *", execution_timezone="UTC", default_status=RUNNING
)
nightly_retention = dg.ScheduleDefinition(
    name="nightly_retention", job=retention, cron_schedule="0 4 * * *", execution_timezone="UTC", default_status=RUNNING
)


@dg.schedule(job=drift_check, cron_schedule="15 * * * *", execution_timezone="UTC", default_status=RUNNING)
def hourly_drift_check(workspace: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
    """Ask for a check where there is a champion to be checked."""
    if not has_champion(workspace.settings()):
        return dg.SkipReason(f"{WATCHED} has no champion yet: nothing is served that could drift")
    return dg.RunRequest()
