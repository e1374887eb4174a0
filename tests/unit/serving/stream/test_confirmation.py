"""Stage 2 asks the right tier about the right rows, falls back when one is silent, and puts off exactly what may come later."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.detection.detection_rows import context_of, judged
from aiops.detection.routing import Router, RoutingRules
from aiops.errors import AiopsError, ContractError, ModelNotFound, Unavailable
from data_contracts.schemas.telemetry_schemas import CANDIDATES
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.stream.consumer.circuit_breaker import BreakerState
from serving.stream.consumer.confirmation import LEARNED, SEASONAL, Confirmation, ConfirmingTiers
from serving.stream.consumer.consumer_metrics import ConsumerMetrics
from tests.testing.scoring_services import answer_of

TICK = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
ROUTER = Router(RoutingRules(critical_services=("pay",)))
BUSINESS, MACHINE = "requests_per_second", "cpu_utilization"


@dataclass(frozen=True, slots=True)
class Answered:
    rows: pa.RecordBatch
    model_version: str


@dataclass
class FakeModels:
    """The stand-in's answers without a socket; `failures` by path are raised instead. Asked rows are kept by path."""

    failures: dict[str, AiopsError] = field(default_factory=dict)
    asked: dict[str, list[int]] = field(default_factory=dict)
    seasons: bool = True

    def _answer(self, path: str, batch: pa.RecordBatch) -> Answered:
        self.asked.setdefault(path, []).append(batch.num_rows)
        if path in self.failures:
            raise self.failures[path]
        table = answer_of(path, pa.Table.from_batches([batch]))[1]
        if path == "/season" and not self.seasons:
            place = table.schema.get_field_index("score")
            table = table.set_column(place, "score", pa.nulls(table.num_rows, pa.float64()))
            place = table.schema.get_field_index("status")
            table = table.set_column(place, "status", pa.array(["season not established: 1 day of 2"] * table.num_rows))
        return Answered(table.combine_chunks().to_batches()[0], "3")

    def score(self, batch: pa.RecordBatch) -> Answered:
        return self._answer("/score", batch)

    def predict(self, batch: pa.RecordBatch) -> Answered:
        return self._answer("/predict_incident", batch)

    def season(self, batch: pa.RecordBatch) -> Answered:
        return self._answer("/season", batch)


def candidate(metric: str | None, flagged: bool = True, scheduled: bool = False, service: str = "cart") -> dict[str, object]:
    row: dict[str, object] = dict.fromkeys(CANDIDATES.names)
    keys = {"event_timestamp": TICK, "available_at": TICK, "service": service, "metric": metric, "abnormal_share": 0.3}
    point = {"value": 990.0, "z": 6.5, "alarm_z": 6.0, "score": 0.53, "expected": 800.0, "lower": 600.0, "upper": 970.0}
    known = point | {"point_timestamp": TICK} if metric else {}
    return row | keys | known | {"flagged": flagged, "scheduled": scheduled, "tier1_version": "4"}


def batch(*rows: dict[str, object]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=CANDIDATES)


def confirm(models: Any, rows: pa.RecordBatch, tiers: ConfirmingTiers | None = None) -> tuple[Confirmation, list[dict[str, Any]]]:
    """Return the confirmation and the detections that follow from it."""
    tiers = tiers or ConfirmingTiers(lambda _: models, ConsumerMetrics(), 0.0, threading.Event())
    context = context_of(rows, ROUTER)
    confirmation = tiers.confirm(DEFAULT_TENANT, rows, context)
    return confirmation, judged(rows, confirmation.opinions, context).to_pylist()


def test_each_row_goes_to_its_tier() -> None:
    models = FakeModels()
    rows = batch(candidate(BUSINESS), candidate(MACHINE), candidate(None, flagged=False, scheduled=True))
    confirmation, detections = confirm(models, rows)
    assert models.asked == {"/score": [2], "/predict_incident": [1], "/season": [1]}
    assert [row["tier"] for row in detections] == [2, 3]
    assert (detections[0]["expected"], detections[0]["anomalous"], detections[0]["model_version"]) == (800.0, True, "3")
    assert not confirmation.deferred.any()
    assert confirmation.predicted is not None


def test_a_scheduled_business_row_goes_to_both() -> None:
    models = FakeModels()
    _, detections = confirm(models, batch(candidate(BUSINESS, scheduled=True)))
    assert models.asked == {"/score": [1], "/predict_incident": [1], "/season": [1]}
    assert [row["tier"] for row in detections] == [2]


def test_no_season_falls_back_to_the_service_as_a_whole() -> None:
    models = FakeModels(seasons=False)
    confirmation, detections = confirm(models, batch(candidate(BUSINESS), candidate(MACHINE)))
    assert models.asked == {"/score": [1, 1], "/season": [1]}
    assert [row["tier"] for row in detections] == [3, 3]
    assert "tier 2 is silent (season not established: 1 day of 2), so tier 3 judges" in detections[0]["reason"]
    assert not confirmation.deferred.any()


def test_without_a_detector_the_bands_confirm_what_has_one() -> None:
    models = FakeModels({"/score": ModelNotFound("no champion of service-ensemble")})
    rows = batch(candidate(BUSINESS, service="pay"), candidate(MACHINE), candidate(BUSINESS), candidate(None, scheduled=True))
    confirmation, detections = confirm(models, rows)
    assert models.asked["/season"] == [3]
    assert [row["tier"] for row in detections] == [2, 1, 2, 1]
    assert "tier 3 is silent (no champion of service-ensemble), so tier 2 judges" in detections[0]["reason"]
    assert "tier 3: no champion of service-ensemble; tier 2: no band for this series" in detections[1]["reason"]
    assert confirmation.predicted is not None, "the predictor is asked although there is no detector"
    assert not confirmation.deferred.any(), "what is missing is not waited for"


