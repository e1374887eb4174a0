"""Horizon labels: what counts as ahead, what is in progress, whose incident it is."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import ConfigurationError
from aiops.incidents.labels import horizon_labels
from data_contracts.schemas.telemetry_schemas import INCIDENTS, TIMESTAMP

START = datetime(2026, 3, 2, tzinfo=UTC)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def incidents(*spans: tuple[str, float, float]) -> pa.Table:
    rows = [
        {
            "incident_id": f"i{number}",
            "service": service,
            "kind": "memory_leak",
            "onset_at": at(begin - 20),
            "starts_at": at(begin),
            "ends_at": at(end),
            "known_at": at(end),
        }
        for number, (service, begin, end) in enumerate(spans)
    ]
    return pa.Table.from_pylist(rows, schema=INCIDENTS)


def rows(*points: tuple[str, float]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict(
        {"service": [name for name, _ in points], "event_timestamp": pa.array([at(time) for _, time in points], TIMESTAMP)}
    )


def test_labels_look_ahead_by_the_horizon() -> None:
    labelled = horizon_labels(rows(*(("a", t) for t in (0, 39, 40, 84.9, 85, 99))), incidents(("a", 100, 110)), (15, 60))
    assert labelled.labels.tolist() == [[0, 0], [0, 0], [0, 1], [0, 1], [1, 1], [1, 1]]
    assert labelled.minutes_to_start.tolist() == pytest.approx([100, 61, 60, 15.1, 15, 1])


def test_an_incident_in_progress_has_no_label_from_its_start_to_its_end() -> None:
    labelled = horizon_labels(rows(("a", 100), ("a", 109.9), ("a", 110)), incidents(("a", 100, 110)), (15,))
    assert np.isnan(labelled.labels[:2]).all()
    assert np.isnan(labelled.minutes_to_start[:2]).all()
    assert labelled.labels[2, 0] == 0
    assert labelled.minutes_to_start[2] == np.inf


def test_another_service_is_not_concerned() -> None:
    labelled = horizon_labels(rows(("b", 99), ("a", 99)), incidents(("a", 100, 110)), (15,))
    assert labelled.labels[:, 0].tolist() == [0, 1]
    assert labelled.minutes_to_start.tolist() == [np.inf, 1]


def test_overlapping_incidents_last_until_the_later_end() -> None:
    labelled = horizon_labels(rows(("a", 50), ("a", 95)), incidents(("a", 10, 90), ("a", 20, 30), ("a", 100, 120)), (15,))
    assert np.isnan(labelled.labels[0, 0])
    assert labelled.labels[1, 0] == 1


def test_empty_tables() -> None:
    assert horizon_labels(rows(), incidents(("a", 1, 2)), (15, 60)).labels.shape == (0, 2)
    assert horizon_labels(rows(("a", 1)), incidents(), (15,)).labels.tolist() == [[0]]


@pytest.mark.parametrize("horizons", [(), (0,), (15, -1)])
def test_a_horizon_must_be_positive(horizons: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError, match="horizons_min"):
        horizon_labels(rows(), incidents(), horizons)
