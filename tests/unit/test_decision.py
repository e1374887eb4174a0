"""The decision: both tiers, tier 1 alone, unknown tier 3; ids and reasons."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest

from aiops.decision import Opinion, decide, detection_id
from aiops.errors import ContractError
from data_contracts.schemas import CANDIDATES, DETECTIONS

TICK = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)


def candidate(z: float | None = None, flagged: bool = False, metric: str | None = "latency_p99_ms") -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(CANDIDATES.names)
    score = None if z is None else 1 - 2 ** (-abs(z) / 6)
    return row | {
        "event_timestamp": TICK,
        "available_at": TICK,
        "service": "cart",
        "metric": metric,
        "value": 845.2,
        "point_timestamp": TICK,
        "z": z,
        "alarm_z": 6.0,
        "score": score,
        "expected": 120.4,
        "lower": 60.5,
        "upper": 180.25,
        "flagged": flagged,
        "scheduled": False,
        "tier1_version": "4",
    }


def batch(*rows: dict[str, object]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=CANDIDATES)


def judge(row: dict[str, object], score: float, revision: int = 0) -> dict[str, object]:
    found = decide(batch(row), Opinion.of_scores(np.array([score]), 0.6, "7"), revision)
    assert found.schema.equals(DETECTIONS, check_metadata=True)
    return dict(found.to_pylist()[0])


def test_tier_3_with_support_of_tier_1_is_anomalous() -> None:
    row = judge(candidate(z=6.5, flagged=True), 0.83)
    assert (row["anomalous"], row["tier"], row["score"], row["model_version"]) == (True, 3, 0.83, "7")
    assert row["reason"] == (
        "latency_p99_ms is 845.2, expected 120.4, bounds 60.5 to 180.25 (z 6.5, alarm at 6.0); "
        "tier 3 finds the service strange too, score 0.83"
    )


@pytest.mark.parametrize(
    ("row", "score", "anomalous", "words"),
    [
        (candidate(z=1.0), 0.9, False, "but no metric of it is"),
        (candidate(z=7.0, flagged=True), 0.2, False, "as a whole normal"),
        (candidate(z=1.0), 0.2, False, "normal to both tiers"),
        (candidate(z=2.0, flagged=True), 0.9, True, "strange too"),
        (candidate(metric=None), 0.9, False, "no scored point since the previous tick"),
        (candidate(flagged=True), 0.9, True, "normal course is not known yet"),
    ],
)
def test_the_two_tiers_together(row: dict[str, object], score: float, anomalous: bool, words: str) -> None:
    found = judge(row, score)
    assert (found["anomalous"], found["tier"], found["score"]) == (anomalous, 3, score)
    assert words in str(found["reason"])


@pytest.mark.parametrize("z", [12.0, -12.0])
def test_an_extreme_point_is_anomalous_whatever_tier_3_says(z: float) -> None:
    row = judge(candidate(z=z, flagged=True), 0.1)
    assert (row["anomalous"], row["tier"], row["score"], row["model_version"]) == (True, 1, 0.75, "4")
    assert "so extreme that tier 1 decides alone" in str(row["reason"])


def test_just_below_twice_the_alarm_is_not_extreme() -> None:
    assert judge(candidate(z=11.999, flagged=True), 0.1)["anomalous"] is False


@pytest.mark.parametrize(("z", "flagged"), [(6.5, True), (1.0, False)])
def test_without_tier_3_the_alarm_of_tier_1_decides_and_the_reason_says_why(z: float, flagged: bool) -> None:
    found = decide(batch(candidate(z=z, flagged=flagged)), Opinion.unknown(1, "the scoring service did not answer in 5 s"))
    row = found.to_pylist()[0]
    assert (row["anomalous"], row["tier"], row["model_version"]) == (flagged, 1, "4")
    assert row["score"] == pytest.approx(1 - 2 ** (-z / 6))
    assert str(row["reason"]).endswith("the scoring service did not answer in 5 s")


def test_unknown_stays_unknown() -> None:
    row = decide(batch(candidate(metric=None)), Opinion.unknown(1, "away")).to_pylist()[0]
    assert np.isnan(row["score"])
    assert row["anomalous"] is False


def test_the_id_names_service_and_time_and_survives_a_revision() -> None:
    first, second = judge(candidate(z=7.0), 0.9), judge(candidate(z=7.0), 0.1, revision=1)
    assert first["detection_id"] == second["detection_id"]
    assert (first["revision"], second["revision"]) == (0, 1)
    ids = {detection_id(s, t, k) for s in ("a", "b") for t in (0, 1) for k in ("service", "point")}
    assert len(ids) == 8
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in ids)


def test_rows_are_answered_in_order_and_none_is_none() -> None:
    rows = [candidate(z=z, flagged=True) | {"service": name} for name, z in (("a", 3.0), ("b", 20.0))]
    found = decide(batch(*rows), Opinion.of_scores(np.array([0.1, 0.1]), 0.6, "7"))
    assert found.column("service").to_pylist() == ["a", "b"]
    assert found.column("anomalous").to_pylist() == [False, True]
    assert decide(batch(), Opinion.unknown(0, "away")).num_rows == 0


def test_an_opinion_of_another_length_is_refused() -> None:
    with pytest.raises(ContractError, match="2 rows for 1 candidates"):
        decide(batch(candidate(z=1.0)), Opinion.unknown(2, "away"))
