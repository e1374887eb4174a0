"""The sensors that ask for a retraining, and the drift check they listen to, on a real lake and registry."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from aiops.settings.tree import Settings
from aiops.simulator.simulation_config import DriftSpec, SimulationConfig
from data_contracts.schemas.learning_schema import DRIFT_CHECKS, VERDICTS
from data_contracts.schemas.telemetry_schemas import SERVED, SERVICE_FEATURES
from models.artifacts.audit import CHAMPION, Change
from orchestration.dagster.resources import WorkspaceResource
from orchestration.dagster.sensors import Cursor, drift_sensor, false_alarm_sensor
from orchestration.pipeline.drift import WATCHED, latest_check, measure
from orchestration.pipeline.training import train_candidate
from orchestration.pipeline.training_set import TrainingRequest, build_training_set
from orchestration.workspace.workspace import Workspace
from tests.testing.small_lake import DAY, STEP_S, filled

Answer = dg.SensorResult | dg.SkipReason


@dataclass
class Sensor:
    """One sensor of a home, evaluated as the daemon does: the cursor it leaves is the one it gets."""

    definition: dg.SensorDefinition
    home: Path
    cursor: str | None = None

    def tick(self) -> dg.RunRequest | str:
        """Return the run it asks for, or why it asks for none."""
        with dg.build_sensor_context(
            cursor=self.cursor, resources={"workspace": WorkspaceResource(home=str(self.home))}
        ) as context:
            answer: Answer = self.definition(context)  # type: ignore[assignment]
        if isinstance(answer, dg.SkipReason):
            return answer.skip_message or ""
        self.cursor = answer.cursor
        (request,) = answer.run_requests or ()
        assert isinstance(request, dg.RunRequest)
        return request


def space(home: Path) -> Workspace:
    return Workspace.open(Settings(home=home))


def note_check(workspace: Workspace, number: int, drifted: bool, checked: bool = True) -> None:
    end = DAY + timedelta(hours=number)
    row = {
        "checked_at": datetime.now(UTC) - timedelta(minutes=30 - number),
        "check_id": f"check-{number}",
        "at": end,
        "since": end - timedelta(hours=6),
        "model": WATCHED,
        "model_version": "1",
        "checked": checked,
        "drifted": drifted,
        "share": 0.5 if drifted else 0.0,
        "reason": "drift: levels moved" if drifted else "no drift: none moved" if checked else "not checked: 3 rows",
        "report": "",
    }
    workspace.lake.write("drift_checks", pa.Table.from_pylist([row], schema=DRIFT_CHECKS), key=f"check-{number}")


def note_verdicts(workspace: Workspace, right: int, wrong: int, at: datetime, prefix: str = "d") -> None:
    rows = [
        {"given_at": at + timedelta(milliseconds=number), "detection_id": f"{prefix}{number}", "right": number < right}
        for number in range(right + wrong)
    ]
    workspace.lake.write("verdicts", pa.Table.from_pylist(rows, schema=VERDICTS), key=prefix)


def test_without_a_check_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert Sensor(drift_sensor, tmp_path).tick() == "no drift check yet"


@pytest.mark.parametrize("checked", [True, False])
def test_no_drift_asks_for_nothing(tmp_path: Path, checked: bool) -> None:
    note_check(space(tmp_path), 1, drifted=False, checked=checked)
    sensor = Sensor(drift_sensor, tmp_path)
    assert sensor.tick() == ("no drift: none moved" if checked else "not checked: 3 rows")
    assert sensor.cursor is None


def test_drift_asks_once_with_the_window_in_which_it_was_detected(tmp_path: Path) -> None:
    note_check(space(tmp_path), 1, drifted=True)
    sensor = Sensor(drift_sensor, tmp_path)
    request = sensor.tick()
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == "drift-check-1"
    config = request.run_config["ops"]["training_set"]["config"]
    assert datetime.fromisoformat(config["at"]) == DAY + timedelta(hours=1)
    assert datetime.fromisoformat(config["recent_from"]) == DAY - timedelta(hours=5)
    for _ in range(3):
        assert sensor.tick() == "check check-1 was answered already"


def test_next_drift_waits_for_the_cool_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = space(tmp_path)
    note_check(workspace, 1, drifted=True)
    sensor = Sensor(drift_sensor, tmp_path)
    assert isinstance(sensor.tick(), dg.RunRequest)
    note_check(workspace, 2, drifted=True)
    assert "cooling down since" in str(sensor.tick())
    monkeypatch.setenv("AIOPS_DRIFT__COOLDOWN_MIN", "0")
    request = sensor.tick()
    assert isinstance(request, dg.RunRequest)
    assert request.run_key == "drift-check-2"


def test_cursor_survives_text_and_cools() -> None:
    now = datetime(2025, 3, 3, 12, tzinfo=UTC)
    cursor = Cursor("drift-1", (now - timedelta(minutes=59)).isoformat())
    assert Cursor.parse(cursor.text()) == cursor
    assert Cursor.parse(None) == Cursor()
    assert cursor.cooling(now, 60)
    assert not cursor.cooling(now, 59)
    assert not Cursor().cooling(now, 60)


@pytest.mark.parametrize(
    ("right", "wrong", "asks"), [(17, 3, True), (18, 2, False), (0, 19, False), (0, 20, True), (20, 0, False)]
)
def test_false_alarms_above_a_tenth_of_twenty_verdicts_ask(tmp_path: Path, right: int, wrong: int, asks: bool) -> None:
    note_verdicts(space(tmp_path), right, wrong, datetime.now(UTC) - timedelta(hours=1))
    sensor = Sensor(false_alarm_sensor, tmp_path)
    answer = sensor.tick()
    if not asks:
        assert answer == f"{wrong} of {right + wrong} verdicts are false alarms (limit 10%, at least 20 verdicts)"
        return
    assert isinstance(answer, dg.RunRequest)
    assert answer.run_config == {"ops": {"training_set": {"config": {"at": "", "recent_from": ""}}}}
    assert str(sensor.tick()).startswith("0 of 0 verdicts")  # those before the retraining do not count against what it gives


@pytest.mark.parametrize(("incidents", "asks"), [(1, False), (19, False), (20, True)])
def test_a_verdict_on_an_incident_counts_once_however_many_alerts_it_had(tmp_path: Path, incidents: int, asks: bool) -> None:
    at, workspace = datetime.now(UTC) - timedelta(hours=1), space(tmp_path)
    rows = [
        {"given_at": at, "detection_id": f"{incident}-{number}", "right": False, "incident_id": f"inc-{incident}"}
        for incident in range(incidents)
        for number in range(30)
    ]
    workspace.lake.write("verdicts", pa.Table.from_pylist(rows, schema=VERDICTS), key="incidents")
    answer = Sensor(false_alarm_sensor, tmp_path).tick()
    assert isinstance(answer, dg.RunRequest) == asks
    if not asks:
        assert str(answer).startswith(f"{incidents} of {incidents} verdicts are false alarms")


def test_false_alarms_after_a_retraining_wait_for_the_cool_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = space(tmp_path)
    note_verdicts(workspace, 0, 20, datetime.now(UTC) - timedelta(hours=1))
    sensor = Sensor(false_alarm_sensor, tmp_path)
    assert isinstance(sensor.tick(), dg.RunRequest)
    note_verdicts(workspace, 0, 20, datetime.now(UTC) + timedelta(seconds=1), prefix="later")
    assert "cooling down since" in str(sensor.tick())
    monkeypatch.setenv("AIOPS_DRIFT__COOLDOWN_MIN", "0")
    assert isinstance(sensor.tick(), dg.RunRequest)


def serve(workspace: Workspace, first: datetime, last: datetime, version: str) -> None:
    """Write what the scoring service would have served for the ticks in [first, last), and rows that a check must leave out."""
    vectors = workspace.lake.read("service_features", first, last).to_pandas().drop(columns="available_at")
    model = workspace.registry.load(WATCHED, version).model
    rows = vectors.assign(
        served_at=vectors["event_timestamp"] + timedelta(seconds=40),
        request_id="r",
        model=WATCHED,
        model_version=version,
        role="champion",
        score=model.score(vectors.reindex(columns=list(model.features)).to_numpy(dtype="float64"))[:, 0],  # sequences: unknown
    )
    broken = rows.assign(**dict.fromkeys(SERVICE_FEATURES, 1000000.0))
    strange = [
        broken.assign(role="challenger"),
        broken.assign(model="incident-predictor"),
        broken.assign(event_timestamp=broken["event_timestamp"] + timedelta(seconds=60)),
        broken.assign(served_at=broken["served_at"] - timedelta(seconds=20)),  # answered again later: the later row counts
    ]
    table = pa.Table.from_pandas(pd.concat([rows, *strange])[SERVED.names], schema=SERVED, preserve_index=False)
    workspace.lake.write("served", table, key=f"served-{first:%Y%m%dT%H%M%S}")


@pytest.mark.slow
def test_what_was_served_is_checked_against_the_champions_own_training_set(tmp_path: Path) -> None:
    drift = DriftSpec("level", start_h=84, magnitude=0.8, share=0.75, ramp_min=0)
    at = DAY + timedelta(days=3)
    config = SimulationConfig(services=6, hours=96, step_s=STEP_S, incidents_per_day=2, drift=drift)
    workspace = filled(tmp_path, config)
    built = build_training_set(workspace, TrainingRequest(at), lambda _: None)
    assert train_candidate(workspace, WATCHED, built, at).version == "1"
    workspace.registry.set_alias(WATCHED, CHAMPION, "1", Change("test", at, "first"))
    sensor = Sensor(drift_sensor, tmp_path)

    serve(workspace, at, at + timedelta(hours=9), "1")
    quiet = measure(workspace, at + timedelta(hours=9))
    assert quiet.check.checked, quiet.check.reason
    assert not quiet.check.drifted, quiet.check.reason
    assert quiet.report.rows_current <= 6 * 12 * 6  # the window, at the cadence, each service and tick once
    assert sensor.tick() == quiet.check.reason
    assert latest_check(workspace) == quiet.check

    serve(workspace, at + timedelta(hours=15), at + timedelta(hours=21), "1")
    loud = measure(workspace, at + timedelta(hours=21))
    assert loud.check.drifted, loud.check.reason
    assert Path(loud.check.report).read_bytes().lstrip()[:1] == b"<"
    assert np.isclose(loud.check.share, loud.report.share)
    request = sensor.tick()
    assert isinstance(request, dg.RunRequest)
    assert request.run_config["ops"]["training_set"]["config"]["at"] == (at + timedelta(hours=21)).isoformat()
    assert measure(workspace, at + timedelta(hours=21)).check.check_id == loud.check.check_id
    assert workspace.lake.count("drift_checks") == 2  # the same check again replaces its row
    assert sensor.tick() == f"check {loud.check.check_id} was answered already"
