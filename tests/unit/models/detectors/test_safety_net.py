"""The safety net of tier 1: stuck series and hard limits, each judged by the series' own history; any cut, exact restore."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.errors import StateError
from aiops.features.series_index import NameHashes
from aiops.features.series_names import SeriesNames
from aiops.features.series_points import points_of_batch
from aiops.types import FloatArray, SeriesBatch
from data_contracts.schemas.telemetry_schemas import SERIES
from models.detectors.safety_net import AT_LIMIT, LEAST_RUN, NOTHING, QUIET_ROWS, STUCK, NetFindings, SafetyNet
from models.detectors.series_slots import SeriesSlots
from tests.testing.series_names import points

COUNTS = ("rows", "repeats", "run", "longest", "told", "limit_rows", "quiet")
START_US = 1_740_960_000_000_000


def rows(value: FloatArray, metric: str = "latency_p99_ms", services: int = 1) -> SeriesBatch:
    """Return the values, one after the other for `services` services in turn."""
    number = np.arange(value.size)
    service = pa.array([f"service-{service_number}" for service_number in (number % services).tolist()]).dictionary_encode()
    metrics = pa.array([metric] * value.size).dictionary_encode()
    times = pa.array(START_US + number * 60_000_000, SERIES.field("timestamp").type)
    return points(times, service, metrics, pa.array(value))


def moving(count: int, seed: int = 1) -> FloatArray:
    return 100.0 + np.random.default_rng(seed).normal(0.0, 5.0, count)


class Judge:
    """A net with numbers of series as an engine gives them."""

    def __init__(self, most: int = 1000) -> None:
        self.slots, self.net = SeriesSlots(most), SafetyNet()

    def judge(self, batch: SeriesBatch) -> NetFindings:
        seen = points_of_batch(batch, NameHashes())
        slot = self.slots.of(seen).astype(np.int32)
        return self.net.judge(seen.value, slot, self.slots.series)

    def restored(self) -> "Judge":
        back = Judge()
        back.slots, back.net = self.slots, SafetyNet.restore(self.net.snapshot(), self.slots.series)
        return back


@dataclass(frozen=True)
class Reported:
    stuck: list[int]
    limit: list[int]


def reported_in(value: FloatArray, metric: str = "latency_p99_ms") -> Reported:
    kind = Judge().judge(rows(value, metric)).kind
    return Reported(np.flatnonzero(kind == STUCK).tolist(), np.flatnonzero(kind == AT_LIMIT).tolist())


def test_a_series_that_never_stood_still_is_stuck_after_twelve_equal_values_and_reported_again_when_that_has_doubled() -> None:
    value = moving(400)
    value[300:360] = value[300]
    assert reported_in(value) == Reported([300 + run - 1 for run in (LEAST_RUN, 2 * LEAST_RUN, 4 * LEAST_RUN)], [])
    findings = Judge().judge(rows(value))
    assert (findings.run[311], findings.past[311]) == (LEAST_RUN, 1)


@pytest.mark.parametrize("kind", ["repeats", "short", "long before"])
def test_a_series_that_often_repeats_is_new_or_stood_still_as_long_before_is_not_stuck(kind: str) -> None:
    value = moving(400)
    if kind == "repeats":
        value[1:300:10] = value[0:299:10]
    if kind == "long before":
        value[200:208] = value[200]
    begin = 100 if kind == "short" else 300
    value[begin : begin + 20] = value[begin]
    assert reported_in(value) == Reported([], [])


def test_a_reported_run_does_not_make_the_next_one_longer_but_standing_still_often_becomes_normal() -> None:
    value = moving(6_000)
    begins = range(500, 5_500, 500)
    for begin in begins:
        value[begin : begin + 30] = value[begin]
    reported = [begin for begin in begins if begin + LEAST_RUN - 1 in reported_in(value).stuck]
    assert reported[:3] == [500, 1000, 1500][: len(reported[:3])]
    assert 1 <= len(reported) < len(begins)


def test_a_hard_limit_is_reported_at_once_and_then_seldom_unless_the_series_lives_there() -> None:
    value = np.full(1000, 0.4) + 0.01 * np.sin(np.arange(1000.0))
    value[5] = 0.99
    value[800:900] = 0.985 + 0.001 * np.sin(np.arange(100.0))
    findings = reported_in(value, "memory_utilization")
    assert findings.limit[:2] == [5, 800]
    assert all(after - before >= QUIET_ROWS for before, after in zip(findings.limit, findings.limit[1:], strict=False))
    assert reported_in(value).limit == [], "a latency has no limit"
    assert reported_in(np.full(500, 1.0) - 1e-3 * (np.arange(500) % 7), "cpu_utilization").limit == [0], "it lives there"


def test_series_without_a_number_are_left_out() -> None:
    net = Judge(1)
    stuck = np.concatenate([moving(400), np.full(40, 7.0)])
    kind = net.judge(rows(np.repeat(stuck, 2), services=2)).kind
    assert (kind[1::2] == NOTHING).all()
    assert STUCK in kind[::2]
    assert len(net.net) == 1


@given(st.lists(st.integers(0, 699), max_size=4), st.integers(0, 5))
def test_any_cut_with_a_restore_at_each_gives_the_same_findings(cuts: list[int], seed: int) -> None:
    value = np.round(moving(700, seed), 2)
    value[500:600] = 3.0
    value[620:640] = 1.0
    together = rows(value, "error_rate", services=2)
    whole = Judge()
    expected = whole.judge(together)
    net, kinds = Judge(), []
    for first, last in zip([0, *sorted(cuts)], [*sorted(cuts), 700], strict=True):
        kinds.append(net.judge(SeriesBatch(together.table.slice(first, last - first))).kind)
        net = net.restored()
    np.testing.assert_array_equal(np.concatenate(kinds), expected.kind)
    assert STUCK in expected.kind
    for name, array in whole.net.snapshot().items():
        np.testing.assert_array_equal(array, net.net.snapshot()[name])


def test_many_series_in_one_batch_are_judged_as_each_alone() -> None:
    value = np.round(moving(200 * 180), 2)
    value[-200 * 40 :: 2] = 3.0
    together = rows(value, services=200)
    kind = Judge().judge(together).kind
    for service in (0, 1, 198):
        alone = Judge().judge(SeriesBatch(together.table.take(np.arange(service, value.size, 200)))).kind
        np.testing.assert_array_equal(kind[service::200], alone)
    assert STUCK in kind


def test_a_damaged_state_is_refused() -> None:
    net = Judge()
    net.judge(rows(moving(10)))
    state = net.net.snapshot()
    too_many = {name: np.repeat(array, 2) for name, array in state.items()}
    for damaged in (
        too_many,
        {**state, "run": state["run"][:0]},
        {name: array for name, array in state.items() if name != "run"},
    ):
        with pytest.raises(StateError, match="warm up anew"):
            SafetyNet.restore(damaged, net.slots.series)


def test_a_state_that_names_its_series_goes_on_whatever_their_order() -> None:
    value = moving(400)
    value[300:] = value[299]
    together = rows(np.repeat(value, 2), services=2)
    first, rest = (SeriesBatch(together.table.slice(*span)) for span in ((0, 700), (700, 100)))
    judge = Judge()
    judge.judge(first)
    turned = judge.slots.series[::-1]
    named_state = SeriesSlots.of_series(5, turned).state()
    earlier = {name: array[::-1].astype(np.int64 if name in COUNTS else float) for name, array in judge.net.snapshot().items()}
    expected = judge.judge(rest).kind
    back = Judge()
    back.slots = judge.slots
    back.net = SafetyNet.restore({**earlier, **named_state}, judge.slots.series)
    np.testing.assert_array_equal(back.judge(rest).kind, expected)
    with pytest.raises(StateError, match="warm up anew"):
        SafetyNet.restore({**earlier, **named_state}, SeriesNames.of(turned[:1]))
