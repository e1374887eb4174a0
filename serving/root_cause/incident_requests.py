"""What the lake holds of requests around an incident: spans and log lines of the services near it, and those while all was well.

Everything is bounded: where more spans lie in a minute than are read, whole traces are left out, by their ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.incidents.root_cause_question import Interval
from aiops.signals.line_templates import with_templates
from aiops.signals.novelty import LEFT_OUT, WINDOW
from aiops.signals.requests import Requests, requests_of
from aiops.signals.span_rows import SPAN_ROWS
from aiops.types import IntArray
from data_contracts.values.moments import microseconds_of, moment_of_us
from models.rca.request_evidence import RequestWindow
from serving.lake.port import Where

MINUTE_US: Final = 60_000_000
MOST_LINE: Final = 2000
"""Characters of a line that are read."""
SPAN_COLUMNS: Final = tuple(name for name in SPAN_ROWS.names if name != "trace_state")  # a request counts once, however sampled
_LOG_COLUMNS: Final = ("timestamp", "trace_id", "span_id", "body")
_SPANS: Final = pa.schema([SPAN_ROWS.field(name) for name in SPAN_COLUMNS])
_LINES: Final = pa.schema(
    [SPAN_ROWS.field("timestamp"), *(pa.field(name, pa.string()) for name in ("trace_id", "span_id", "text"))]
)
_ALL: Final = 1 << 16
"""Traces are chosen by the last 16 bits of their ids."""


@dataclass(frozen=True, slots=True)
class RequestConfig:
    """The window reaches from `lead_s` before the first alert to `longest_s` after it; it is compared with `calm_minutes`.

    About `most` spans, and as many lines, are read of each.
    """

    lead_s: float = 120.0
    longest_s: float = 300.0
    calm_minutes: int = 30
    most: int = 15_000


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """When the first alert was, until when requests count, what is known when; while all was well ends at `calm_end`."""

    first: datetime
    end: datetime
    known_at: datetime
    calm_end: datetime


@dataclass(frozen=True, slots=True, eq=False)
class RequestSpans:
    """Spans (`SPAN_COLUMNS`) of the window, and of the time while all was well."""

    window: pa.Table
    calm: pa.Table


@dataclass(frozen=True, slots=True, eq=False)
class ReadRequests:
    """What was read around an incident: spans, lines, and the minutes of both times, each by its start in us."""

    spans: RequestSpans
    lines: pa.Table
    window: Sequence[int]
    calm: Sequence[int]

    def requests(self) -> RequestWindow:
        """Return the requests that spans and lines make up."""
        spans = pa.concat_tables([self.spans.window, self.spans.calm])
        requests = requests_of(spans, with_templates(self.lines))
        return RequestWindow(requests, _parts(requests, self.window, self.calm))


class RequestTables(Protocol):
    """What is read of a lake: tables `spans` and `logs`."""

    def days(self, table: str) -> Sequence[date]:
        """Return the days of which a table has rows."""
        ...

    def read(
        self, table: str, start: datetime | None, end: datetime | None, columns: Sequence[str] | None, where: Where | None
    ) -> pa.Table:
        """Return rows with start <= time < end of the services that `where` names."""
        ...


class IncidentRequests:
    """Reads the lake; nothing is kept. Any thread."""

    def __init__(self, lake: RequestTables, config: RequestConfig) -> None:
        self._lake = lake
        self._config = config

    def around(self, times: RequestTimes, services: Sequence[str], masked: Sequence[Interval]) -> ReadRequests | None:
        """Return what was read around an incident; None where the lake has none of the window, or none to compare them with.

        `masked`: other incidents, whose minutes are not those while all was well.

        Raises:
            StateError: the lake is damaged.
        """
        if not self._lake.days("spans"):
            return None
        window, calm = self._window_minutes(times), self._calm_minutes(times, masked)
        now = self._read(times, services, window)
        if not now.spans.num_rows:
            return None
        then = self._read(times, services, calm)
        if not then.spans.num_rows:
            return None
        return ReadRequests(RequestSpans(now.spans, then.spans), pa.concat_tables([now.lines, then.lines]), window, calm)

    def _read(self, times: RequestTimes, services: Sequence[str], minutes: Sequence[int]) -> "_Read":
        return _Read(self._lake, services, times.known_at, minutes, self._config.most)

    def _window_minutes(self, times: RequestTimes) -> list[int]:
        """Return the minutes of the window, each by its start in us."""
        config = self._config
        start = microseconds_of(times.first - timedelta(seconds=config.lead_s)) // MINUTE_US
        end = microseconds_of(min(times.end, times.first + timedelta(seconds=config.longest_s))) // MINUTE_US
        return [minute * MINUTE_US for minute in range(start, end + 1)]

    def _calm_minutes(self, times: RequestTimes, masked: Sequence[Interval]) -> list[int]:
        end = microseconds_of(times.calm_end) // MINUTE_US
        others = [(microseconds_of(begin), microseconds_of(until)) for begin, until in masked]
        minutes = [minute * MINUTE_US for minute in range(end - self._config.calm_minutes, end)]
        return [at for at in minutes if not any(begin - MINUTE_US < at <= until for begin, until in others)]


class _Read:
    """Spans and lines of some minutes, each a start in us; every minute is read once.

    Of a minute with more spans or lines than are read, as many traces are left out, each with all that it holds: what a request
    shows does not depend on how many others there are. `spans`: `SPAN_COLUMNS`; `lines`: timestamp, trace_id, span_id, text.
    Memory: one minute whole, and what is kept of all.
    """

    def __init__(
        self, lake: RequestTables, services: Sequence[str], known_at: datetime, minutes: Sequence[int], most: int
    ) -> None:
        self._lake = lake
        self._where: Where = {"service": services}
        self._known_at = known_at
        self._most = max(1, most // max(1, len(minutes)))
        read = [self._minute(at) for at in minutes]
        self.spans = pa.concat_tables([_SPANS.empty_table(), *(minute.spans for minute in read)])
        self.lines = pa.concat_tables([_LINES.empty_table(), *(minute.lines for minute in read)])

    def _minute(self, at: int) -> "_Minute":
        spans, logs = self._rows("spans", SPAN_COLUMNS, at), self._rows("logs", _LOG_COLUMNS, at)
        rows = max(spans.num_rows, logs.num_rows)
        share = _ALL if rows <= self._most else max(1, _ALL * self._most // rows)
        kept = _chosen(logs, share)
        text: Any = pc.utf8_slice_codeunits(kept["body"].cast(pa.string()), 0, MOST_LINE)
        lines = kept.select(["timestamp", "trace_id", "span_id"]).append_column("text", text).cast(_LINES)
        return _Minute(_chosen(spans, share).select(SPAN_COLUMNS).cast(_SPANS), lines)

    def _rows(self, table: str, columns: Sequence[str], at: int) -> pa.Table:
        wanted = [*columns, "available_at"]
        rows = self._lake.read(table, moment_of_us(at), moment_of_us(at + MINUTE_US), wanted, self._where)
        known: Any = pc.less_equal(rows["available_at"], pa.scalar(self._known_at, rows["available_at"].type))
        known_rows = rows.filter(known)
        return known_rows.filter(known_rows["trace_id"].is_valid())


@dataclass(frozen=True, slots=True, eq=False)
class _Minute:
    """What is kept of a minute."""

    spans: pa.Table
    lines: pa.Table


def _chosen(rows: pa.Table, share: int) -> pa.Table:
    """Return the rows of `share` of all `_ALL` traces."""
    if share >= _ALL:
        return rows
    ends: Any = pc.utf8_slice_codeunits(rows["trace_id"].cast(pa.string()), -4)
    chosen: Any = pc.less(ends, pa.scalar(f"{share:04x}"))
    return rows.filter(chosen)


def _parts(requests: Requests, window: Sequence[int], calm: Sequence[int]) -> IntArray:
    """Return the part of each request (n,): WINDOW, the number of a minute while all was well, LEFT_OUT for others.

    A minute of both is of the window. O(requests x log minutes).
    """
    part_of = {**{at: number for number, at in enumerate(calm, 1)}, **dict.fromkeys(window, WINDOW)}
    minutes = np.array(sorted(part_of), dtype=np.int64)
    numbers = np.array([part_of[at] for at in minutes.tolist()], dtype=np.int64)
    minute = requests.start_us // MINUTE_US * MINUTE_US
    place = np.minimum(np.searchsorted(minutes, minute), minutes.size - 1)
    return np.where(minutes[place] == minute, numbers[place], LEFT_OUT)
