"""Dagster jobs run from the command line, in this process: the same assets, the same lineage as on a schedule."""

import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from aiops.errors import AiopsError
from models.catalog import MODELS
from orchestration.partitions import DAILY
from orchestration.pipeline.deployment import GATE_TAG
from orchestration.pipeline.training import Judged
from orchestration.services import ROOT
from orchestration.workspace import Workspace


class JobFailed(AiopsError):
    """A Dagster job ended with a failed step or check; the message says which and why."""


def run_job(workspace: Workspace, name: str, config: Mapping[str, Any], tags: Mapping[str, str] | None = None) -> str:
    """Execute a job of the definitions on the workspace's Dagster instance; return the run id.

    Raises:
        JobFailed: a step failed, or a blocking check did not pass.
    """
    from orchestration.definitions import defs

    os.environ.setdefault("DAGSTER_HOME", str(ROOT))
    os.environ["AIOPS_HOME"] = str(workspace.settings.root)
    workspace.settings.root.mkdir(parents=True, exist_ok=True)
    job = defs.resolve_job_def(name)
    with dg.DagsterInstance.get() as instance:
        result = job.execute_in_process(run_config=dict(config), instance=instance, tags=dict(tags or {}), raise_on_error=False)
    if not result.success:
        raise JobFailed(f"job {name} failed: {_failures(result)}; see run {result.run_id} in the Dagster UI (`aiops up`)")
    return result.run_id


def range_tags(start: datetime, end: datetime) -> dict[str, str]:
    """Return the tags that make one run cover the daily partitions of [start, end)."""
    last = end - timedelta(microseconds=1)
    keys = [DAILY.get_partition_key_for_timestamp(moment.timestamp()) for moment in (start, last)]
    return {"dagster/asset_partition_range_start": keys[0], "dagster/asset_partition_range_end": keys[1]}


def run_training(workspace: Workspace, at: datetime | None, say: Callable[[str], None]) -> list[Judged]:
    """Run the job `training` and return what the gate said of each model."""
    config = {"ops": {"training_set": {"config": {"at": at.isoformat() if at else ""}}}}
    say("training set → candidates → gate (Dagster job `training`)")
    run_job(workspace, "training", config)
    return outcomes(workspace)


def outcomes(workspace: Workspace) -> list[Judged]:
    """Return the gate's decision on the newest version of each model."""
    judged = []
    for name in MODELS:
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
    texts += [f"check {c.check_name} of {c.asset_key.to_user_string()}: {c.metadata.get('failed')}" for c in failed]
    return "; ".join(texts) or "unknown reason"


def _cause(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    innermost = error.cause if error and error.cause else error
    return innermost.message.strip() if innermost else "unknown"
