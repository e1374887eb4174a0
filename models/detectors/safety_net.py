"""Tier 1's safety net: a series at the hard limit of its metric, and one that is stuck, each judged by its own history.

Neither needs a model or a warm-up of averages, and no other tier sees them: a stuck value is a normal value, and a resource
that fills up slowly moves every average along.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from aiops.errors import StateError
from aiops.features.series_names import SeriesNames
from aiops.jit import kernel
from aiops.types import FloatArray, IntArray, State
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
Counts = npt.NDArray[np.int32]


class NetArrays(NamedTuple):
    """State by slot, (S,) each."""

    bound: FloatArray  # value from which the series is at its limit; infinite = its metric has none
    last: FloatArray  # newest value
    rows: Counts  # values before the current run
    repeats: Counts  # of those, the ones equal to the one before
    run: Counts  # newest values that are equal
    longest: Counts  # rows of the longest run before, those that were too long left out
    told: Counts  # name of the stored array: rows of the run when it was last reported; 0 = it was not
    limit_rows: Counts  # values at the limit so far
    quiet: Counts  # rows to come without a finding at the limit


class NetFindings(NamedTuple):
    """What the net says of rows, (n,) each."""

    kind: Counts  # NOTHING, AT_LIMIT or STUCK
    run: Counts  # STUCK: equal values so far
    past: Counts  # STUCK: rows of the longest run before
    bound: FloatArray  # AT_LIMIT: where the limit begins


class SafetyNet:
    """What is known of every series of an engine so far, by its number there; 44 B each. Not thread-safe.

    Split in batches or whole: the same findings.
    """

    def __init__(self) -> None:
        self._count = 0
        self._arrays = _empty(64)

    def __len__(self) -> int:
        return self._count

    def judge(self, value: FloatArray, slot: npt.NDArray[np.int32], series: SeriesNames) -> NetFindings:
        """Take finite values (n,) in, in arrival order, and return what is found in each.

        `slot`: the number of each row's series (n,), -1 = the row does not count. A run is reported when it is too long, and
        again each time it has doubled; a limit once in `QUIET_ROWS` rows.
        """
        self._make_room(series)
        count = value.size
        findings = NetFindings(np.zeros(count, np.int32), np.zeros(count, np.int32), np.zeros(count, np.int32), np.zeros(count))
        judge_rows(self._arrays, slot, value, findings)
        return findings

    def snapshot(self) -> State:
        """Return the whole state as arrays of their own."""
        return {name: array[: self._count].copy() for name, array in self._arrays._asdict().items()}

    @classmethod
    def restore(cls, state: State, series: SeriesNames) -> "SafetyNet":
        """Return the net that `snapshot` described, of these series; it goes on exactly.

        Raises:
            StateError: an array is missing or does not fit.
        """
        net = cls()
        try:
            places = _places(state, series)
            if places.max(initial=-1) >= len(series):
                raise IndexError(f"{places.size} rows for {len(series)} series")
            net._make_room(series)
            for name, array in net._arrays._asdict().items():
                array[places] = state[name].reshape(places.size)
        except (KeyError, ValueError, IndexError) as error:
            raise StateError(f"safety net's state is damaged ({type(error).__name__}: {error}); warm up anew") from error
        return net

    def _make_room(self, series: SeriesNames) -> None:
        known, count = self._count, len(series)
        if count == known:
            return
        room = self._arrays.last.size
        if count > room:
            self._arrays = _grown(self._arrays, max(count, 2 * room))
        bounds = np.array([hard_limit(metric) for metric in series.metrics.names])
        self._arrays.bound[known:count] = bounds[series.codes("metric")[known:]]
        self._count = count


def _places(state: State, series: SeriesNames) -> IntArray:
    """Return where in `series` the rows of a state belong; before they were in that order, a state named its series."""
    if "metrics" not in state:
        return np.arange(state["last"].size)
    earlier = SeriesSlots.of_state(len(series), state).series.ids
    place_of = dict(zip(series.ids.tolist(), range(len(series)), strict=True))
    return np.array([place_of[series_id] for series_id in earlier.tolist()], np.int64)


@kernel
def judge_rows(arrays: NetArrays, slot: Counts, value: FloatArray, findings: NetFindings) -> None:
    """Judge rows in arrival order; those with slot -1 are left out."""
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
    whole = [np.zeros(series, np.int32) for _ in range(7)]
    return NetArrays(np.full(series, np.inf), np.zeros(series), *whole)


def _grown(arrays: NetArrays, series: int) -> NetArrays:
    larger = _empty(series)
    for name, array in larger._asdict().items():
        kept = getattr(arrays, name)
        array[: kept.size] = kept
    return larger
