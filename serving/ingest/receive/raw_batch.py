"""What a body adds to the streams, as arrays by partition; batches of several requests become entries together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.schemas.wire_schemas import EXEMPLARS, SERIES_DEFINITIONS, WIRE_HISTOGRAMS, WIRE_POINTS
from data_contracts.values.coerce import AnyArray
from serving.ingest.leader_terms import LeaderTerm
from serving.ingest.producer_sequence import EncodedEntry
from serving.ingest.receive.replica_election import ReplicaElection
from serving.ingest.receive.series_identity import Identity
from serving.ingest.receive.series_table import SeriesTable
from serving.ingest.receive.wire.decoded import Float64s, HistogramColumns, Int64s
from serving.ingest.topic_positions import Advance
from serving.stream import streams

Row = TypeVar("Row")

MOST_ROWS: Final = 65_536
"""Rows of an entry at most."""


class Definition(NamedTuple):
    """A series that is defined: its id, that of its family (None = of none), and what it is."""

    series_id: int
    family_id: int | None
    identity: Identity


class PointArrays(NamedTuple):
    """(n,) raw points; a start of 0 is not said."""

    time_us: Int64s
    series_id: Int64s
    value: Float64s
    start_us: Int64s

    def rows(self, chosen: "slice | Int64s") -> "PointArrays":
        """Return some of the points."""
        return PointArrays(self.time_us[chosen], self.series_id[chosen], self.value[chosen], self.start_us[chosen])


class HistogramArrays(NamedTuple):
    """(h,) whole histograms; buckets of row i are bounds[i]:bounds[i + 1] of upper and counts; a sum of NaN is not said."""

    time_us: Int64s
    series_id: Int64s
    start_us: Int64s
    observations: Float64s
    sum: Float64s
    bounds: Int64s
    upper: Float64s
    counts: Float64s


class ExemplarRow(NamedTuple):
    """One exemplar; empty ids are not said."""

    time_us: int
    series_id: int
    value: float
    trace_id: str
    span_id: str


class Touched(NamedTuple):
    """Slots of a table whose newest points and definitions are in a batch, as of a generation of the table."""

    table: SeriesTable
    generation: int
    slots: Int64s

    def take_back(self) -> None:
        """Let the points be taken again when they are sent again: the batch did not reach the broker."""
        if self.table.generation == self.generation:
            self.table.unsent(self.slots)
        else:
            self.table.unsent_all()


class Led(NamedTuple):
    """The terms of the leaders of HA pairs whose points are in a batch, as an election knew them."""

    election: ReplicaElection
    terms: set[LeaderTerm]

    def take_back(self) -> None:
        """Let it be agreed again who leads."""
        self.election.forget(term.pair for term in self.terms)


class Place(NamedTuple):
    """A tenant's part of a partition."""

    tenant: str
    partition: int


@dataclass(slots=True)
class Share:
    """What goes to one place."""

    definitions: list[Definition] = field(default_factory=list)
    points: list[PointArrays] = field(default_factory=list)
    histograms: list[HistogramArrays] = field(default_factory=list)
    exemplars: list[ExemplarRow] = field(default_factory=list)

    def newest_us(self) -> int:
        """Return the newest event time of points and histograms, 0 where there are none."""
        arrays = [points.time_us for points in self.points] + [histograms.time_us for histograms in self.histograms]
        return max((int(times.max()) for times in arrays if len(times)), default=0)

    def take_in(self, other: "Share") -> None:
        """Add another share behind this one."""
        self.definitions += other.definitions
        self.points += other.points
        self.histograms += other.histograms
        self.exemplars += other.exemplars


@dataclass(slots=True)
class RawBatch:
    """All that one or more bodies add; `signals` are entries of logs and spans that are encoded already.

    `advances`: positions of topics that move with it.
    """

    shares: dict[Place, Share] = field(default_factory=dict)
    signals: list[EncodedEntry] = field(default_factory=list)
    touched: list[Touched] = field(default_factory=list)
    advances: list[Advance] = field(default_factory=list)
    led: list[Led] = field(default_factory=list)

    def share(self, place: Place) -> Share:
        """Return what goes to a place, to be added to."""
        return self.shares.setdefault(place, Share())

    def take_in(self, other: "RawBatch") -> None:
        """Add another batch behind this one."""
        for place, share in other.shares.items():
            self.share(place).take_in(share)
        self.signals += other.signals
        self.touched += other.touched
        self.advances += other.advances
        self.led += other.led

    def leave_out_exemplars(self) -> None:
        """Keep all but exemplars."""
        for share in self.shares.values():
            share.exemplars.clear()

    def take_back(self) -> None:
        """Note that the batch did not reach the broker."""
        for touched in self.touched:
            touched.take_back()
        for led in self.led:
            led.take_back()

    def tables(self) -> set[SeriesTable]:
        """Return the tables that its points were judged by; none where it has no points, not even repeated ones."""
        return {touched.table for touched in self.touched}

    def rests_on(self, condition: LeaderTerm | Advance) -> bool:
        """Return whether it may be appended only while this leader leads, or this position stands where it begins."""
        return condition in self.advances or any(condition in led.terms for led in self.led)

    def terms(self) -> tuple[LeaderTerm, ...]:
        """Return the terms of the leaders of HA pairs whose points are in it, each once."""
        return tuple(sorted({term for led in self.led for term in led.terms}))


