"""Labels of verdicts beside those of a source: each incident once, as of when it was known; false alarms as negatives."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aiops.incidents.incident_labels import each_once
from aiops.incidents.labels import horizon_labels
from aiops.settings.tree import Settings
from data_contracts.schemas.learning_schema import VERDICTS
from data_contracts.schemas.telemetry_schemas import DETECTIONS, INCIDENTS, SERVICE_FEATURES, TIMESTAMP
from models.detectors.isolation_forest import ForestConfig
from models.training.ensemble_training import EnsembleConfig, train_service_ensemble
from models.training.training_context import TrainingContext
from models.vectors.service_rows import rows_of
from models.vectors.truth import judged_normal
from orchestration.workspace.workspace import Workspace
from tests.testing.service_frames import START, history


def minute(count: float) -> datetime:
    return START + timedelta(minutes=count)


def label(number: int, service: str, begin: float, end: float, kind: str = "verdict", known: float = 500) -> dict[str, object]:
    times = {"onset_at": minute(begin), "starts_at": minute(begin), "ends_at": minute(end), "known_at": minute(known)}
    return {"incident_id": f"i{number}", "service": service, "kind": kind, **times}


def table(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=INCIDENTS)


def spans(labels: pa.Table) -> list[tuple[str, str, datetime, datetime]]:
    return [(row["incident_id"], row["service"], row["onset_at"], row["ends_at"]) for row in labels.to_pylist()]


@pytest.mark.parametrize(
    ("rows", "left"),
    [
        ([label(1, "a", 0, 30, "leak"), label(2, "a", 10, 60)], ["i1"]),
        ([label(1, "a", 0, 30, "leak"), label(2, "a", 40, 60)], ["i1"]),
        ([label(1, "a", 0, 30, "leak"), label(2, "a", 46, 60)], ["i1", "i2"]),
        ([label(1, "a", 0, 30, "leak"), label(2, "b", 10, 60)], ["i1", "i2"]),
        ([label(1, "a", 0, 30, "leak"), label(2, "a", 0, 30, "leak")], ["i1", "i2"]),
        ([label(2, "a", 20, 60), label(1, "a", 0, 30)], ["i1"]),
        ([], []),
    ],
)
def test_an_incident_is_labelled_once(rows: list[dict[str, object]], left: list[str]) -> None:
    assert each_once(table(*rows))["incident_id"].to_pylist() == left


def test_verdicts_that_overlap_span_both_and_are_known_since_the_first() -> None:
    labels = each_once(table(label(1, "a", 0, 30, known=90), label(2, "a", 20, 60, known=70), label(3, "a", 61, 80)))
    assert spans(labels) == [("i1", "a", minute(0), minute(60)), ("i3", "a", minute(61), minute(80))]
    assert labels["known_at"].to_pylist()[0] == minute(70)


def test_labels_and_false_alarms_count_from_when_they_were_given(tmp_path: Path) -> None:
    space = Workspace.open(Settings(home=tmp_path))
    space.lake.write("incidents", table(label(1, "a", 0, 30, known=90)), key="verdict-i1")
    space.lake.write("incidents", table(label(2, "b", 0, 30, "leak", known=40)), key="truth")
    assert [space.incidents(minute(at)).num_rows for at in (39, 89, 90)] == [0, 1, 2]
    assert space.announced(minute(100))["incident_id"].to_pylist() == ["i2"], "the stream was not told of verdicts"
    rows = pa.table({"service": ["a", "a"], "event_timestamp": pa.array([minute(-10), minute(5)], TIMESTAMP)})
    assert np.allclose(horizon_labels(rows, space.incidents(minute(90))).labels, [[0, 1, 1], [np.nan] * 3], equal_nan=True), (
        "the predictor's labels come from verdicts"
    )
    detection = dict.fromkeys(DETECTIONS.names) | {"revision": 0, "metric": "m", "value": 1.0, "tier": 1, "reason": ""}
    detection |= {"model_version": "", "anomalous": True}
    detections = [detection | {"detection_id": f"d{at}", "service": "a", "timestamp": minute(at)} for at in (1, 2)]
    space.lake.write("detections", pa.Table.from_pylist(detections, schema=DETECTIONS), key="d")
    for at, name, right in ((50, "d1", False), (51, "d2", False), (60, "d2", True)):
        said = {"given_at": minute(at), "detection_id": name, "right": right}
        space.lake.write("verdicts", pa.Table.from_pylist([said], schema=VERDICTS), key=f"{name}-{at}")
    known = [space.false_alarms(minute(at))["timestamp"].to_pylist() for at in (49, 55, 60)]
    assert known == [[], [minute(1), minute(2)], [minute(1)]]


def test_false_alarms_are_the_rows_nearest_to_them() -> None:
    rows = rows_of(history(days=1).frame)
    false = pa.table({"service": ["s1", "nosuch"], "timestamp": pa.array([minute(61), minute(61)], TIMESTAMP)})
    (place,) = np.flatnonzero(judged_normal(rows, false))
    assert (rows.services[rows.code[place]], rows.time_us[place]) == ("s1", int(minute(60).timestamp() * 1e6))


def test_the_ensemble_learns_from_verdicts_and_from_false_alarms() -> None:
    past = history(days=6)
    said = past.incidents.set_column(2, INCIDENTS.field("kind"), pa.array(["verdict"] * past.incidents.num_rows))
    harmless = [minute(at) for at in range(0, 4 * 1440, 135)]
    frame = past.frame.to_pandas()
    jobs = (frame["service"] == "s0") & frame["event_timestamp"].isin(harmless)
    frame.loc[jobs, ["errors_worst", "latency_worst"]] = 0.95  # a nightly job that alarms and harms nobody
    false = pa.table({"service": ["s0"] * len(harmless), "timestamp": pa.array(harmless, TIMESTAMP)})
    context, config = TrainingContext("synthetic"), EnsembleConfig(forest=ForestConfig(trees=20))
    plain, taught = (
        train_service_ensemble(frame, each_once(said), context, config, false_alarms=alarms) for alarms in (None, false)
    )
    assert taught.model.member_names == plain.model.member_names == ("forest", "labelled")
    assert "labelled incidents and " in str(taught.run.params["labelled"])
    assert "rows of false alarms" in str(taught.run.params["labelled"])
    rows = rows_of(frame[jobs & (frame["event_timestamp"] > minute(4 * 1440 - 600))])
    member = [model.members[1].model for model in (plain.model, taught.model)]
    before, after = (labelled.raw_score(rows.matrix(labelled.features)).mean() for labelled in member)
    assert after < before - 0.5, "the labelled member tells such a job from an incident more surely"
    assert len(SERVICE_FEATURES) == len(rows.columns)
