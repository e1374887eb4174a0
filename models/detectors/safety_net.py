"""Tier 1's safety net: a series at the hard limit of its metric, and one that is stuck, each judged by its own history.

Neither needs a model or a warm-up of averages, and no other tier sees them: a stuck value is a normal value, and a resource
that fills up slowly moves every average along.
"""

from typing import Final, NamedTuple

import numpy as np

from aiops.errors import StateError
from aiops.features.series_index import NameHashes
from aiops.features.series_points import SeriesPoints, points_of_batch
from aiops.jit import kernel
from aiops.types import FloatArray, IntArray, SeriesBatch, State
from data_contracts.schemas.metrics import hard_limit
from models.detectors.series_slots import SeriesSlots

STANDING_SHARE: Final = 0.05
"""A series of which this share of the past rows were at the limit, or repeated the one before, is like that: no finding."""
LEAST_RUN: Final = 12
"""Equal values in a row that are never too many."""
TIMES_LONGEST: Final = 3
"""A run is too long when it has this many times the rows of the longest one before."""
LEARN_ROWS: Final = 120
"""Rows of a series before a run of it can be too long."""
QUIET_ROWS: Final = 60
"""After a finding at the limit the next one is this many rows away at least."""
NOTHING, AT_LIMIT, STUCK = 0, 1, 2


class NetArrays(NamedTuple):
    """State by slot, (S,) each."""

    bound: FloatArray  # value from which the series is at its limit; infinite = its metric has none
    last: FloatArray  # newest value
    rows: IntArray  # values before the current run
    repeats: IntArray  # of those, the ones equal to the one before
    run: IntArray  # newest values that are equal
    longest: IntArray  # rows of the longest run before, those that were too long left out
    told: IntArray  # name of the stored array: rows of the run when it was last reported; 0 = it was not
    limit_rows: IntArray  # values at the limit so far
    quiet: IntArray  # rows to come without a finding at the limit


class NetFindings(NamedTuple):
    """What the net says of rows, (n,) each."""

    kind: IntArray  # NOTHING, AT_LIMIT or STUCK
    run: IntArray  # STUCK: equal values so far
    past: IntArray  # STUCK: rows of the longest run before
    bound: FloatArray  # AT_LIMIT: where the limit begins


class SafetyNet:
    """What is known of every series so far; 72 B each. Split in batches or whole: the same findings. Not thread-safe."""

    def __init__(self, max_series: int) -> None:
        self._max_series = max_series
        self._slots = SeriesSlots(max_series)
        self._arrays = _empty(64)

    def __len__(self) -> int:
        return len(self._slots)

    def judge(self, batch: SeriesBatch) -> NetFindings:
        """Take finite rows in, in arrival order, and return what is found in each: `judge_points` of them."""
        return self.judge_points(points_of_batch(batch, NameHashes()))

    def judge_points(self, points: SeriesPoints) -> NetFindings:
        """Take finite points in, in arrival order, and return what is found in each.

        A run is reported when it is too long, and again each time it has doubled; a limit once in `QUIET_ROWS` rows.
        """
        count = len(points)
        findings = NetFindings(np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(count))
        if count:
            slot = self._slots_of(points)
            judge_rows(self._arrays, slot, points.value, findings)
        return findings

    def snapshot(self) -> State:
        """Return the whole state as arrays of their own."""
        count = len(self._slots)
        return {**{name: array[:count].copy() for name, array in self._arrays._asdict().items()}, **self._slots.state()}

    @classmethod
    def restore(cls, max_series: int, state: State) -> "SafetyNet":
        """Return the net that `snapshot` described; it goes on exactly.

        Raises:
            StateError: an array is missing or does not fit.
        """
        net = cls(max_series)
        try:
            net._slots = SeriesSlots.of_state(max_series, state)
            count = len(net._slots)
            net._arrays = _empty(max(64, count))
            for name, array in net._arrays._asdict().items():
                array[:count] = state[name].reshape(count)
        except (KeyError, ValueError) as error:
            raise StateError(f"safety net's state is damaged ({type(error).__name__}: {error}); warm up anew") from error
        return net

    def _slots_of(self, points: SeriesPoints) -> IntArray:
        known = len(self._slots)
        slot = self._slots.of(points)
        count = len(self._slots)
        if count > known:
            room = self._arrays.last.size
            if count > room:
                self._arrays = _grown(self._arrays, max(count, 2 * room))
            self._arrays.bound[known:count] = [hard_limit(name.metric) for name in self._slots.series[known:]]
        return slot


@kernel
def judge_rows(arrays: NetArrays, slot: IntArray, value: FloatArray, findings: NetFindings) -> None:
    """Judge rows in arrival order; those without a slot are left out."""
    for i in range(slot.size):
        at = slot[i]
        if at < 0:
            continue
        limit_rows = arrays.limit_rows[at]
        past = arrays.rows[at] + arrays.run[at]
        count_run(arrays, at, value[i])
        run = arrays.run[at]
        longest = arrays.longest[at]
        standing = arrays.repeats[at] >= STANDING_SHARE * arrays.rows[at] or arrays.rows[at] < LEARN_ROWS
        if not standing and run >= max(LEAST_RUN, TIMES_LONGEST * longest) and run >= 2 * arrays.told[at]:
            arrays.told[at] = run
            findings.kind[i] = STUCK
            findings.run[i] = run
            findings.past[i] = longest
        arrays.quiet[at] = max(0, arrays.quiet[at] - 1)
        if value[i] >= arrays.bound[at]:
            arrays.limit_rows[at] = limit_rows + 1
            if arrays.quiet[at] == 0 and limit_rows <= STANDING_SHARE * max(past, LEARN_ROWS):
                arrays.quiet[at] = QUIET_ROWS
                findings.kind[i] = AT_LIMIT
                findings.bound[i] = arrays.bound[at]


@kernel
def count_run(arrays: NetArrays, at: int, value: float) -> None:
    """Take one value in: the run goes on, or it is over and part of the past."""
    run = arrays.run[at]
    if run > 0 and value == arrays.last[at]:
        arrays.run[at] = run + 1
        return
    if run > 0:
        arrays.rows[at] += run
        arrays.repeats[at] += run - 1
        if arrays.told[at] == 0:
            arrays.longest[at] = max(arrays.longest[at], run)
    arrays.last[at] = value
    arrays.run[at] = 1
    arrays.told[at] = 0


def _empty(series: int) -> NetArrays:
    whole = [np.zeros(series, np.int64) for _ in range(7)]
    return NetArrays(np.full(series, np.inf), np.zeros(series), *whole)


def _grown(arrays: NetArrays, series: int) -> NetArrays:
    larger = _empty(series)
    for name, array in larger._asdict().items():
        kept = getattr(arrays, name)
        array[: kept.size] = kept
    return larger
