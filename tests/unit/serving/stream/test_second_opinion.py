"""The second opinion of tier 1 within a partition: it flags, with words; features stay what they are; cuts and restores too."""

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from aiops.detection.decision import decide
from aiops.detection.levels import CATALOGUE_VERSION, CatalogueLevels, Tier1
from aiops.detection.opinions import Context, Opinion
from aiops.detection.routing import Router, RoutingRules
from aiops.detection.worst_point import CERTAIN, Finding, JudgedPoints, with_findings
from aiops.detection.worst_points_by_service import WorstPoints
from aiops.features.engine import EngineConfig
from aiops.features.series_names import SeriesNames
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.series.series_name import SeriesName
from data_contracts.telemetry.codec import encode
from data_contracts.values.moments import microseconds_of
from serving.stream import streams
from serving.stream.consumer.checkpoint import state_hash
from serving.stream.consumer.partition import Partition, PartitionConfig
from serving.stream.consumer.partition_step import Step
from serving.stream.consumer.second_opinion import Watched
from tests.testing.series_names import named

START = datetime(2026, 3, 2, tzinfo=UTC)
ROWS, STEP_S = 3500, 15
STUCK_AT, STEP_AT, LIMIT_AT = 3000, 3320, 2900
ROWS_AN_ENTRY = 4 * 50


def config(novelty: bool) -> PartitionConfig:
    tier1 = Tier1(CatalogueLevels(), CATALOGUE_VERSION)
    graph = ServiceGraph.from_pairs(())
    return PartitionConfig(EngineConfig(), graph, tier1, 60_000_000, 30_000_000, 10**13, 300, 100, Watched(novelty, novelty))


def values() -> dict[tuple[str, str], FloatArray]:
    """Return four series: one gets stuck, one moves to a level beyond all before, one reaches its limit, one does nothing."""
    rng = np.random.default_rng(4)
    made = {
        ("cart", "latency_p99_ms"): 200.0 + rng.normal(0.0, 10.0, ROWS),
        ("pay", "queue_length"): 50.0 + rng.normal(0.0, 2.0, ROWS),
        ("ship", "disk_utilization"): np.linspace(0.86, 0.995, ROWS) + rng.normal(0.0, 0.001, ROWS),
        ("web", "latency_p99_ms"): 100.0 + rng.normal(0.0, 5.0, ROWS),
    }
    made["cart", "latency_p99_ms"][STUCK_AT : STUCK_AT + 60] = 201.5
    made["pay", "queue_length"][STEP_AT : STEP_AT + 60] += 6.0
    return made


@cache
def entries() -> list[streams.Entry]:
    """Return the rows as entries of fifty; some points come late, some twice, some are not finite."""
    series = values()
    rows = [(START + timedelta(seconds=STEP_S * m), *name, value[m]) for m in range(ROWS) for name, value in series.items()]
    for at in range(123, 13_000, 1300):
        rows[at], rows[at + 9] = rows[at + 9], rows[at]
        rows[at + 20] = rows[at + 19]
        rows[at + 24] = (*rows[at + 24][:3], float("nan"))
    made = []
    for number, first in enumerate(range(0, len(rows), ROWS_AN_ENTRY)):
        part = rows[first : first + ROWS_AN_ENTRY]
        table = pa.table(
            {
                "timestamp": pa.array([row[0] for row in part], TIMESTAMP),
                "service": [row[1] for row in part],
                "metric": [row[2] for row in part],
                "value": [row[3] for row in part],
            }
        )
        newest = max(row[0] for row in part)
        made.append(streams.Entry(f"{number + 1}-0", streams.KIND_TELEMETRY, encode(table), 0, microseconds_of(newest)))
    return made


def written(batches: list[pa.RecordBatch]) -> bytes:
    return streams.to_ipc(pa.Table.from_batches(batches).combine_chunks())


def candidates(step: Step) -> pa.Table:
    return pa.Table.from_batches(step.candidates)


@cache
def applied(novelty: bool) -> tuple[Step, str]:
    partition = Partition.new(config(novelty))
    step = partition.apply(entries())
    return step, state_hash(partition.snapshot())


def flagged_rows(service: str, word: str) -> list[tuple[int, bool]]:
    """Return (row, certain) of the candidates of a service whose finding begins so."""
    rows = candidates(applied(True)[0]).to_pylist()
    flagged = [row for row in rows if row["service"] == service and (row["finding"] or "").startswith(word)]
    assert all(row["flagged"] for row in flagged)
    return [(round((row["point_timestamp"] - START).total_seconds() / STEP_S), row["certain"]) for row in flagged]


def test_a_stuck_series_is_flagged_with_certainty_and_again_when_twice_as_long() -> None:
    assert flagged_rows("cart", "stuck: ") == [(STUCK_AT + run - 1, True) for run in (12, 24, 48)]
    assert flagged_rows("web", "stuck: ") == []


