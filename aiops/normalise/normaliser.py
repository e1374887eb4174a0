"""The normaliser: raw values of one tenant in one partition in, points to score out. Exact state, bounded memory.

The result is a function of definitions and values in order of arrival; how they are cut into calls never matters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from aiops.errors import StateError
from aiops.features.series_points import SeriesPoints
from aiops.normalise.came_again import Flags, KeptAt, LateValues, came_again
from aiops.normalise.classic_histograms import MOST_A_ROW, close_over
from aiops.normalise.definitions import Definitions
from aiops.normalise.distributions import Emitted, emitted_room
from aiops.normalise.families import ARENA_END, ARENA_WASTE
from aiops.normalise.normaliser_snapshot import pack, unpack
from aiops.normalise.raw_points import apply_points
from aiops.normalise.raw_series import CLOCK, NEVER_US, NEXT_EXPIRY, Bounds, RawRows, find_rows
from aiops.normalise.series_book import BookLimits, Defined, SeriesBook
from aiops.normalise.whole_histograms import HistogramRows, apply_histograms, packed_arena
from aiops.types import FloatArray, IntArray, State
from data_contracts.series.series_name import SeriesName

Number = TypeVar("Number", bound=np.generic)
IDLE_US: Final = 7_200_000_000
"""A series may be forgotten after 2 h without a value or definition: receivers announce what still sends every 10 min."""
RAW_A_SCORED: Final = 4
"""Raw series a partition may know for each that it may score: buckets come many to a histogram."""
SLACK_US: Final = 1_000_000
"""A histogram is closed this much before the lateness of ticks is over, so that its points are in time for their tick."""


@dataclass(frozen=True, slots=True)
class NormaliserConfig:
    """Whose raw series are normalised, how many there may be, and how long an incomplete histogram waits, us."""

    tenant: str
    max_series: int
    wait_us: int
    idle_us: int = IDLE_US

    @classmethod
    def of(cls, tenant: str, max_scored: int, lateness_us: int) -> "NormaliserConfig":
        """Return the configuration for an engine of so many series, whose ticks wait that long."""
        return cls(tenant, RAW_A_SCORED * max_scored, max(0, lateness_us - SLACK_US))


@dataclass(frozen=True, slots=True)
class RawPoints:
    """Raw values in order of arrival, (n,) each; `started_us`: (n,), NEVER_US = not said, or no rows = said for none."""

    time_us: IntArray
    series_id: IntArray
    value: FloatArray
    started_us: IntArray


@dataclass(frozen=True, slots=True)
class RawHistograms:
    """Whole histograms in order of arrival, (n,) each; row i has the buckets ends[i] to ends[i + 1] of the last two columns."""

    time_us: IntArray
    series_id: IntArray
    started_us: IntArray
    observed: FloatArray
    total: FloatArray
    ends: IntArray
    upper: FloatArray
    counts: FloatArray


@dataclass(frozen=True, slots=True)
class Normalised:
    """What became of raw rows: `status` (n,), see `raw_series`; and the points made, in order (m,).

    `row`: the raw row that a point is of, -1 = made of several; `fault`: beyond the limits of its metric, not to be scored.
    """

    status: npt.NDArray[np.int8]
    points: SeriesPoints
    row: IntArray
    fault: npt.NDArray[np.bool_]


class Normaliser:
    """State of the raw series of one tenant in one partition. Not thread-safe."""

    def __init__(self, config: NormaliserConfig) -> None:
        self._config = config
        self._book = SeriesBook(BookLimits(config.tenant, config.max_series, config.idle_us))

    def __len__(self) -> int:
        return len(self._book)

    def define(self, definitions: Definitions, first_seen_us: int) -> Defined:
        """Take definitions in, in order of arrival; `first_seen_us`: of those that are new."""
        return self._book.define(definitions, first_seen_us)

    def points(self, raw: RawPoints, latest_us: int, clock_us: int) -> Normalised:
        """Take raw values in that arrived at `clock_us`; those of times later than `latest_us` are refused."""
        status = np.empty(raw.value.size, np.int8)
        slots = find_rows(self._book.state.raw, raw.series_id)
        rows = RawRows(raw.time_us, slots, raw.value, raw.value.view(np.int64), raw.started_us, status)

        def apply(first: int, out: Emitted) -> int:
            return apply_points(self._book.state, rows, Bounds(first, latest_us), out)

        return self._normalised(status, apply, self._overdue(clock_us))

    def histograms(self, raw: RawHistograms, latest_us: int, clock_us: int) -> Normalised:
        """Take whole histograms in that arrived at `clock_us`; those of times later than `latest_us` are refused."""
        status = np.empty(raw.observed.size, np.int8)
        slots = find_rows(self._book.state.raw, raw.series_id)
        observed, total = ((column, column.view(np.int64)) for column in (raw.observed, raw.total))
        rows = HistogramRows(raw.time_us, slots, raw.started_us, *observed, *total, raw.ends, raw.upper, raw.counts, status)
        most = int(np.diff(raw.ends).max(initial=0))

        def apply(first: int, out: Emitted) -> int:
            self._reserve(most)
            return apply_histograms(self._book.state, rows, Bounds(first, latest_us), out)

        return self._normalised(status, apply, self._overdue(clock_us))

    def close_through(self, until_us: int) -> Normalised:
        """Evaluate the histograms of times up to `until_us` as they are: the end of a stream or of a window."""
        return self._normalised(np.empty(0, np.int8), lambda *_: 0, self._closed(until_us, NEVER_US))

    def name_of(self, slot_or_derived: int) -> SeriesName:
        """Return the name of a point's source."""
        return self._book.name_of(slot_or_derived)

    def described(self, series_id: IntArray) -> tuple[list[SeriesName | None], npt.NDArray[np.uint8]]:
        """Return names (None = not defined) and numbers of roles of raw series by id. Python a row: for dead letters."""
        slots = find_rows(self._book.state.raw, series_id)
        names = [self._book.name_of(slot) if slot >= 0 else None for slot in slots.tolist()]
        return names, self._book.state.raw.records["role"][slots]

    def came_again(self, late: LateValues, kept_at: KeptAt) -> Flags:
        """Return (n,) which values that are too late came before, by what the engine holds of them."""
        return came_again(self._book.state, late, kept_at)

    def snapshot(self) -> State:
        """Return the whole state as arrays of its own, the same for equal states."""
        return pack(self._book)

    @classmethod
    def restore(cls, config: NormaliserConfig, state: State) -> "Normaliser":
        """Return the normaliser that `snapshot` described; it goes on bit for bit. An empty state is one that has seen nothing.

        Raises:
            StateError: the state is damaged, or of another version.
        """
        normaliser = cls(config)
        if state:
            try:
                unpack(normaliser._book, state)
            except (KeyError, ValueError, IndexError) as error:
                message = (
                    f"normaliser's state is damaged ({type(error).__name__}: {error}); remove the checkpoint to warm up anew"
                )
                raise StateError(message) from error
        return normaliser

    def _reserve(self, buckets: int) -> None:
        """Make room in the arena for one more histogram."""
        families = self._book.state.families
        free = families.arena.shape[1] - int(families.counters[ARENA_END])
        if free < buckets + 8:
            used = int(families.counters[ARENA_END]) - int(families.counters[ARENA_WASTE])
            arena = packed_arena(families, 2 * used + 16 * (buckets + 8))
            self._book.state = self._book.state._replace(families=families._replace(arena=arena))

    def _overdue(self, clock_us: int) -> list[Emitted]:
        """Move the clock of arrivals; evaluate the histograms that have waited long enough."""
        counters = self._book.state.raw.counters
        if clock_us <= counters[CLOCK]:
            return []
        counters[CLOCK] = clock_us
        arrived_us = clock_us - self._config.wait_us
        return self._closed(NEVER_US, arrived_us) if counters[NEXT_EXPIRY] <= arrived_us else []

    def _closed(self, until_us: int, arrived_us: int) -> list[Emitted]:
        made, done = [], False
        while not done:
            out = emitted_room(64 * MOST_A_ROW)
            done = close_over(self._book.state, until_us, arrived_us, out)
            made.append(_filled(out))
        return made

    def _normalised(self, status: npt.NDArray[np.int8], apply: Callable[[int, Emitted], int], made: list[Emitted]) -> Normalised:
        """Run a kernel until it has done all rows, with an empty `out` each time that it stops; its points follow `made`."""
        reached = -1
        while reached < status.size:
            out = emitted_room(status.size + 16 * MOST_A_ROW)
            reached = apply(max(reached, 0), out)
            made.append(_filled(out))
        points = SeriesPoints(
            _joined([out.time for out in made]),
            _joined([out.key for out in made]),
            _joined([out.name for out in made]),
            _joined([out.value for out in made]),
            self._names_at(_joined([out.source for out in made])),
        )
        return Normalised(status, points, _joined([out.row for out in made]), _joined([out.fault for out in made]) != 0)

    def _names_at(self, source: IntArray) -> Callable[[IntArray], Sequence[SeriesName]]:
        return lambda rows: [self._book.name_of(number) for number in source[rows].tolist()]


def _filled(out: Emitted) -> Emitted:
    """Return the points that were made, without the room behind them."""
    made = int(out.made[0])
    columns = (out.time[:made], out.key[:made], out.name[:made], out.value[:made], out.source[:made], out.row[:made])
    return Emitted(*columns, out.fault[:made], out.made)


def _joined(parts: "list[npt.NDArray[Number]]") -> "npt.NDArray[Number]":
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
