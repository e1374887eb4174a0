"""The decision: who judges on which route, who steps in for whom, tier 1 alone; ids and reasons."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.detection.decision import decide, detection_id
from aiops.detection.opinions import Band, Context, Opinion
from aiops.detection.routing import Route
from aiops.errors import ContractError
from aiops.features.series_character import measure
from data_contracts.schemas.telemetry_schemas import CANDIDATES, DETECTIONS

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


INFRASTRUCTURE = Route(1, "infrastructure signal (latency)", (3, 2))
BUSINESS = Route(2, "business signal (traffic)", (2, 3))
CRITICAL = Route(3, "critical service (matches cart)", (3, 2), critical=True)


def context(*routes: Route) -> Context:
    return Context(routes, [None] * len(routes), "5eed")


def season(value: float, score: float, status: str = "established") -> Opinion:
    """Return tier 2's opinion: 800 expected, bounds 700 and 900."""
    del value
    band = Band(np.array([800.0]), np.array([700.0]), np.array([900.0]))
    return Opinion(np.array([score]), np.array([score >= 0.5]), "bands-1", [status], [""], band)


def batch(*rows: dict[str, object]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=CANDIDATES)


def judge(row: dict[str, object], score: float, revision: int = 0) -> dict[str, object]:
    detections = decide(batch(row), {3: Opinion.of_scores(np.array([score]), 0.6, "7")}, context(INFRASTRUCTURE), revision)
    assert detections.schema.equals(DETECTIONS, check_metadata=True)
    return dict(detections.to_pylist()[0])


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
    detection = judge(row, score)
    assert (detection["anomalous"], detection["tier"], detection["score"]) == (anomalous, 3, score)
    assert words in str(detection["reason"])


@pytest.mark.parametrize("z", [12.0, -12.0])
def test_an_extreme_point_is_anomalous_whatever_tier_3_says(z: float) -> None:
    row = judge(candidate(z=z, flagged=True), 0.1)
    assert (row["anomalous"], row["tier"], row["score"], row["model_version"]) == (True, 1, 0.75, "4")
    assert "so extreme that tier 1 decides alone" in str(row["reason"])


def test_just_below_twice_the_alarm_is_not_extreme() -> None:
    assert judge(candidate(z=11.999, flagged=True), 0.1)["anomalous"] is False


@pytest.mark.parametrize(("z", "flagged"), [(6.5, True), (1.0, False)])
def test_without_tier_3_the_alarm_of_tier_1_decides_and_the_reason_says_why(z: float, flagged: bool) -> None:
    silent = Opinion.unknown(1, "the scoring service did not answer in 5 s")
    detections = decide(batch(candidate(z=z, flagged=flagged)), {2: silent, 3: silent}, context(INFRASTRUCTURE))
    row = detections.to_pylist()[0]
    assert (row["anomalous"], row["tier"], row["model_version"]) == (flagged, 1, "4")
    assert row["score"] == pytest.approx(1 - 2 ** (-z / 6))
    assert str(row["reason"]).endswith("the scoring service did not answer in 5 s")


def test_unknown_stays_unknown() -> None:
    row = decide(batch(candidate(metric=None)), {3: Opinion.unknown(1, "away")}, context(INFRASTRUCTURE)).to_pylist()[0]
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
    opinions = {3: Opinion.of_scores(np.array([0.1, 0.1]), 0.6, "7")}
    detections = decide(batch(*rows), opinions, context(INFRASTRUCTURE, INFRASTRUCTURE))
    assert detections.column("service").to_pylist() == ["a", "b"]
    assert detections.column("anomalous").to_pylist() == [False, True]
    assert decide(batch(), {3: Opinion.unknown(0, "away")}, context()).num_rows == 0


def test_an_opinion_of_another_length_is_refused() -> None:
    with pytest.raises(ContractError, match="2 rows for 1 candidates"):
        decide(batch(candidate(z=1.0)), {3: Opinion.unknown(2, "away")}, context(INFRASTRUCTURE))
    with pytest.raises(ContractError, match="2 routes for 1 candidates"):
        decide(batch(candidate(z=1.0)), {}, context(BUSINESS, BUSINESS))


def ruled(row: dict[str, object], route: Route, opinions: dict[int, Opinion]) -> dict[str, object]:
    return dict(decide(batch(row), opinions, context(route)).to_pylist()[0])


def scored(score: float) -> Opinion:
    return Opinion(np.array([score]), np.array([score >= 0.6]), "7", details=["shares: lstm-autoencoder 0.70"])


FLAGGED, QUIET = candidate(z=6.5, flagged=True), candidate(z=1.0)
SILENT = Opinion.unknown(1, "season not established: 1.2 days of 2")
AWAY = Opinion.unknown(1, "scoring service unavailable")


