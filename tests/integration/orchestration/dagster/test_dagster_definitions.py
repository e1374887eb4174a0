"""What Dagster is told: it loads without a warning, and assets, checks, jobs, schedules and sensors are those written down."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from models.artifacts.export import write_aliases
from orchestration.dagster.resources import WorkspaceResource
from orchestration.definitions import defs
from tests.testing.deadlines import within

ROOT = Path(__file__).parents[4]
SNAPSHOT = Path(__file__).parent / "snapshots" / "dagster.json"
RENEW = "AIOPS_SNAPSHOTS=renew python -m pytest tests/integration/orchestration/dagster/test_dagster_definitions.py"


def described() -> dict[str, object]:
    """Return everything that a change of the definitions would move, as JSON values in a fixed order."""
    repository = defs.get_repository_def()
    graph = repository.asset_graph
    assets = {
        key.to_user_string(): {
            "group": graph.get(key).group_name,
            "depends_on": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
            "partitions": type(partitions).__name__ if (partitions := graph.get(key).partitions_def) else None,
            "pools": sorted(graph.get(key).pools or ()),
            "materializable": graph.get(key).is_materializable,
            "retries": _retries(repository, key) if graph.get(key).is_materializable else None,
        }
        for key in sorted(graph.get_all_asset_keys())
    }
    checks = {f"{key.asset_key.to_user_string()}: {key.name}": graph.get(key).blocking for key in sorted(graph.asset_check_keys)}
    jobs = {
        job.name: sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)
        for job in repository.get_all_jobs()
        if not job.name.startswith("__")
    }
    return {
        "assets": assets,
        "checks, and whether they block": checks,
        "jobs": dict(sorted(jobs.items())),
        "schedules": {
            schedule.name: [schedule.cron_schedule, schedule.job_name, schedule.default_status.value]
            for schedule in repository.schedule_defs
        },
        "sensors": {item.name: [item.targets[0].job_name, item.default_status.value] for item in repository.sensor_defs},
    }


def _retries(repository: dg.RepositoryDefinition, key: dg.AssetKey) -> int:
    policy = repository.assets_defs_by_key[key].op.retry_policy
    return policy.max_retries if policy else 0


def test_definitions_are_those_of_the_snapshot() -> None:
    described_now = described()
    if os.environ.get("AIOPS_SNAPSHOTS") == "renew":
        SNAPSHOT.write_text(json.dumps(described_now, indent=2) + "\n", encoding="utf-8")
    wanted = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert described_now == wanted, f"the definitions changed; if you meant it, renew the snapshot and commit it: {RENEW}"


def test_validation_passes_and_nothing_warns_of_our_definitions(tmp_path: Path) -> None:
    environment = {**os.environ, "AIOPS_HOME": str(tmp_path), "DAGSTER_HOME": str(ROOT)}
    command = [str(Path(sys.executable).parent / "dagster"), "definitions", "validate", "-m", "orchestration.definitions"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=within(120))
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "Validation successful" in said
    assert "BetaWarning" not in said
    assert "DeprecationWarning" not in said
    assert not (ROOT / "history").exists()  # the instance writes below AIOPS_HOME


def test_import_warns_of_nothing_and_loads_no_heavy_library() -> None:
    check = (
        "import sys, orchestration.definitions\n"
        "print(sorted({'feast', 'mlflow', 'evidently', 'great_expectations', 'sklearn', 'xgboost', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_schedules_ask_for_the_day_before_and_run_in_utc() -> None:
    schedules = {schedule.name: schedule for schedule in defs.get_repository_def().schedule_defs}
    assert {schedule.execution_timezone for schedule in schedules.values()} == {"UTC"}
    night = datetime(2025, 3, 5, 0, 30, tzinfo=UTC)
    context = dg.build_schedule_context(scheduled_execution_time=night, repository_def=defs.get_repository_def())
    requests = schedules["nightly_features"].evaluate_tick(context).run_requests or ()
    assert [(request.partition_key, request.run_key) for request in requests] == [("2025-03-04", "2025-03-04")]


def test_what_nobody_serves_is_not_checked_for_drift(home: Path) -> None:
    schedule = next(schedule for schedule in defs.get_repository_def().schedule_defs if schedule.name == "hourly_drift_check")
    context = dg.build_schedule_context(resources={"workspace": WorkspaceResource(home=str(home))})
    skipped = schedule.evaluate_tick(context)
    assert not skipped.run_requests
    assert skipped.skip_message == "service-ensemble has no champion yet: nothing is served that could drift"
    write_aliases(WorkspaceResource(home=str(home)).open().settings.root / "models", "service-ensemble", {"champion": "1"})
    assert len(schedule.evaluate_tick(context).run_requests or ()) == 1


def test_modules_of_the_room_stay_thin() -> None:
    assert len((ROOT / "orchestration" / "definitions.py").read_text(encoding="utf-8").splitlines()) <= 50