def test_when_the_service_is_away_all_rows_wait_and_tier_1_speaks() -> None:
    models = FakeModels(dict.fromkeys(("/score", "/season", "/predict_incident"), Unavailable("refused")))
    rows = batch(candidate(BUSINESS), candidate(MACHINE, scheduled=True))
    confirmation, detections = confirm(models, rows)
    assert confirmation.deferred.all()
    assert confirmation.predictions_due
    assert [(row["tier"], row["anomalous"]) for row in detections] == [(1, True), (1, True)]
    assert all("scoring service unavailable" in row["reason"] for row in detections)
    assert "/season" not in models.asked, "one service: asking it again would only cost time"


def test_late_bands_put_off_their_rows_only_and_tier_3_judges_meanwhile() -> None:
    models = FakeModels({"/season": Unavailable("timed out")})
    rows = batch(candidate(BUSINESS), candidate(MACHINE, scheduled=True), candidate(BUSINESS, scheduled=True))
    confirmation, detections = confirm(models, rows)
    assert confirmation.deferred.tolist() == [True, False, True]
    assert not confirmation.predictions_due, "predictions were made: they come once"
    assert [row["tier"] for row in detections] == [3, 3, 3]
    assert "tier 2 is silent (scoring service unavailable: timed out), so tier 3 judges" in detections[0]["reason"]


def test_a_refusal_is_final() -> None:
    models = FakeModels({"/season": ContractError("no such column")})
    confirmation, detections = confirm(models, batch(candidate(BUSINESS)))
    assert not confirmation.deferred.any()
    assert "refused by the scoring service: no such column" in detections[0]["reason"]


def test_a_season_that_fails_does_not_stop_the_other_tier() -> None:
    models = FakeModels({"/season": Unavailable("timed out")})
    tiers = ConfirmingTiers(lambda _: models, ConsumerMetrics(), 0.0, threading.Event())
    confirm(models, batch(candidate(BUSINESS)), tiers)
    assert tiers.state is BreakerState.OPEN
    _, detections = confirm(models, batch(candidate(BUSINESS), candidate(MACHINE)), tiers)
    assert models.asked["/season"] == [1], "an open breaker is not asked through"
    assert [row["tier"] for row in detections] == [3, 3]


def test_tier_3_late_in_the_second_round_keeps_what_it_said_before() -> None:
    models = FakeModels(seasons=False)
    calls: list[int] = []
    answer: Callable[[pa.RecordBatch], Answered] = models.score

    def once(rows: pa.RecordBatch) -> Answered:
        calls.append(rows.num_rows)
        if len(calls) > 1:
            raise Unavailable("gone")
        return answer(rows)

    models.score = once  # type: ignore[method-assign]
    confirmation, detections = confirm(models, batch(candidate(BUSINESS), candidate(MACHINE)))
    assert confirmation.deferred.tolist() == [True, False]
    assert [row["tier"] for row in detections] == [1, 3]
    assert "tier 3: scoring service unavailable: gone" in detections[0]["reason"]


paths = st.sampled_from(["/score", "/season", "/predict_incident"])
errors = st.sampled_from([Unavailable("away"), ModelNotFound("none"), ContractError("no")])
rows_ = st.lists(
    st.builds(
        candidate,
        st.sampled_from([BUSINESS, MACHINE, "latency_p99_ms", None]),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["cart", "pay"]),
    ),
    min_size=1,
    max_size=8,
)


@settings(deadline=None)
@given(rows_, st.dictionaries(paths, errors), st.booleans())
def test_a_flag_is_never_dropped_in_silence(
    rows: list[dict[str, object]], failures: dict[str, AiopsError], seasons: bool
) -> None:
    candidates = batch(*rows)
    confirmation, detections = confirm(FakeModels(failures, seasons=seasons), candidates)
    flagged = sum(bool(row["flagged"]) for row in rows)
    assert len([row for row in detections if row["reason"]]) >= flagged
    assert {tier for row in detections for tier in [row["tier"]]} <= {1, SEASONAL, LEARNED}
    if not failures:
        assert not confirmation.deferred.any()
    waits = any(isinstance(error, Unavailable) for error in failures.values())
    assert confirmation.deferred.any() <= waits
    again = judged(candidates, confirmation.opinions, context_of(candidates, ROUTER)).to_pylist()
    assert repr(again) == repr(detections)
    assert np.array([row["detection_id"] for row in detections]).size == len(detections)


@pytest.mark.parametrize("name", ["aiops_asked_total", "aiops_fallbacks_total", "aiops_left_tier1_share"])
def test_the_consumer_counts_by_tier(name: str) -> None:
    from prometheus_client import generate_latest

    metrics = ConsumerMetrics()
    metrics.asked.labels("2").inc()
    metrics.fallbacks.labels("2", "late").inc()
    metrics.count_points({"points_in": 200})
    metrics.count_candidates(7, 4)
    assert name in generate_latest(metrics.registry).decode()
    assert "aiops_left_tier1_share 0.02" in generate_latest(metrics.registry).decode()


@pytest.mark.parametrize("error", [Unavailable("429: Too many requests at once"), ContractError("400: rows: too many")])
def test_a_service_that_refuses_is_one_line_not_one_a_batch(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    stop = threading.Event()
    stop.set()  # an attempt a question, no waiting

    def refused() -> Any:
        raise error

    for _ in range(300):
        ConfirmingTiers(lambda _: FakeModels(), ConsumerMetrics(), 0.0, stop).ask(LEARNED, refused, 10)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) <= 1
    assert all(record.exc_info is None for record in warnings)
