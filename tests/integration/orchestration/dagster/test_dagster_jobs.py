"""Jobs on a real Dagster instance, home and simulated source: what is written, what a broken contract stops, what is retried."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd
import pyarrow as pa
import pytest

from models.artifacts.catalog import trained_models
from orchestration.dagster.job_runs import JobFailed, outcomes, range_tags, run_job
from orchestration.dagster.partitions import DAILY
from orchestration.workspace.workspace import Workspace
from tests.testing.series_names import lake_rows
from tests.testing.small_lake import DAY, STEP_S, filled, open_space

TWO_DAYS = range_tags(DAY, DAY + timedelta(days=2))
ROOT = Path(__file__).parents[4]
SOURCE = {
    "source": "simulate",
    "options": ["services=3", "hours=48", "step_s=300", "incidents_per_day=6", "history_share=0.5"],
}
FROM_SOURCE: Mapping[str, Any] = {
    "ops": {"service_graph_and_labels": {"config": SOURCE}, "telemetry": {"config": SOURCE}},
}
FEATURES = {"series_features": ["series", "event_timestamp"], "service_features": ["service", "event_timestamp"]}


def checks(instance: dg.DagsterInstance, run_id: str) -> list[tuple[str, bool, bool]]:
    """Return (table, passed, blocking) of every check of a run."""
    logs = instance.all_logs(run_id, dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = [entry.dagster_event.asset_check_evaluation_data for entry in logs if entry.dagster_event]
    return sorted((check.asset_key.to_user_string(), check.passed, check.blocking) for check in evaluations)


def metadata(instance: dg.DagsterInstance, asset: str) -> Mapping[str, dg.MetadataValue[Any]]:
    """Return what the newest materialization of an asset shows."""
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    assert event is not None
    assert event.asset_materialization is not None
    return event.asset_materialization.metadata


@contextmanager
def instance_of(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Yield the instance that a job on this home wrote to."""
    with monkeypatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(ROOT))
        patch.setenv("AIOPS_HOME", str(home))
        with dg.DagsterInstance.get() as instance:
            yield instance


def table(workspace: Workspace, name: str) -> pd.DataFrame:
    rows = workspace.lake.read(name).to_pandas()
    return rows.sort_values(FEATURES[name]).reset_index(drop=True)


def test_a_range_in_a_single_run_equals_day_after_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at_once, daily = open_space(tmp_path / "at-once"), open_space(tmp_path / "daily")
    run_id = run_job(at_once, "ingest_and_features", FROM_SOURCE, TWO_DAYS)
    for day in range(2):
        run_job(daily, "ingest_and_features", FROM_SOURCE, range_tags(DAY + timedelta(days=day), DAY + timedelta(days=day + 1)))
    run_job(daily, "ingest_and_features", FROM_SOURCE, range_tags(DAY + timedelta(days=1), DAY + timedelta(days=2)))  # again
    assert 10_000 < at_once.lake.count("telemetry") == daily.lake.count("telemetry")
    assert 0 < at_once.lake.count("rejected") == daily.lake.count("rejected")
    for name in FEATURES:
        pd.testing.assert_frame_equal(table(at_once, name), table(daily, name), check_exact=True)
    vectors = table(at_once, "service_features")
    first, last = vectors["event_timestamp"].min(), vectors["event_timestamp"].max()
    assert (first, last) == (DAY, DAY + timedelta(days=2) - timedelta(seconds=STEP_S))
    assert not vectors.duplicated(["service", "event_timestamp"]).any()
    with instance_of(tmp_path / "at-once", monkeypatch) as instance:
        for name in ("telemetry", *FEATURES):
            assert instance.get_materialized_partitions(dg.AssetKey(name)) == {"2025-03-03", "2025-03-04"}
        assert checks(instance, run_id) == [(name, True, True) for name in ("series_features", "service_features", "telemetry")]
        shown = metadata(instance, "telemetry")
        assert shown["dagster/row_count"].value == at_once.lake.count("telemetry")
        assert shown["rejected"].value == at_once.lake.count("rejected")


def test_a_day_that_breaks_the_contract_stops_before_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = open_space(tmp_path)
    late = DAY + timedelta(hours=5)
    row = {"timestamp": late, "service": "checkout", "metric": "error_rate", "value": 7.0, "available_at": late}
    workspace.lake.write("telemetry", lake_rows(pa.Table.from_pylist([row])), key="damaged")
    with pytest.raises(JobFailed) as failure:
        run_job(workspace, "ingest_and_features", FROM_SOURCE, range_tags(DAY, DAY + timedelta(days=1)))
    message = str(failure.value)
    assert "check contract of telemetry" in message
    assert "2025-03-03" in message
    assert "7.0" in message or "highest_valid" in message, message
    assert workspace.lake.count("telemetry") > 1  # the day itself is there, to be looked at
    assert workspace.lake.count("service_features") == 0
    with instance_of(tmp_path, monkeypatch) as instance:
        assert instance.get_latest_materialization_event(dg.AssetKey("service_features")) is None
        assert instance.get_latest_materialization_event(dg.AssetKey("telemetry")) is not None


def test_a_mistake_fails_at_once_and_says_what(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"source": "simulate", "options": ["servces=3"]}
    config = {"ops": {"service_graph_and_labels": {"config": wrong}, "telemetry": {"config": wrong}}}
    with pytest.raises(JobFailed, match="servces: no such source option"):
        run_job(open_space(tmp_path), "ingest_and_features", config, TWO_DAYS)
    with instance_of(tmp_path, monkeypatch) as instance:
        (run,) = instance.get_runs()
        assert not instance.all_logs(run.run_id, dg.DagsterEventType.STEP_UP_FOR_RETRY)


def test_days_are_partitions_of_utc() -> None:
    assert DAILY.get_partition_keys(current_time=DAY + timedelta(hours=1))[-1] == "2025-03-03"
    assert set(range_tags(DAY, DAY + timedelta(days=2)).values()) == {"2025-03-03", "2025-03-04"}


@pytest.mark.slow
def test_training_registers_judges_and_names_a_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = filled(tmp_path)
    run_job(workspace, "training", {})
    judged = {decision.model: decision for decision in outcomes(workspace)}
    assert set(judged) == set(trained_models())
    assert judged["service-ensemble"].promoted, judged["service-ensemble"].reason
    for decision in judged.values():
        version = workspace.registry.get(decision.model, "1")
        assert ("champion" in version.aliases) == decision.promoted
        assert version.tags["gate.reason"] == decision.reason
    assert (workspace.settings.exported_models_path / "service-ensemble" / "1" / "manifest.json").is_file()
    with instance_of(tmp_path, monkeypatch) as instance:
        assert "data:image/svg+xml;base64," in metadata(instance, "service_ensemble_candidate")["precision_recall"].value
        assert "service-ensemble | 1 | yes" in metadata(instance, "champions")["decisions"].value
        assert metadata(instance, "training_set")["dagster/row_count"].value > 3000
