"""Telemetry from a Prometheus server (or one that speaks its API): range queries page by page, in order of time."""

import random
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Final

import pyarrow as pa

from aiops.errors import ConfigurationError
from aiops.types import HistorySplit
from serving.ingest.pull.file_merge import in_order
from serving.ingest.pull.prometheus_http import MAX_POINTS, PrometheusHttp, TooMuchAsked
from serving.ingest.pull.prometheus_queries import Answered, NamedQuery, RangeQueries
from serving.ingest.pull.request_retries import RetryPolicy
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_rows import MAX_CHUNK_ROWS, read_rows
from serving.ingest.pull.time_columns import TimeForm
from serving.ingest.pull.truth_files import TruthFiles

NO_URL: Final = "url: not given; the source 'prometheus' needs one, for example http://prometheus:9090"
_FIRST_PAGE_POINTS: Final = 240


class PrometheusSource:
    """TelemetrySource over start <= t < end of the options. Memory: about MAX_CHUNK_ROWS points a page, all queries together."""

    def __init__(self, options: SourceOptions, policy: RetryPolicy) -> None:
        self._options = options
        if options.url is None:
            raise ConfigurationError(NO_URL)
        accept_partial = options.partial == "accept"
        self._http = PrometheusHttp(options.url, options.token, options.timeout_s, policy, accept_partial)
        self._queries = RangeQueries(options, self._http, tuple(NamedQuery.parse(text) for text in options.queries))
        if options.start is None or options.end is None:
            missing = "start" if options.start is None else "end"
            raise ConfigurationError(
                f"{missing}: not given; the source 'prometheus' reads from start to end: "
                "give both as --set start=TIME --set end=TIME (--start and --end choose from what a source reads); "
                "`aiops up` alone follows a server live, without both"
            )
        self._truth = TruthFiles(options)
        self._start, self._end = options.start, options.end

    @property
    def name(self) -> str:
        """Return "prometheus"."""
        return "prometheus"

    def batches(self, start: datetime | None = None, end: datetime | None = None) -> Iterator[pa.Table]:
        """Yield telemetry page by page; each page asks every query. NaN and infinities are passed on as they are.

        Raises:
            SourceError: a query failed for good; the message names the query and the status. No page is given out in part.
        """
        step = timedelta(seconds=self._options.step_s)
        skipped = max(0, ceil(((start or self._start) - self._start) / step))
        at, last = self._start + skipped * step, min(end or self._end, self._end)
        points, longest = _FIRST_PAGE_POINTS, MAX_POINTS
        while at < last:
            page_points = min(points, ceil((last - at) / step))
            try:
                answered = self._queries.ask(at.timestamp(), page_points)
            except TooMuchAsked:
                if page_points == 1:
                    raise
                points = longest = page_points // 2
                continue
            if answered:
                yield from self._tables(answered)
            at += page_points * step
            points = max(1, min(longest, MAX_CHUNK_ROWS // max(1, len(answered))))

    def edges(self) -> pa.Table:
        """Return the edges of the file given as option `edges`."""
        return self._truth.edges()

    def incidents(self) -> pa.Table:
        """Return the incidents of the file given as option `incidents`."""
        return self._truth.incidents()

    def changes(self) -> pa.Table:
        """Return the change events of the file given as option `changes`."""
        return self._truth.changes()

    def split(self) -> HistorySplit:
        """Return the first `history_share` of the time as history, the rest as replay."""
        cut = self._start + (self._end - self._start) * self._options.history_share
        return HistorySplit(self._start, cut, cut, self._end)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def remarks(self) -> tuple[str, ...]:
        """Return what the server remarked, what has no single value, and which queries gave nothing so far."""
        silent = self._queries.silent()
        nothing = [f"the query {text!r} gave no series from {self._start} to {self._end}" for text in silent]
        return (*self._queries.remarks, *nothing, *self._truth.remarks())

    def _tables(self, answered: Sequence[Answered]) -> Iterator[pa.Table]:
        yield from in_order(read_rows(self._queries.rows(answered), TimeForm("s"))).chunks()


def open_prometheus(options: SourceOptions) -> PrometheusSource:
    """Return the source over `options.url`.

    Raises:
        ConfigurationError: url, queries, start or end is missing or cannot be used.
    """
    return PrometheusSource(options, retry_policy(options))


def retry_policy(options: SourceOptions) -> RetryPolicy:
    """Return how often and how long a server is tried again, by the machine's clock."""
    return RetryPolicy(options.retries, time.sleep, random.Random(options.seed).random)
