"""What receivers send, on its way to the engine: entries of definitions, raw values and histograms become points to score.

Counters: every raw row and every point made of a histogram is one of `points_in`; a raw row that is part of a rate or of a
histogram to come, that was the first of its series or ended it, or that is NaN, is one of `points_folded`; one that came before,
of `points_repeated`. Numba and the kernels are loaded with the first entry, not with this module.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import SERIES
from data_contracts.schemas.wire_schemas import NORMALISED_POINTS
from data_contracts.values.moments import moment_of_us
from serving.stream import streams

if TYPE_CHECKING:
    from aiops.features.series_points import SeriesPoints
    from aiops.normalise.came_again import KeptAt
    from aiops.normalise.normaliser import Normalised, Normaliser, RawHistograms, RawPoints
    from aiops.types import IntArray

SOURCE: Final = "receiver"
_NO_ROOM: Final = "no room left for raw series: raise AIOPS_TELEMETRY__MAX_SERIES; a series that is silent for 2 h makes room"
_COLLIDED: Final = "its series id is that of another series, which stays: rename a label or the metric of one"


@dataclass(frozen=True, slots=True)
class ReceiverLimits:
    """Whose entries are taken, how many series may be scored, how long an incomplete histogram waits, what is too far ahead."""

    tenant: str
    max_series: int
    lateness_us: int
    future_tolerance_s: int


@dataclass(slots=True)
class Received:
    """What one entry gave: counters by name, dead letters, rows of the catalogue of series, and points to score."""

    counts: dict[str, int] = field(default_factory=dict)
    rejected: list[pa.RecordBatch] = field(default_factory=list)
    catalogue: list[pa.RecordBatch] = field(default_factory=list)
    points: "SeriesPoints | None" = None
    late: "LateRows | None" = None
    """What is too late: once the points are scored, `settle` says whether it came before."""


@dataclass(frozen=True, slots=True)
class LateRows:
    """Raw rows of an entry that are too late: all rows with their status, and which of them."""

    raw: "RawPoints | RawHistograms"
    status: npt.NDArray[np.int8]
    rows: "IntArray"


class ReceivedPoints:
    """The raw series of one tenant in one partition. `take` entries in stream order; `snapshot` and `restore` are exact."""

    def __init__(self, limits: ReceiverLimits, normaliser: "Normaliser | None" = None) -> None:
        self._limits = limits
        self._held = normaliser

    @classmethod
    def restore(cls, limits: ReceiverLimits, state: Mapping[str, npt.NDArray[Any]]) -> "ReceivedPoints":
        """Return what `snapshot` described; no state is that of one that was sent nothing.

        Raises:
            StateError: the state is damaged, or of another version.
        """
        if not state:
            return cls(limits)
        from aiops.normalise.normaliser import Normaliser, NormaliserConfig

        config = NormaliserConfig.of(limits.tenant, limits.max_series, limits.lateness_us)
        return cls(limits, Normaliser.restore(config, state))

    def snapshot(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the state as arrays; none where nothing was sent yet."""
        return {} if self._held is None else self._held.snapshot()

    def take(self, entry: streams.Entry, clock_us: int) -> Received:
        """Return what an entry of one of `streams.RECEIVED_KINDS` gives at `clock_us`.

        Raises:
            UndecodableError: the payload is not what its kind says.
        """
        from aiops.normalise import wire_columns

        if entry.kind == streams.KIND_DEFINITIONS:
            return self._define(wire_columns.definition_rows(entry.payload), clock_us)
        latest_us = clock_us + self._limits.future_tolerance_s * 1_000_000
        if entry.kind == streams.KIND_POINTS:
            points = wire_columns.point_columns(entry.payload)
            return self._made(self._normaliser.points(points, latest_us, clock_us), points, clock_us)
        histograms = wire_columns.histogram_columns(entry.payload)
        return self._made(self._normaliser.histograms(histograms, latest_us, clock_us), histograms, clock_us)

    def close_through(self, until_us: int, clock_us: int) -> Received:
        """Return what histograms up to `until_us` give as they are: the end of a stream."""
        if self._held is None:
            return Received()
        return self._made(self._held.close_through(until_us), None, clock_us)

    def settle(self, late: LateRows, kept_at: "KeptAt", clock_us: int) -> Received:
        """Return what became of rows that are too late: repeated where the engine holds them, else dead letters."""
        from aiops.normalise.came_again import LateValues
        from aiops.normalise.normaliser import RawPoints
        from aiops.normalise.raw_series import NEVER_US

        raw, rows = late.raw, late.rows
        value = raw.value if isinstance(raw, RawPoints) else raw.observed
        started = raw.started_us[rows] if raw.started_us.size else np.full(rows.size, NEVER_US)
        values = LateValues(raw.series_id[rows], raw.time_us[rows], started, value[rows])
        again = self._normaliser.came_again(values, kept_at)
        received = Received({"points_repeated": int(np.count_nonzero(again))})
        if not again.all():
            received.rejected.append(self._refused(raw, late.status, rows[~again], clock_us))
        return received

    @property
    def _normaliser(self) -> "Normaliser":
        if self._held is None:
            from aiops.normalise.normaliser import Normaliser, NormaliserConfig

            limits = self._limits
            self._held = Normaliser(NormaliserConfig.of(limits.tenant, limits.max_series, limits.lateness_us))
        return self._held

    def _define(self, table: pa.Table, clock_us: int) -> Received:
        from aiops.normalise.definitions import DefinitionFault, read_definitions
        from aiops.normalise.refused_rows import rejected_definitions
        from data_contracts.telemetry.codec import UndecodableError
        from data_contracts.telemetry.rejects import Refusal

        try:
            definitions = read_definitions(table, self._limits.tenant)
        except DefinitionFault as error:
            raise UndecodableError(str(error)) from error
        defined = self._normaliser.define(definitions, clock_us)
        received = Received({"series_defined": sum(rows.num_rows for rows in defined.catalogue)}, catalogue=defined.catalogue)
        for rows, refusal in (
            (defined.no_room, Refusal("too_many_series", "metric", _NO_ROOM)),
            (defined.collided, Refusal("series_collision", "metric", _COLLIDED)),
        ):
            if rows.size:
                refused = definitions.taken(rows).rows
                received.rejected.append(rejected_definitions(refused, refusal, moment_of_us(clock_us), SOURCE))
                received.counts["points_in"] = received.counts.get("points_in", 0) + rows.size
        return received

    def _made(self, made: "Normalised", raw: "RawPoints | RawHistograms | None", clock_us: int) -> Received:
        from aiops.normalise.raw_series import EMITTED, FOLDED, REPEATED, TOO_LATE
        from aiops.normalise.refused_rows import rejected_points_of

        status, fault = made.status, made.fault
        derived = int(np.count_nonzero(made.row < 0))
        folded, repeated = int(np.count_nonzero(status == FOLDED)), int(np.count_nonzero(status == REPEATED))
        counts = {"points_in": status.size + derived, "points_folded": folded, "points_repeated": repeated}
        received = Received(counts, points=made.points.by_time())
        refused = np.flatnonzero((status != EMITTED) & (status != FOLDED) & (status != REPEATED))
        if raw is not None and refused.size:
            late = status[refused] == TOO_LATE
            if late.any():
                received.late = LateRows(raw, status, refused[late])
            if not late.all():
                received.rejected.append(self._refused(raw, status, refused[~late], clock_us))
        if fault.any():
            beyond = made.points.taken(fault)
            names = beyond.names(np.arange(len(beyond)))
            received.rejected.append(rejected_points_of(names, beyond, moment_of_us(clock_us), SOURCE))
            received.points = made.points.taken(~fault).by_time()
        return received

    def _refused(
        self, raw: "RawPoints | RawHistograms", status: npt.NDArray[np.int8], rows: "IntArray", clock_us: int
    ) -> pa.RecordBatch:
        from aiops.normalise.normaliser import RawPoints
        from aiops.normalise.refused_rows import RefusedRows, rejected_raw

        names, roles = self._normaliser.described(raw.series_id[rows])
        times, ids = raw.time_us[rows], raw.series_id[rows]
        if isinstance(raw, RawPoints):
            refused = RefusedRows(names, roles, ids, times, raw.value[rows], status[rows])
        else:
            spans = [slice(raw.ends[row], raw.ends[row + 1]) for row in rows.tolist()]
            more = [
                {"sum": str(total), "upper": [str(bound) for bound in raw.upper[span]], "counts": raw.counts[span].tolist()}
                for total, span in zip(raw.total[rows].tolist(), spans, strict=True)
            ]
            refused = RefusedRows(names, roles, ids, times, raw.observed[rows], status[rows], more)
        return rejected_raw(refused, moment_of_us(clock_us), SOURCE)


def series_rows(points: "SeriesPoints", places: "IntArray") -> pa.RecordBatch:
    """Return some points as rows of schema `SERIES`: what dead letters are made of. Python a row."""
    names = points.names(places)
    coded: list[Any] = [
        pa.array([getattr(name, column) for name in names], pa.string()).dictionary_encode()
        for column in ("service", "metric", "labels")
    ]
    time = pa.array(points.time_us[places], pa.int64()).view(SERIES.field("timestamp").type)
    columns: list[Any] = [time, pa.array(points.series_id[places]), *coded, pa.array(points.value[places])]
    return pa.RecordBatch.from_arrays(columns, schema=SERIES)


def normalised_rows(points: "SeriesPoints", scored: npt.NDArray[np.bool_]) -> pa.RecordBatch:
    """Return the points that were scored (n,) as rows of schema NORMALISED_POINTS."""
    kept = points.taken(scored)
    time = pa.array(kept.time_us, pa.int64()).view(NORMALISED_POINTS.field("timestamp").type)
    columns: list[Any] = [time, pa.array(kept.series_id), pa.array(kept.value)]
    return pa.RecordBatch.from_arrays(columns, schema=NORMALISED_POINTS)
