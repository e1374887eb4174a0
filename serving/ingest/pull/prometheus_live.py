"""A Prometheus server followed live: each step a range query over what is new and a little of what was asked before.

Every instant of the grid (multiples of `step_s` since 1970) is published once a series: the cursor knows, as bits, which of the
last instants each series has had, so a point that the server got late is published when it appears. The state before a poll and
the server's answer decide what is published, so whoever keeps the cursor beside what was published loses and doubles nothing.
"""

import hashlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

import numpy as np
import pyarrow as pa

from aiops.errors import ConfigurationError, SourceError
from serving.ingest.pull.file_merge import in_order
from serving.ingest.pull.prometheus import NO_URL, PrometheusSource, retry_policy
from serving.ingest.pull.prometheus_http import Page, PrometheusHttp, RangeSeries, TooMuchAsked
from serving.ingest.pull.prometheus_queries import Answered, NamedQuery, RangeQueries, metric_of
from serving.ingest.pull.request_retries import RetryPolicy
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_rows import MAX_CHUNK_ROWS, read_rows
from serving.ingest.pull.time_columns import TimeForm
from serving.ingest.pull.truth_files import TruthFiles

DEFAULT_HISTORY: Final = timedelta(days=7)
MOST_HISTORY_POINTS: Final = 2_000_000
"""Points of the history where the user does not say how long it is: enough to learn from in a few minutes."""
MOST_OVERLAP: Final = 60
"""Instants that are asked again at most: the bits of a cursor."""
_FIRST_PAGE_POINTS: Final = 240
_COARSE: Final = 200
_HEAD: Final = struct.Struct("<qqII")

Discover = Callable[[PrometheusHttp], tuple[NamedQuery, ...]]


