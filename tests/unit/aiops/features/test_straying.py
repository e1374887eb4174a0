"""How often series stray, and what their doing so again weighs: the definition in plain Python, causal, and kept by a state."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.engine_snapshot import BEFORE_STRAYING
from aiops.features.series_state import SERIES_RECORD
from aiops.features.straying import note_tick, weighed_excess, weight_of
from aiops.topology.graph import ServiceGraph
from serving.stream.consumer.checkpoint import state_hash
from tests.unit.aiops.features.test_level_shifts import batch_of

STEP_US = 60_000_000
CALM = 0.5 / 1440
GRAPH = ServiceGraph.from_pairs(())
SCORES = st.lists(st.sampled_from([float("nan"), 0.0, 3.0, 5.99, 6.0, 40.0]), max_size=120)


class Counts:
    """The counts of a series that has not been seen for a week yet."""

    def __init__(self) -> None:
        self.seen = self.beyond = self.now = 0

    def note(self, worst: float) -> None:
        if math.isnan(worst):
            return
        if worst >= 6.0:
            if self.now == 20:
                self.seen, self.beyond = self.seen + 1, self.beyond + 1
            else:
                self.now += 1
            return
        self.seen += 2 if self.now else 1
        self.beyond += 1 if self.now else 0
        self.now = 0

    @property
    def weight(self) -> float:
        share = (self.beyond + CALM * 60) / (self.seen + 60)
        return math.log(share) / math.log(CALM)


def record_after(worst: list[float]) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    records = np.zeros(1, SERIES_RECORD)
    for size in worst:
        note_tick(records[0], STEP_US, size)
    return records


@given(SCORES)
def test_counts_are_those_of_the_definition(worst: list[float]) -> None:
    counts = Counts()
    for size in worst:
        counts.note(size)
    record = record_after(worst)[0]
    assert (record["seen"], record["beyond"], record["stray"]) == (counts.seen, counts.beyond, counts.now)
    assert weight_of(record, STEP_US) == pytest.approx(counts.weight, rel=1e-6)


def test_a_series_that_never_strayed_weighs_more_with_time_and_one_that_strays_in_a_tenth_of_its_ticks_little() -> None:
    assert weight_of(record_after([])[0], STEP_US) == pytest.approx(1.0)
    calm, chronic = record_after([1.0] * 1000)[0], record_after(([1.0] * 9 + [7.0]) * 100)[0]
    assert 1.3 < weight_of(calm, STEP_US) < 1.4
    assert weight_of(chronic, STEP_US) == pytest.approx(0.3, abs=0.02)
    beside, alone = weighed_excess(calm, STEP_US, 24.0)
    assert (beside, alone) == (pytest.approx(3.0), pytest.approx(3.0 * weight_of(calm, STEP_US)))
    assert max(weighed_excess(chronic, STEP_US, 100.0)) < 2.0
    for inside in (5.9, float("nan")):
        assert weighed_excess(calm, STEP_US, inside) == (0.0, 0.0)


def test_a_series_that_strays_now_is_weighed_by_what_was_before_until_it_is_a_habit() -> None:
    before = [1.0] * 300
    weights = [weight_of(record_after(before + [9.0] * ticks)[0], STEP_US) for ticks in (0, 1, 20, 60)]
    assert weights[0] == weights[1] == weights[2] > 1.0
    assert weights[3] < 0.3
    after = [weight_of(record_after([*before, *[9.0] * ticks, 1.0])[0], STEP_US) for ticks in (1, 15)]
    assert after[0] == after[1] < 1.0


def test_old_ticks_are_forgotten() -> None:
    record = record_after([9.0, 1.0] * 300)
    early = weight_of(record[0], STEP_US)
    for _ in range(5 * 7 * 1440):
        note_tick(record[0], STEP_US, 1.0)
    assert record["seen"][0] == pytest.approx(7 * 1440, rel=1e-3)
    assert early < 0.1
    assert weight_of(record[0], STEP_US) > 0.9


@settings(deadline=None, max_examples=15)
@given(st.lists(st.integers(40, 199), max_size=30, unique=True), st.integers(1, 199))
def test_points_have_the_weight_of_before_and_a_restart_changes_no_bit(strays: list[int], cut: int) -> None:
    values = 100.0 + np.random.default_rng(3).normal(0.0, 1.0, 200)
    values[strays] += 900.0
    whole = FeatureEngine(EngineConfig(), GRAPH)
    expected = whole.update(batch_of(values))
    engine = FeatureEngine(EngineConfig(), GRAPH)
    first = engine.update(batch_of(values[:cut]))
    engine = FeatureEngine.restore(EngineConfig(), GRAPH, engine.snapshot())
    second = engine.update(batch_of(values[cut:], first=cut))
    np.testing.assert_array_equal(np.concatenate([first.weight, second.weight]), expected.weight)
    assert state_hash(engine.snapshot()) == state_hash(whole.snapshot())
    assert (expected.weight[np.abs(np.nan_to_num(expected.z)) < 6.0] == 1.0).all()


def test_a_state_of_before_it_was_counted_goes_on_with_calm_series() -> None:
    engine = FeatureEngine(EngineConfig(), GRAPH)
    values = np.tile([0.0] * 9 + [900.0], 20)
    engine.update(batch_of(values))
    new = ("series_seen", "series_beyond", "series_stray")
    state = {name: array for name, array in engine.snapshot().items() if name not in new}
    restored = FeatureEngine.restore(EngineConfig(), GRAPH, state | {"version": np.array([BEFORE_STRAYING])}).snapshot()
    assert [restored[name].tolist() for name in new] == [[0.0]] * 3