def telemetry_entries(tenant: str, share: Share) -> Iterator[EncodedEntry]:
    """Yield the entries for a telemetry stream: definitions before what they define."""
    for part in _parts(share.definitions):
        yield EncodedEntry(tenant, streams.KIND_DEFINITIONS, streams.to_ipc(_definition_rows(part)))
    if share.points:
        points = _joined(share.points)
        for first in range(0, len(points.time_us), MOST_ROWS):
            rows = _point_rows(points.rows(slice(first, first + MOST_ROWS)))
            yield EncodedEntry(tenant, streams.KIND_POINTS, streams.to_ipc(rows))
    for histograms in share.histograms:
        yield EncodedEntry(tenant, streams.KIND_HISTOGRAMS, streams.to_ipc(_histogram_rows(histograms)))


def exemplar_entries(tenant: str, share: Share, available_us: int) -> Iterator[EncodedEntry]:
    """Yield the entries for a stream of signals."""
    for part in _parts(share.exemplars):
        yield EncodedEntry(tenant, streams.KIND_EXEMPLARS, streams.to_ipc(_exemplar_rows(part, available_us)))


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for first in range(0, len(rows), MOST_ROWS):
        yield rows[first : first + MOST_ROWS]


def _joined(parts: Sequence[PointArrays]) -> PointArrays:
    if len(parts) == 1:
        return parts[0]
    times, ids, values, starts = zip(*parts, strict=True)
    return PointArrays(np.concatenate(times), np.concatenate(ids), np.concatenate(values), np.concatenate(starts))


def _definition_rows(definitions: Sequence[Definition]) -> pa.RecordBatch:
    identities = [definition.identity for definition in definitions]
    columns: list[list[Any]] = [
        [definition.series_id for definition in definitions],
        [identity.key.service for identity in identities],
        [identity.key.metric for identity in identities],
        [identity.labels for identity in identities],
        [identity.role for identity in identities],
        [definition.family_id for definition in definitions],
        [identity.bound for identity in identities],
        [identity.unit for identity in identities],
        [identity.why for identity in identities],
    ]
    arrays: list[AnyArray] = [pa.array(cells, field.type) for cells, field in zip(columns, SERIES_DEFINITIONS, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SERIES_DEFINITIONS)


def _point_rows(points: PointArrays) -> pa.RecordBatch:
    ids, values = _numbers(points.series_id), _numbers(points.value)
    columns = [_times(points.time_us), ids, values, _starts(points.start_us)]
    return pa.RecordBatch.from_arrays(columns, schema=WIRE_POINTS)


def _histogram_rows(rows: HistogramArrays) -> pa.RecordBatch:
    bounds: Any = pa.array(rows.bounds, pa.int32())
    columns: list[AnyArray] = [
        _times(rows.time_us),
        _numbers(rows.series_id),
        _starts(rows.start_us),
        _numbers(rows.observations),
        pa.array(rows.sum, pa.float64(), mask=np.isnan(rows.sum)),
        pa.ListArray.from_arrays(bounds, _numbers(rows.upper)),
        pa.ListArray.from_arrays(bounds, _numbers(rows.counts)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=WIRE_HISTOGRAMS)


def _exemplar_rows(rows: Sequence[ExemplarRow], available_us: int) -> pa.RecordBatch:
    times, ids, values, traces, spans = (list(column) for column in zip(*rows, strict=True))
    columns: list[AnyArray] = [
        pa.array(times, TIMESTAMP),
        pa.array(ids, pa.int64()),
        pa.array(values, pa.float64()),
        pa.array(traces, EXEMPLARS.field("trace_id").type),
        pa.array([span or None for span in spans], EXEMPLARS.field("span_id").type),
        pa.array([available_us] * len(rows), TIMESTAMP),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=EXEMPLARS)


def _numbers(column: Int64s | Float64s) -> AnyArray:
    return pa.array(column, pa.int64() if column.dtype == np.int64 else pa.float64())


def _times(time_us: Int64s) -> AnyArray:
    return pa.array(time_us, pa.int64()).view(TIMESTAMP)


def _starts(start_us: Int64s) -> AnyArray:
    if not start_us.any():
        return pa.nulls(len(start_us), TIMESTAMP)
    return pa.array(start_us, pa.int64(), mask=start_us == 0).view(TIMESTAMP)


def histograms_taken(histograms: HistogramColumns, ids: Int64s, order: Int64s) -> HistogramArrays:
    """Return some of the histograms, `ids` are the series of those, with their buckets one behind the other."""
    sizes = (histograms.bounds[1:] - histograms.bounds[:-1])[order]
    bounds = np.concatenate(([0], np.cumsum(sizes)))
    buckets = np.repeat(histograms.bounds[:-1][order] - bounds[:-1], sizes) + np.arange(bounds[-1])
    return HistogramArrays(
        histograms.time_us[order],
        ids,
        histograms.start_us[order],
        histograms.count[order],
        histograms.sum[order],
        bounds.astype(np.int64),
        histograms.upper[buckets],
        histograms.counts[buckets],
    )