@dataclass(frozen=True, slots=True)
class PullCursor:
    """Up to where a server was asked (`position_s`, exclusive), from where on at all (`begin_s`), s since 1970, every `step_s`.

    `had`: by series the instants before `position_s` that it has had: bit 0 = the one just before. Memory: 100 B a series.
    """

    begin_s: int
    position_s: int
    step_s: int
    had: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def at(cls, moment: datetime, step_s: int) -> Self:
        """Return a cursor that begins at the first instant of the grid that is not before `moment`."""
        begin_s = -(-int(moment.timestamp()) // step_s) * step_s
        return cls(begin_s, begin_s, step_s)

    def packed(self) -> bytes:
        """Return it as bytes."""
        keys = np.fromiter(self.had.keys(), np.uint64, len(self.had))
        bits = np.fromiter(self.had.values(), np.uint64, len(self.had))
        return _HEAD.pack(self.begin_s, self.position_s, self.step_s, len(keys)) + keys.tobytes() + bits.tobytes()

    @classmethod
    def unpacked(cls, payload: bytes) -> Self:
        """Return the cursor of `packed`."""
        begin_s, position_s, step_s, count = _HEAD.unpack_from(payload)
        keys = np.frombuffer(payload, np.uint64, count, _HEAD.size)
        bits = np.frombuffer(payload, np.uint64, count, _HEAD.size + 8 * count)
        return cls(begin_s, position_s, step_s, dict(zip(keys.tolist(), bits.tolist(), strict=True)))


@dataclass(frozen=True, slots=True)
class Polled:
    """What one poll gave: new points in order of time, the cursor once they are published, newest time (us) by service.

    `caught_up` = the next instant is still to come.
    """

    tables: tuple[pa.Table, ...]
    cursor: PullCursor
    newest_us: Mapping[str, int]
    caught_up: bool


class LivePrometheus:
    """A server to be followed from a cursor on, and its history up to any moment.

    `discover` proposes queries where none are given. Memory: about MAX_CHUNK_ROWS points a poll.
    """

    def __init__(self, options: SourceOptions, policy: RetryPolicy, discover: Discover) -> None:
        if options.url is None:
            raise ConfigurationError(NO_URL)
        if options.overlap_s > MOST_OVERLAP * options.step_s:
            raise ConfigurationError(
                f"overlap_s: {options.overlap_s} is more than {MOST_OVERLAP} steps of {options.step_s} s; choose a shorter one"
            )
        self._options = options
        self._policy = policy
        self._http = PrometheusHttp(options.url, options.token, options.timeout_s, policy, options.partial == "accept")
        self._discover = discover
        self._queries: RangeQueries | None = None
        self._points = _FIRST_PAGE_POINTS
        self.truth = TruthFiles(options)

    @property
    def name(self) -> str:
        """Return "prometheus"."""
        return "prometheus"

    @property
    def address(self) -> str:
        """Return what and where it is, without what the URL says of who asks.

        >>> address_of("prometheus", "https://ann:secret@metrics.example:9090/prom?key=1")
        'prometheus https://metrics.example:9090/prom'
        """
        return address_of(self.name, self._options.url or "")

    @property
    def step_s(self) -> int:
        """Return the distance of the instants that are asked for, in seconds."""
        return self._options.step_s

    @property
    def queries(self) -> tuple[NamedQuery, ...]:
        """Return what is asked: the queries of the options, else what the server's own metrics propose.

        Raises:
            SourceError: the server cannot be asked, or has nothing that a query is known for.
        """
        return self._ranges().queries

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def remarks(self) -> tuple[str, ...]:
        """Return what the server remarked so far."""
        return tuple(self._ranges().remarks)

    def history(self, end: datetime) -> PrometheusSource:
        """Return the source of the time before `end`: as long as the options say, no longer than the server remembers.

        Raises:
            SourceError: the server cannot be asked.
        """
        chosen = self._options.history
        start = self._first_data(end - (chosen or DEFAULT_HISTORY), end)
        if chosen is None:
            series = max(1, len(self._ranges().ask(end.timestamp() - self.step_s, 1)))
            start = max(start, end - timedelta(seconds=MOST_HISTORY_POINTS // series * self.step_s))
        queries = tuple(str(query) for query in self.queries)
        whole = replace(self._options, queries=queries, start=start, end=end, history=None)
        return PrometheusSource(whole, self._policy)

    def due_at_s(self, cursor: PullCursor) -> int:
        """Return when the next instant may be asked for, s since 1970."""
        return cursor.position_s + self._options.delay_s

    def poll(self, cursor: PullCursor, now_s: float) -> Polled:
        """Ask for what is new up to `now_s`, and again for the instants before it that the overlap covers.

        A cursor of another step begins anew where it stands: nothing is given twice, what was late before it is not asked for.

        Raises:
            SourceError: a query failed for good; nothing is given out, ask again from the same cursor.
        """
        step_s, options = self.step_s, self._options
        if cursor.step_s != step_s:
            cursor = PullCursor.at(datetime.fromtimestamp(cursor.position_s, UTC), step_s)
        last_s = int(now_s - options.delay_s) // step_s * step_s
        fresh = (last_s - cursor.position_s) // step_s + 1
        if fresh < 1:
            return Polled((), cursor, {}, True)
        while True:
            points = min(fresh, self._points)
            first_s = max(cursor.begin_s, cursor.position_s - options.overlap_s // step_s * step_s)
            try:
                answered = self._ranges().ask(first_s, (cursor.position_s - first_s) // step_s + points)
                break
            except TooMuchAsked:
                if points == 1:
                    raise
                self._points = points // 2
        after = self._after(cursor, points, answered)
        given = sum(len(item.series.times_s) for item in after.new)
        self._points = max(1, min(_FIRST_PAGE_POINTS, 2 * points, MAX_CHUNK_ROWS * points // max(1, given)))
        return Polled(self._tables(after.new), after.cursor, after.newest_us, points == fresh)

    def _after(self, cursor: PullCursor, points: int, answered: list[Answered]) -> "_After":
        """Return which points of an answer are new, and the cursor once they are published."""
        position_s = cursor.position_s + points * self.step_s
        kept = (1 << (self._options.overlap_s // self.step_s)) - 1
        had = {key: bits for key, old in cursor.had.items() if (bits := (old << points) & kept)}
        all_bits: dict[int, int] = {}
        new: list[Answered] = []
        newest_us: dict[str, int] = {}
        for item in answered:
            key = _key(item)
            bits = all_bits.get(key, cursor.had.get(key, 0) << points)
            fresh: list[int] = []
            for number, at_s in enumerate(item.series.times_s):
                bit = 1 << ((position_s - round(at_s)) // self.step_s - 1)
                if not bits & bit:
                    bits |= bit
                    fresh.append(number)
            if fresh:
                new.append(replace(item, series=_only(item.series, fresh)))
                service = self._ranges().service(item.series)
                newest_us[service] = max(newest_us.get(service, 0), round(item.series.times_s[fresh[-1]] * 1e6))
            all_bits[key] = bits
            had[key] = bits & kept
        return _After(new, PullCursor(cursor.begin_s, position_s, self.step_s, had), newest_us)

    def _tables(self, answered: list[Answered]) -> tuple[pa.Table, ...]:
        if not answered:
            return ()
        return tuple(in_order(read_rows(self._ranges().rows(answered), TimeForm("s"))).chunks())

    def _ranges(self) -> RangeQueries:
        if self._queries is None:
            given = tuple(NamedQuery.parse(text) for text in self._options.queries)
            queries = given or self._discover(self._http)
            if not queries:
                raise SourceError(
                    f"{self._options.url}: no metric is known by which a service can be watched; "
                    "give --set queries=…, `aiops connect prometheus URL` shows what is there"
                )
            self._queries = RangeQueries(self._options, self._http, queries)
        return self._queries

    def _first_data(self, start: datetime, end: datetime) -> datetime:
        """Return from when on the server has something, looked for coarsely and then finer; a step before `end` where never."""
        step_s, end_s = self.step_s, int(end.timestamp())
        start_s = -(-int(start.timestamp()) // step_s) * step_s
        while start_s < end_s:
            coarse_s = max(step_s, (end_s - start_s) // _COARSE // step_s * step_s)
            points = max(1, (end_s - start_s) // coarse_s)
            pages = [self._http.query_range(Page(query.expression, start_s, coarse_s, points)) for query in self.queries]
            firsts = [series.times_s[0] for page in pages for series in page.series if series.times_s]
            if firsts:
                return datetime.fromtimestamp(max(start_s, min(firsts) - coarse_s), UTC)
            if coarse_s == step_s:
                break
            start_s = end_s - 2 * coarse_s
        return datetime.fromtimestamp(end_s - step_s, UTC)


@dataclass(frozen=True, slots=True)
class _After:
    new: list[Answered]
    cursor: PullCursor
    newest_us: Mapping[str, int]


def _key(item: Answered) -> int:
    """Return 64 bits that name a series of a query."""
    parts = [metric_of(item), *(text for pair in sorted(item.series.labels.items()) for text in pair)]
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _only(series: RangeSeries, rows: list[int]) -> RangeSeries:
    return RangeSeries(series.labels, tuple(series.times_s[row] for row in rows), tuple(series.values[row] for row in rows))


def address_of(name: str, url: str) -> str:
    """Return a source's name and its URL without user, password and query."""
    parts = urlsplit(url)
    return f"{name} {urlunsplit((parts.scheme, parts.netloc.rpartition('@')[2], parts.path, '', ''))}"


def http_of(options: SourceOptions) -> PrometheusHttp:
    """Return a client of the server at `options.url`.

    Raises:
        ConfigurationError: there is no url, or it cannot be used.
    """
    if options.url is None:
        raise ConfigurationError(NO_URL)
    return PrometheusHttp(options.url, options.token, options.timeout_s, retry_policy(options), options.partial == "accept")


def open_live(options: SourceOptions) -> LivePrometheus:
    """Return the server at `options.url`, to be followed.

    Raises:
        ConfigurationError: an option is missing or cannot be used.
    """
    from serving.ingest.pull.prometheus_discovery import proposed_queries

    return LivePrometheus(options, retry_policy(options), lambda http: proposed_queries(http, options))
