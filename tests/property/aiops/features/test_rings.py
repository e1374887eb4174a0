"""Rings of points hold what a sorted list holds, in whatever class and form they lie, and stay in the order of their values."""

from bisect import insort
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.features.engine import EngineConfig
from aiops.features.series_arenas import empty_arrays, grown
from aiops.features.series_state import HOUR_US, REPEATED, SCORED, UNIT, WIDE_US, EngineArrays, EngineParameters, new_slot
from aiops.features.window_order import order_window
from aiops.features.windows import admit_late, forget, keep, place_at, put_next, time_of, without_times
from aiops.types import IntArray

SECOND = 1_000_000
START = 1_760_000_000 * SECOND
STEPS = st.one_of(st.just(60), st.just(60), st.just(60), st.integers(-200, 400), st.sampled_from([0, 3600, 5000, -3599]))


@dataclass
class Rings:
    """Two series in one state: what happens to one must never be seen in the other."""

    config: EngineConfig
    points: list[list[tuple[int, float]]] = field(default_factory=lambda: [[], []])

    def __post_init__(self) -> None:
        self.parameters: EngineParameters = self.config.parameters()
        self.arrays: EngineArrays = empty_arrays(self.parameters, 2, UNIT)
        for slot in range(2):
            assert new_slot(self.arrays, self.parameters, slot, 0, slot) == slot

    def put(self, slot: int, time: int, value: float) -> None:
        """Admit and keep a point in the ring, and in the list by the plain rules."""
        record, held = self.arrays.series[slot], self.points[slot]
        in_order = not held or time > held[-1][0]
        values = dict(held)
        known = time in values
        full = len(held) == self.config.window_points
        refused = not in_order and (known or time <= held[-1][0] - HOUR_US or (full and time < held[0][0]))
        if not in_order:
            status = admit_late(self.arrays, record, self.parameters, time, value)
            assert (status != SCORED) == refused
            assert (status == REPEATED) == (known and time > held[-1][0] - HOUR_US and values[time] == float(np.float32(value)))
        if refused:
            return
        if not put_next(self.arrays, record, self.parameters, time, value):
            while not keep(self.arrays, record, self.parameters, time, value):
                self.arrays = grown(self.arrays, self.parameters)
        if in_order:
            span = HOUR_US + self.parameters.lateness_us + self.parameters.step_us
            held[:] = [point for point in held if point[0] > time - span]
        if len(held) == self.config.window_points:
            del held[0]
        insort(held, (time, float(np.float32(value))))

    def kept(self, slot: int) -> list[tuple[int, float]]:
        """Return what the ring holds."""
        record, values = self.arrays.series[slot], self.arrays.values[int(self.arrays.series[slot]["at"]) * UNIT :]
        numbers = range(int(record["count"]))
        return [(time_of(self.arrays, record, i), float(values[place_at(record, i)])) for i in numbers]

    def order(self, slot: int, low: int, high: int) -> list[float]:
        """Return the values of some points by the ring's order."""
        record = self.arrays.series[slot]
        value = np.array([value for _, value in self.kept(slot)[low:high]], np.float32)
        order_window(self.arrays, record, low, value, np.zeros(value.size + 2, self.arrays.order.dtype))
        at = int(record["at"]) * UNIT
        places: IntArray = self.arrays.order[at : at + high - low].astype(np.int64)
        return [float(value) for value in self.arrays.values[at + places]]


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 1), STEPS, st.integers(-4, 4)), min_size=1, max_size=150),
    st.sampled_from([16, 17, 40, 240, 300]),
    st.sampled_from([EngineConfig(step_s=60, lateness_s=30), EngineConfig(step_s=300, lateness_s=600)]),
    st.integers(0, 2**32),
)
def test_a_ring_holds_what_a_list_holds(
    moves: list[tuple[int, int, int]], window_points: int, grid: EngineConfig, seed: int
) -> None:
    rings = Rings(replace(grid, window_points=window_points))
    assert (rings.arrays.times.itemsize == 8) == (HOUR_US + (grid.step_s + grid.lateness_s) * SECOND >= WIDE_US)
    rng, ordered = np.random.default_rng(seed), [0, 0]
    for slot, step_s, value in moves:
        newest = rings.points[slot][-1][0] if rings.points[slot] else START
        rings.put(slot, newest + step_s * SECOND, float(value) + 0.1)
        held, record = rings.points[slot], rings.arrays.series[slot]
        assert rings.kept(slot) == held
        assert record["newest"] == held[-1][0]
        if rng.random() < 0.5:
            continue
        horizon = held[0][0] - 1 + int(rng.integers(0, 2)) * 60 * SECOND
        if horizon < held[-1][0]:
            forget(rings.arrays, record, horizon)
            held[:] = [point for point in held if point[0] > horizon]
        if record["times_at"] >= 0 and len(held) > 2:
            without_times(rings.arrays, record)
        ordered[slot] = len(held) - int(rng.integers(0, min(3, len(held))))
        assert rings.order(slot, 0, ordered[slot]) == sorted(value for _, value in held[: ordered[slot]])
        assert rings.kept(slot) == held
    for slot in range(2):
        assert rings.kept(slot) == rings.points[slot]


@pytest.mark.parametrize("interval_s", [60, 10])
def test_points_equally_far_apart_take_no_times_and_get_them_back_for_a_gap(interval_s: int) -> None:
    rings = Rings(EngineConfig())
    for number in range(50):
        rings.put(0, START + number * interval_s * SECOND, 1.0)
    record = rings.arrays.series[0]
    assert record["times_at"] < 0
    rings.put(0, START + 52 * interval_s * SECOND, 1.0)
    assert record["times_at"] >= 0
    for number in range(53, 90):
        rings.put(0, START + number * interval_s * SECOND, 1.0)
    forget(rings.arrays, record, START + 51 * interval_s * SECOND)
    without_times(rings.arrays, record)
    assert record["times_at"] < 0
    assert rings.kept(0) == [(START + number * interval_s * SECOND, 1.0) for number in range(52, 90)]
