"""Log records → telemetry series a service and minute: how many of each level, and the share of errors.

    minutes = LogMinutes(LogMinutesConfig())
    minutes.observe(rows)                  # any table or batch with the columns of LOGS; order and batches change nothing
    series = minutes.closed(up_to_us)      # MINUTE_SERIES of all minutes that end by then, each exactly once
    minutes = LogMinutes.restore(config, minutes.state())

| metric | labels | value |
|---|---|---|
| `log.records_per_second` | `level` | records; 0 in a minute without any, once the level was seen |
| `log.error_ratio` | | records of level error and fatal, of those whose level is known; absent where none is |

A minute counts records by their timestamp. It is over when the caller says so, who knows how late senders are. A record of a
minute that is closed is late: counted, and left out. A minute without a record of any service says nothing: silence of the whole
stream is unknown, not zero. A series that was not seen for `forget_minutes` ends.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.errors import ContractError, OutdatedState, StateError
from aiops.signals.minute_cells import MINUTE_US, MinuteCells, MinuteCount
from aiops.signals.minute_series import MINUTE_S, MinutePoint, table_of
from aiops.signals.series_places import NO_ROOM, CodedNames, SeriesPlaces
from aiops.signals.span_rows import encoded_texts
from aiops.signals.text_arrays import joined, part_of
from aiops.types import IntArray, State

VERSION: Final = 1
RECORDS: Final = "log.records_per_second"
ERROR_RATIO: Final = "log.error_ratio"
LEVELS: Final = ("unspecified", "trace", "debug", "info", "warn", "error", "fatal")
"""Levels of OpenTelemetry's severity numbers: 0, then four numbers each."""
_ERRORS: Final = frozenset(LEVELS[5:])
_FIX: Final = "remove the state to begin anew"


@dataclass(frozen=True, slots=True)
class LogMinutesConfig:
    """`most_minutes` open at once, `most_series` (service and level); a series ends after `forget_minutes` without a record."""

    most_minutes: int = 1440
    most_series: int = 20_000
    forget_minutes: int = 1440

    def __post_init__(self) -> None:
        if min(self.most_minutes, self.most_series, self.forget_minutes) < 1:
            raise ContractError(f"{self}: give at least 1 of each")


@dataclass(frozen=True, slots=True)
class LogCounts:
    """Where records went: `late`, `ahead` (of a minute for which there is no room), `unusable` (no service or time), and
    `left_out` (a service and level for which there is no room); all others count in their minute."""

    records: int
    late: int
    ahead: int
    unusable: int
    left_out: int


class LogMinutes:
    """Series of a stream of log records. Memory: 16 B an open minute, service and level, and names. Not thread-safe."""

    def __init__(self, config: LogMinutesConfig | None = None) -> None:
        self.config = config or LogMinutesConfig()
        self._records = 0
        self._unusable = 0
        self._cells = MinuteCells(self.config.most_minutes)
        self._series = SeriesPlaces(self.config.most_series, 2)

    @property
    def counts(self) -> LogCounts:
        """Return where records went so far."""
        return LogCounts(self._records, self._cells.late, self._cells.ahead, self._unusable, self._series.left_out)

    def observe(self, rows: "pa.Table | pa.RecordBatch") -> None:
        """Take in records: columns `timestamp`, `service` and `severity_number` of `LOGS`. O(rows log rows)."""
        table = pa.Table.from_batches([rows]) if isinstance(rows, pa.RecordBatch) else rows
        self._records += table.num_rows
        services = encoded_texts(table["service"])
        texts: list[str] = [text or "" for text in services.dictionary.to_pylist()]
        service = np.asarray(services.indices.cast(pa.int64()).fill_null(-1)).astype(np.int64)
        at_us = np.asarray(table["timestamp"].combine_chunks().cast(pa.int64()).fill_null(-1)).astype(np.int64)
        filled = np.array([*(bool(text) for text in texts), False], np.bool_)
        usable = filled[service] & (at_us >= 0)
        self._unusable += int((~usable).sum())
        minute = at_us // MINUTE_US
        usable[usable] = self._cells.admitted(minute[usable])
        level = _levels(table["severity_number"])[usable]
        place = self._series.places(CodedNames((service[usable], level), (texts, list(LEVELS))))
        kept = place != NO_ROOM
        self._cells.add(minute[usable][kept], place[kept], np.ones(int(kept.sum()), np.int64))

    def closed(self, up_to_us: int) -> pa.Table:
        """Return `MINUTE_SERIES` of minutes that end by `up_to_us` (µs since 1970 UTC) and were not closed before."""
        points: list[MinutePoint] = []
        for minute in self._cells.close(up_to_us):
            points += self._points(minute)
            self._series.forget(minute.minute - self.config.forget_minutes, self._cells.open_keys())
        return table_of(points)

    def state(self) -> State:
        """Return all that `restore` goes on from, as plain arrays."""
        marks = np.array([VERSION, self._records, self._unusable], np.int64)
        return {"marks": marks, **joined({"cells": self._cells.state(), "series": self._series.state()})}

    @classmethod
    def restore(cls, config: LogMinutesConfig, state: State) -> "LogMinutes":
        """Return minutes that go on as those that were saved would have.

        Raises:
            OutdatedState: the state is of another version.
            StateError: it is damaged.
        """
        minutes = cls(config)
        try:
            version, minutes._records, minutes._unusable = state["marks"].tolist()
            if version != VERSION:
                raise OutdatedState(f"log minutes are of version {version}, this program reads {VERSION}; {_FIX}")
            minutes._cells = MinuteCells.restored(config.most_minutes, part_of(state, "cells"))
            minutes._series = SeriesPlaces.restored(config.most_series, 2, part_of(state, "series"))
        except (KeyError, ValueError, IndexError) as error:
            raise StateError(f"state of log minutes is damaged: {error!r}; {_FIX}") from error
        return minutes

    def _points(self, minute: MinuteCount) -> list[MinutePoint]:
        self._series.seen(minute.keys, minute.minute)
        counted = dict(zip(minute.keys.tolist(), minute.counts.tolist(), strict=True))
        points: list[MinutePoint] = []
        known: dict[str, int] = {}
        errors: dict[str, int] = {}
        for place in self._series.known():
            service, level = self._series.name(place)
            count = counted.get(place, 0)
            points.append(MinutePoint(minute.minute, service, RECORDS, count / MINUTE_S, ("level", level)))
            if level != LEVELS[0]:
                known[service] = known.get(service, 0) + count
                errors[service] = errors.get(service, 0) + count * (level in _ERRORS)
        ratios = (
            MinutePoint(minute.minute, name, ERROR_RATIO, errors[name] / count) for name, count in known.items() if count > 0
        )
        return [*points, *ratios]


def _levels(severity: "pa.ChunkedArray[Any]") -> IntArray:
    """Return the place among `LEVELS` (n,) of severity numbers; null and what is no such number = the first."""
    number = np.asarray(severity.combine_chunks().cast(pa.int64()).fill_null(0)).astype(np.int64)
    return np.where((number >= 1) & (number <= 24), (number + 3) // 4, 0)
