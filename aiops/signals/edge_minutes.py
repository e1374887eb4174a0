"""Spans → telemetry series a minute: rate, error share and latency of services, of their operations, and of calls between them.

    minutes = EdgeMinutes(EdgeMinutesConfig())
    minutes.observe(rows)                  # any table or batch with the columns of SPANS; batches change nothing
    series = minutes.closed(up_to_us)      # MINUTE_SERIES of all minutes that end by then, each exactly once
    minutes = EdgeMinutes.restore(config, minutes.state())

| metric | service, labels | value |
|---|---|---|
| `span.server.requests_per_second` | the server's; none, and each `operation` | 0 in a minute without any, once seen |
| `span.server.error_ratio` | the same | share of these that failed |
| `span.server.latency_mean_s`, `…_p50_s`, `…_p99_s` | the same | s; a p99 needs `p99_spans` |
| `span.call.requests_per_second`, `span.call.error_ratio` | the caller, `callee` | calls; failed at either end |
| `span.call.client_latency_…`, `span.call.server_latency_…` | the caller, `callee` | at the caller's end, at the callee's |
| `span.call.network_latency_…` | the caller, `callee` | client less server of the same call: network and queues |

A server's end is a span of kind server or consumer; of unsaid kind, a root or one whose parent is of another service.
A minute counts spans by their *end*, when they can be known: a call that hangs counts in the minute that it fails. Calls count as
many times as their sampling threshold says. Latencies are counted in steps of 2 %, so means and quantiles are right to 1 %.
What closes a minute, late spans, silence and idle series: as in `log_minutes`. What makes two spans a call: `span_edges`.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import ContractError, OutdatedState, StateError
from aiops.signals.edge_cells import CALLS, ERRORS, SAMPLED, SUB_BITS, length_numbers, measured_of, whole_weights
from aiops.signals.edge_points import call_points, server_points
from aiops.signals.minute_cells import MINUTE_US, MinuteCells, MinuteCount
from aiops.signals.minute_series import MinutePoint, table_of
from aiops.signals.series_places import NO_ROOM, CodedNames, SeriesPlaces
from aiops.signals.span_arena import Forgotten, SpanArena
from aiops.signals.span_ends import SpanEnds, ends_of
from aiops.signals.span_rows import Names, SpanNames, read_spans
from aiops.signals.text_arrays import joined, packed_texts, part_of, unpacked_texts
from aiops.types import IntArray, State
from data_contracts.schemas.wire_schemas import SIGNAL_TEXTS

VERSION: Final = 1
_PLACE_BITS: Final = 22
_GROUPS: Final = (("services", 1), ("operations", 2), ("calls", 2))
"""Series of spans, and of how many texts the names of each are."""
_SERVICES, _OPERATIONS, _CALLS = range(len(_GROUPS))
_FIX: Final = "remove the state to begin anew"


@dataclass(frozen=True, slots=True)
class EdgeMinutesConfig:
    """Bounds: minutes open at once; series of each kind (services, operations, calls); spans that wait for their partner, and
    how long after their end; names of services and operations, beyond which they are "(others)". A series ends after
    `forget_minutes` without a span. A p99 needs `p99_spans` of them in its minute.
    """

    most_minutes: int = 1440
    most_series: int = 20_000
    most_waiting: int = 1 << 17
    wait_s: float = 120.0
    most_names: int = 100_000
    forget_minutes: int = 1440
    p99_spans: int = 10

    def __post_init__(self) -> None:
        if min(self.most_minutes, self.most_series, self.most_names, self.forget_minutes, self.p99_spans) < 1:
            raise ContractError(f"{self}: give at least 1 of each")
        if self.wait_s < 0 or self.most_waiting < 4 or self.most_series >= 1 << _PLACE_BITS:
            raise ContractError(f"{self}: give wait_s from 0, most_waiting from 4, most_series below {1 << _PLACE_BITS}")


@dataclass(frozen=True, slots=True)
class EdgeMinuteCounts:
    """Where spans went: `unusable` (no id, service or time), `repeated`, and of those that left the wait, `orphans` (their parent
    never came), `unanswered` (a client whose server never came) and `crowded` (too many waited).

    Of servers' ends and calls: `late` (their minute was closed), `ahead` (too far in the future), and `left_out` (rows of series
    for which there is no room).
    """

    spans: int
    unusable: int
    repeated: int
    orphans: int
    unanswered: int
    crowded: int
    late: int
    ahead: int
    left_out: int


class EdgeMinutes:
    """Series of a stream of spans. Memory: 160 B a span that may wait, 16 B an open counter, names. Not thread-safe."""

    def __init__(self, config: EdgeMinutesConfig | None = None) -> None:
        self.config = config or EdgeMinutesConfig()
        self._spans = 0
        self._unusable = 0
        self._up_to_us = -(1 << 62)
        self._names = SpanNames(Names(self.config.most_names), Names(self.config.most_names))
        self._arena = SpanArena(self.config.most_waiting)
        self._gone = Forgotten()
        self._cells = MinuteCells(self.config.most_minutes)
        self._series = [SeriesPlaces(self.config.most_series, parts) for _, parts in _GROUPS]

    @property
    def counts(self) -> EdgeMinuteCounts:
        """Return where spans went so far."""
        gone, cells = self._gone, self._cells
        left_out = sum(series.left_out for series in self._series)
        waited = (self._arena.repeated, gone.orphans, gone.unanswered, gone.crowded)
        return EdgeMinuteCounts(self._spans, self._unusable, *waited, cells.late, cells.ahead, left_out)

    def observe(self, rows: "pa.Table | pa.RecordBatch") -> None:
        """Take in spans (`SPAN_ROWS`; `SPANS` has these columns). O(rows log rows)."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        read = read_spans(table, self._names)
        self._spans += table.num_rows
        self._unusable += read.unusable
        at = 0
        while at < len(read.columns.key):
            if not self._arena.room:
                self._forget()
            part = read.columns.between(at, at + self._arena.room)
            first = self._arena.used
            pairs = self._arena.add(part)
            self._count(ends_of(self._arena.columns, first, pairs, self._arena.used))
            at += len(part.key)

    def closed(self, up_to_us: int) -> pa.Table:
        """Return `MINUTE_SERIES` of minutes that end by `up_to_us` (µs since 1970 UTC) and were not closed before."""
        points: list[MinutePoint] = []
        for minute in self._cells.close(up_to_us):
            points += self._points(minute)
            waiting = self._cells.open_keys() >> SUB_BITS
            for group, series in enumerate(self._series):
                kept = waiting[waiting >> _PLACE_BITS == group] & ((1 << _PLACE_BITS) - 1)
                series.forget(minute.minute - self.config.forget_minutes, kept)
        self._up_to_us = max(self._up_to_us, up_to_us)
        self._forget()
        return table_of(points)

    def texts(self) -> pa.Table:
        """Return no `SIGNAL_TEXTS`: names and labels of these series say what they are about."""
        return SIGNAL_TEXTS.empty_table()

    def state(self) -> State:
        """Return all that `restore` goes on from, as plain arrays."""
        gone = (self._gone.orphans, self._gone.unanswered, self._gone.crowded)
        parts: dict[str, State] = {"cells": self._cells.state(), "arena": self._arena.state()}
        parts |= {name: series.state() for (name, _), series in zip(_GROUPS, self._series, strict=True)}
        for kind, names in (("service_names", self._names.services), ("operation_names", self._names.operations)):
            data, offsets = packed_texts(names.texts)
            parts[kind] = {"data": data, "offsets": offsets}
        return {"marks": np.array([VERSION, self._spans, self._unusable, self._up_to_us, *gone], np.int64), **joined(parts)}

    @classmethod
    def restore(cls, config: EdgeMinutesConfig, state: State) -> "EdgeMinutes":
        """Return minutes that go on as those that were saved would have, with the same configuration.

        Raises:
            OutdatedState: the state is of another version.
            StateError: it is damaged, or holds more waiting spans than the configuration allows.
        """
        minutes = cls(config)
        try:
            version, minutes._spans, minutes._unusable, minutes._up_to_us, *gone = state["marks"].tolist()
            if version != VERSION:
                raise OutdatedState(f"edge minutes are of version {version}, this program reads {VERSION}; {_FIX}")
            minutes._gone = Forgotten(*gone)
            minutes._cells = MinuteCells.restored(config.most_minutes, part_of(state, "cells"))
            minutes._arena = SpanArena.restored(config.most_waiting, part_of(state, "arena"))
            minutes._series = [SeriesPlaces.restored(config.most_series, parts, part_of(state, name)) for name, parts in _GROUPS]
            minutes._names = SpanNames(
                *(
                    Names.restored(config.most_names, unpacked_texts(state[f"{kind}.data"], state[f"{kind}.offsets"]))
                    for kind in ("service_names", "operation_names")
                )
            )
        except (KeyError, ValueError, IndexError, TypeError) as error:
            raise StateError(f"state of edge minutes is damaged: {error!r}; {_FIX}") from error
        return minutes

    def _forget(self) -> None:
        self._arena.forget(self._up_to_us - int(self.config.wait_s * 1e6), self._gone)

    def _count(self, ends: SpanEnds) -> None:
        """Count servers' ends and calls in their minutes."""
        spans, names = self._arena.columns, self._names
        minute = spans.end_us[ends.slot] // MINUTE_US
        kept = self._cells.admitted(minute)
        ends, minute = ends.where(kept), minute[kept]
        service = spans.service[ends.slot].astype(np.int64)
        server, call = np.flatnonzero(ends.above < 0), np.flatnonzero(ends.above >= 0)
        services, operations = names.services.texts, names.operations.texts
        operation = spans.operation[ends.slot[server]].astype(np.int64)
        caller = spans.service[ends.above[call]].astype(np.int64)
        coded = (
            (server, CodedNames((service[server],), (services,))),
            (server, CodedNames((service[server], operation), (services, operations))),
            (call, CodedNames((caller, service[call]), (services, services))),
        )
        weight = whole_weights(spans.weight[ends.slot])
        for group, (rows, own_names) in enumerate(coded):
            place = self._series[group].places(own_names)
            roomy = place != NO_ROOM
            series = ((group << _PLACE_BITS) | place[roomy]) << SUB_BITS
            self._add(ends.where(rows[roomy]), minute[rows[roomy]], series, weight[rows[roomy]])

    def _add(self, ends: SpanEnds, minute: IntArray, series: IntArray, weight: IntArray) -> None:
        self._cells.add(minute, series + CALLS, weight)
        self._cells.add(minute[ends.failed], series[ends.failed] + ERRORS, weight[ends.failed])
        self._cells.add(minute, series + SAMPLED, np.ones(len(series), np.int64))
        gap_us = np.where(ends.client_us >= 0, ends.client_us - ends.server_us, -1)
        for measure, length_us in (("client", ends.client_us), ("server", ends.server_us), ("network", gap_us)):
            timed = length_us >= 0
            self._cells.add(minute[timed], series[timed] + length_numbers(measure, length_us[timed]), weight[timed])

    def _points(self, minute: MinuteCount) -> list[MinutePoint]:
        """Return the points of all series that are known by the end of a minute."""
        number, begins = np.unique(minute.keys >> SUB_BITS, return_index=True)
        ends = np.append(begins, len(minute.keys))[1:]
        bounds = dict(zip(number.tolist(), zip(begins.tolist(), ends.tolist(), strict=True), strict=True))
        points: list[MinutePoint] = []
        for group, series in enumerate(self._series):
            series.seen(number[number >> _PLACE_BITS == group] & ((1 << _PLACE_BITS) - 1), minute.minute)
            made = call_points if group == _CALLS else server_points
            for place in series.known():
                start, end = bounds.get((group << _PLACE_BITS) | place, (0, 0))
                measured = measured_of(minute.keys[start:end] & ((1 << SUB_BITS) - 1), minute.counts[start:end])
                points += made(minute.minute, series.name(place), measured, self.config.p99_spans)
        return points
