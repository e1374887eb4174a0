"""Dagster jobs run from the command line, in this process: the same assets, the same lineage as on a schedule."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import dagster as dg
import pyarrow.compute as pc

from aiops import errors
from aiops.errors import AiopsError
from aiops.settings.tree import Settings
from models.artifacts.catalog import trained_models
from orchestration.dagster.partitions import DAILY
from orchestration.pipeline.deployment import GATE_TAG
from orchestration.pipeline.training import Judged
from orchestration.suite.services import environment, place_dagster_instance
from orchestration.workspace.workspace import Workspace

QUIET: Final = {"console": {"config": {"log_level": "CRITICAL"}}}
"""Dagster keeps every event of a run in its own storage; the terminal shows ours."""


class JobFailed(AiopsError):
    """A Dagster job ended with a failed step or check; the message says which and why, the exit code is the cause's."""

    def __init__(self, message: str, exit_code: int = AiopsError.exit_code) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def run_job(workspace: Workspace, name: str, config: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> str:
    """Execute a job of the definitions on the workspace's Dagster instance; return the run id.

    Raises:
        JobFailed: a step failed, or a blocking check did not pass.
    """
    from orchestration.dagster.definitions import defs

    workspace.settings.root.mkdir(parents=True, exist_ok=True)
    place_dagster_instance(workspace.settings)
    job = defs.resolve_job_def(name)
    run_config = {"loggers": QUIET, **config}
    with _environment_of(workspace.settings), dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(run_config=run_config, instance=instance, tags=dict(tags or {}), raise_on_error=False)
    if not result.success:
        raise JobFailed(
            f"job {name} failed: {_failures(result)}; see run {result.run_id} in the Dagster UI (`aiops up`)", _exit_code(result)
        )
    return result.run_id


@contextmanager
def _environment_of(settings: Settings) -> Iterator[None]:
    """Let the resources of a job, which read the environment, see exactly `settings`."""
    wanted = {name: value for name, value in environment(settings).items() if not name.startswith("OMP_")}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def range_tags(start: datetime, end: datetime) -> dict[str, str]:
    """Return the tags that make one run cover the daily partitions of [start, end)."""
    last = end - timedelta(microseconds=1)
    keys = [DAILY.get_partition_key_for_timestamp(moment.timestamp()) for moment in (start, last)]
    return {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[1]}


def build_missing_features(workspace: Workspace, say: Callable[[str], None]) -> None:
    """Run the job `ingest_and_features` over the days of the lake whose telemetry has no features yet."""
    days = workspace.lake.days("telemetry")
    built = set(workspace.lake.days("service_features"))
    missing = [day for day in days if day not in built]
    if days and not missing and _behind(workspace, days[-1]):
        missing = [days[-1]]
    if not missing:
        return
    start, end = (datetime.combine(day, datetime.min.time(), UTC) for day in (missing[0], missing[-1] + timedelta(days=1)))
    say(f"features from {start:%Y-%m-%d} to {end:%Y-%m-%d} (Dagster job `ingest_and_features`)")
    run_job(workspace, "ingest_and_features", {}, range_tags(start, end))


def _behind(workspace: Workspace, day: date) -> bool:
    """Return whether the day's telemetry goes on for ten ticks or more after its last features."""
    start, lake = datetime.combine(day, datetime.min.time(), UTC), workspace.lake
    newest_telemetry = pc.max(lake.read("telemetry", start, columns=["timestamp"])["timestamp"]).as_py()
    newest_features = pc.max(lake.read("service_features", start, columns=["event_timestamp"])["event_timestamp"]).as_py()
    return bool(
        newest_features is None
        or newest_telemetry - newest_features > 10 * timedelta(seconds=workspace.settings.telemetry.step_s)
    )


def bands_config(at: datetime | None) -> dict[str, Any]:
    """Return the configuration of the job `seasons` for bands from `at` on (None = the newest telemetry)."""
    config = {"config": {"at": at.isoformat() if at else ""}}
    return {"ops": {"seasonal_bands": config, "capacity_forecasts": config}}


def run_training(workspace: Workspace, at: datetime | None, say: Callable[[str], None]) -> list[Judged]:
    """Run the job `training` and return what the gate said of each model."""
    config = {"ops": {"training_set": {"config": {"at": at.isoformat() if at else ""}}}}
    say("training set → candidates → gate (Dagster job `training`)")
    run_job(workspace, "training", config)
    return outcomes(workspace)


def outcomes(workspace: Workspace) -> list[Judged]:
    """Return the gate's decision on the newest version of each model."""
    judged = []
    for name in trained_models():
        newest = next(iter(workspace.registry.versions(name)), None)
        if newest is None:
            judged.append(Judged(name, "", False, "not trained: the history cannot teach it (see the run's log)"))
            continue
        passed = newest.tags.get(GATE_TAG) == "true"
        judged.append(Judged(name, newest.version, passed, newest.tags.get("gate.reason", "not judged")))
    return judged


def _failures(result: "dg.ExecuteInProcessResult") -> str:
    texts = [f"{event.step_key}: {_cause(event)}" for event in result.all_events if event.is_step_failure]
    failed = [check for check in result.get_asset_check_evaluations() if not check.passed]
    texts += [f"check {c.check_name} of {c.asset_key.to_user_string()}: {c.metadata['failed'].value}" for c in failed]
    return "; ".join(texts) or "unknown reason"


def _cause(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    innermost = error.cause if error and error.cause else error
    return innermost.message.strip() if innermost else "unknown"


def _exit_code(result: "dg.ExecuteInProcessResult") -> int:
    """Return the exit code of the error that failed the first failed step, 1 where it is none of ours."""
    failed = next((event.step_failure_data.error for event in result.all_events if event.is_step_failure), None)
    innermost = failed.cause if failed and failed.cause else failed
    kind = getattr(errors, innermost.cls_name or "", AiopsError) if innermost else AiopsError
    return int(getattr(kind, "exit_code", AiopsError.exit_code))