def test_a_resource_that_fills_so_slowly_that_every_average_follows_is_flagged_at_its_limit() -> None:
    flagged = flagged_rows("ship", "at its hard limit: 0.98 or more")
    assert flagged
    assert all(at > LIMIT_AT and certain for at, certain in flagged)


def test_a_level_beyond_all_of_its_history_is_flagged_once_an_event_and_needs_confirmation() -> None:
    flagged_at = [at for at, certain in flagged_rows("pay", "rarer than anything in ") if not certain]
    assert len([at for at in flagged_at if STEP_AT <= at < STEP_AT + 60]) == 1
    assert len(flagged_at) <= 3


def test_features_and_counts_are_the_same_with_and_without() -> None:
    (on, _), (off, _) = applied(True), applied(False)
    assert on.counts == off.counts
    for name in ("series_features", "service_features", "rejected"):
        assert written(getattr(on, name)) == written(getattr(off, name))
    assert on.candidates
    assert off.candidates == [], "robust z alone sees none of it"


@pytest.mark.parametrize("size", [1, 7])
def test_any_cut_with_a_restore_at_each_gives_the_same_bytes(size: int) -> None:
    whole, expected = applied(True)
    partition, made = Partition.new(config(True)), []
    for first in range(0, len(entries()), size):
        made += partition.apply(entries()[first : first + size]).candidates
        if first % 3 == 0:
            partition = Partition.restore(config(True), partition.snapshot())
    assert written(made) == written(whole.candidates)
    assert state_hash(partition.snapshot()) == expected


def test_a_checkpoint_of_before_starts_the_second_opinion_anew() -> None:
    before = Partition.new(config(False))
    before.apply(entries()[:40])
    state = {name: array for name, array in before.snapshot().items() if name not in {"worst/finding", "worst/certain"}}
    after = Partition.restore(config(True), state)
    kept = Partition.restore(config(False), state)
    assert after.apply(entries()[40:]).counts == kept.apply(entries()[40:]).counts
    assert any(name.startswith("second/") for name in after.snapshot())
    assert not any(name.startswith("second/") for name in kept.snapshot())


def test_what_is_certain_is_the_worst_and_what_is_rare_is_a_flag_at_least() -> None:
    severity = with_findings(np.array([np.nan, 0.2, 3.0, 1e6]), {0: Finding("rare", False), 2: Finding("rare", False)})
    np.testing.assert_array_equal(severity, [1.0, 0.2, 3.0, 1e6])
    certain = {1: Finding("stuck", True)}
    number = np.arange(4.0)
    columns = (number, number, number, number, number, number, number, with_findings(severity, certain), np.ones(4))
    worst = WorstPoints(60_000_000, 30_000_000)
    place = np.zeros(4, np.int64)
    slot, series = np.array([0, 1, 0, 0], np.int32), SeriesNames.of([named("cart|cpu"), named('cart|disk{mount="/"}')])
    worst.add(JudgedPoints(series, slot, ["cart"], place, place + 5, *columns, findings=certain))
    point = worst.take("cart", 60_000_000)
    assert point is not None
    assert (point.series_id, point.labels) == (series[1].series_id, series[1].labels)
    assert (point.metric, point.finding, point.certain, point.severity) == ("disk", "stuck", True, CERTAIN)


def decided(word: str, score: float) -> dict[str, object]:
    """Return the detection of the first candidate with such a finding, where tier 3 scores its service `score` of 0.6."""
    rows = candidates(applied(True)[0])
    place = next(row for row, text in enumerate(rows["finding"].to_pylist()) if (text or "").startswith(word))
    row = rows.slice(place, 1).combine_chunks().to_batches()[0]
    router = Router(RoutingRules())
    cells = row.to_pylist()[0]
    context = Context(
        [router.route(SeriesName(cells["series_id"], cells["service"], cells["metric"], cells["labels"]))], [None], router.version
    )
    detection: dict[str, object] = decide(row, {3: Opinion.of_scores(np.array([score]), 0.6, "7")}, context).to_pylist()[0]
    return detection


def test_tier_1_decides_alone_about_what_no_other_tier_can_see() -> None:
    detection = decided("stuck", 0.1)
    assert (detection["anomalous"], detection["tier"], detection["metric"]) == (True, 1, "latency_p99_ms")
    assert float(str(detection["score"])) >= 0.5
    for words in (
        "stuck: 12 equal values in a row, at most 1 before",
        "no other tier can see this",
        "tier 3 scores the service 0.10",
    ):
        assert words in str(detection["reason"])


def test_what_is_rare_is_an_alarm_only_where_the_next_tier_agrees() -> None:
    refused, agreed = decided("rarer", 0.1), decided("rarer", 0.9)
    assert (refused["anomalous"], agreed["anomalous"]) == (False, True)
    assert "rows of its history: " in str(agreed["reason"])
    assert "tier 3 finds the service strange too" in str(agreed["reason"])