@pytest.mark.parametrize(
    ("row", "route", "opinions", "anomalous", "tier", "words"),
    [
        (FLAGGED, BUSINESS, {2: season(845.2, 0.6)}, True, 2, "outside its seasonal band too"),
        (FLAGGED, BUSINESS, {2: season(845.2, 0.3)}, False, 2, "usual at this time"),
        (FLAGGED, BUSINESS, {2: season(845.2, 0.3), 3: scored(0.9)}, False, 2, "usual at this time"),
        (QUIET, BUSINESS, {2: season(845.2, 0.3)}, False, 2, "normal to both tiers"),
        (QUIET, BUSINESS, {2: season(845.2, 0.6)}, False, 2, "but tier 1 sees nothing and it is not far"),
        (QUIET | {"value": 1000.0}, BUSINESS, {2: season(1000.0, 0.75)}, True, 2, "so far outside its seasonal band"),
        (QUIET | {"value": 600.0}, BUSINESS, {2: season(600.0, 0.75)}, True, 2, "so far outside its seasonal band"),
        (FLAGGED, BUSINESS, {2: SILENT, 3: scored(0.9)}, True, 3, "tier 2 is silent (season not established: 1.2 days of 2), so"),
        (
            FLAGGED,
            BUSINESS,
            {2: SILENT, 3: scored(0.2)},
            False,
            3,
            "so tier 3 judges: tier 3 finds the service as a whole normal",
        ),
        (FLAGGED, BUSINESS, {2: SILENT, 3: AWAY}, True, 1, "tier 2: season not established: 1.2 days of 2; tier 3: scoring"),
        (FLAGGED, BUSINESS, {2: AWAY, 3: AWAY}, True, 1, "tier 1 alone raises the alarm: scoring service unavailable"),
        (QUIET, BUSINESS, {2: AWAY, 3: AWAY}, False, 1, "tier 1 alone raises no alarm"),
        (FLAGGED, INFRASTRUCTURE, {3: AWAY, 2: season(845.2, 0.6)}, True, 2, "tier 3 is silent (scoring service unavailable)"),
        (FLAGGED, INFRASTRUCTURE, {3: scored(0.9)}, True, 3, "strange too, score 0.90 (shares: lstm-autoencoder 0.70)"),
        (QUIET, INFRASTRUCTURE, {3: scored(0.9)}, False, 3, "but no metric of it is"),
        (QUIET, CRITICAL, {3: scored(0.9)}, True, 3, "for a critical service that suffices"),
        (QUIET, CRITICAL, {3: scored(0.2)}, False, 3, "normal to both tiers"),
        (FLAGGED, CRITICAL, {}, True, 1, "it was not asked"),
        (candidate(z=12.0, flagged=True), BUSINESS, {2: season(845.2, 0.1)}, True, 1, "so extreme that tier 1 decides alone"),
        (candidate(z=12.0, flagged=True), BUSINESS, {2: season(845.2, 0.9)}, True, 2, "outside its seasonal band too"),
        (candidate(z=12.0), INFRASTRUCTURE, {3: AWAY}, True, 1, "raises the alarm"),
    ],
)
def test_each_route_and_each_silence(
    row: dict[str, object], route: Route, opinions: dict[int, Opinion], anomalous: bool, tier: int, words: str
) -> None:
    detection = ruled(row, route, opinions)
    assert (detection["anomalous"], detection["tier"]) == (anomalous, tier)
    assert words in str(detection["reason"])
    assert str(detection["route"]).startswith(f"tier {route.tier}: {route.reason}; ")
    assert str(detection["route"]).endswith("routing 5eed")


def test_bounds_and_version_are_those_of_the_tier_that_decided() -> None:
    by_band = ruled(FLAGGED, BUSINESS, {2: season(845.2, 0.6)})
    assert [by_band[name] for name in ("expected", "lower", "upper", "model_version")] == [800.0, 700.0, 900.0, "bands-1"]
    alone = ruled(FLAGGED, BUSINESS, {2: SILENT})
    assert [alone[name] for name in ("expected", "lower", "upper", "model_version")] == [120.4, 60.5, 180.25, "4"]


def test_the_reason_says_how_rare_the_value_is_in_the_measured_past() -> None:
    past = measure(np.arange(2000) * 60_000_000, np.linspace(0.0, 800.0, 2000))
    measured = Context([INFRASTRUCTURE], [past], "5eed")
    row = decide(batch(FLAGGED), {3: scored(0.9)}, measured).to_pylist()[0]
    assert "alarm at 6.0), higher than all of its last 2,000 points; tier 3" in row["reason"]


flags = st.booleans()
numbers = st.floats(-50, 50) | st.none()
scores = st.floats(0, 1) | st.just(float("nan"))


@given(numbers, flags, scores, scores, st.sampled_from([INFRASTRUCTURE, BUSINESS, CRITICAL, Route(1, "gaps", (3,))]))
def test_a_flag_always_has_an_answer_and_only_a_tier_that_spoke_takes_it_back(
    z: float | None, flagged: bool, seasonal: float, learned: float, route: Route
) -> None:
    row = candidate(z=z, flagged=flagged)
    opinions = {2: season(845.2, seasonal, "no band for this series"), 3: scored(learned)}
    first, again = ruled(row, route, opinions), ruled(row, route, opinions)
    assert first["detection_id"] == again["detection_id"]
    assert str(first["reason"]) == str(again["reason"])
    answered = [tier for tier in route.confirmers if not np.isnan(opinions[tier].score[0])]
    if flagged and not first["anomalous"]:
        assert first["tier"] == answered[0]
        assert not opinions[answered[0]].strange[0]
    if not answered:
        assert first["tier"] == 1
        assert first["anomalous"] == (flagged or (z is not None and abs(z) >= 12.0))
    for tier in route.confirmers[: len(route.confirmers) if not answered else route.confirmers.index(answered[0])]:
        assert opinions[tier].silence_of(0) in str(first["reason"])
