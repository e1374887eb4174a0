"""Telemetry from a Prometheus server (or one that speaks its API): range queries page by page, in order of time."""

import random
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final

import pyarrow as pa

from aiops.errors import ConfigurationError, SourceError
from aiops.types import HistorySplit
from data_contracts.schemas.telemetry_schemas import TELEMETRY
from serving.ingest.pull.file_merge import in_order
from serving.ingest.pull.prometheus_http import MAX_POINTS, Page, PrometheusHttp, RangeSeries, RetryPolicy, TooMuchAsked
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_rows import MAX_CHUNK_ROWS, read_rows
from serving.ingest.pull.time_columns import TimeForm
from serving.ingest.pull.truth_files import TruthFiles

SERVICE_LABELS: Final = ("service", "job", "app")
_FIRST_PAGE_POINTS: Final = 240
_NAMED: Final = re.compile(r"\s*([A-Za-z_:][A-Za-z0-9_:]*)\s*=(?![=~])\s*(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A PromQL expression and the metric its results become; an empty name takes each series' own `__name__`."""

    name: str
    expression: str

    @classmethod
    def parse(cls, text: str) -> "NamedQuery":
        """Return the query written as `name=expression`, or as an expression alone.

        >>> NamedQuery.parse('latency_p99_ms=1000 * rpc_seconds{quantile="0.99"}').name
        'latency_p99_ms'
        >>> NamedQuery.parse('up{job="api"}').name
        ''
        """
        match = _NAMED.fullmatch(text)
        return cls(match[1], match[2].strip()) if match else cls("", text.strip())


class PrometheusSource:
    """TelemetrySource over start <= t < end of the options. Memory: about MAX_CHUNK_ROWS points a page, all queries together."""

    def __init__(self, options: SourceOptions, policy: RetryPolicy) -> None:
        if options.url is None:
            raise ConfigurationError("url: not given; the source 'prometheus' needs one, for example http://prometheus:9090")
        queries = tuple(NamedQuery.parse(text) for text in options.queries)
        if not queries or any(not query.expression for query in queries):
            raise ConfigurationError("queries: none, or an empty one; give at least one, for example 'cpu=rate(cpu_seconds[5m])'")
        if options.start is None or options.end is None:
            missing = "start" if options.start is None else "end"
            raise ConfigurationError(
                f"{missing}: not given; the source 'prometheus' reads from start to end: "
                "give both as --set start=TIME --set end=TIME (--start and --end choose from what a source reads)"
            )
        self._options = options
        self._truth = TruthFiles(options)
        self._queries = queries
        self._start, self._end = options.start, options.end
        accept_partial = options.partial == "accept"
        self._http = PrometheusHttp(options.url, options.token, options.timeout_s, policy, accept_partial)
        self._remarks: dict[str, None] = {}
        self._answered: set[str] = set()

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
                answered = [(query, series) for query in self._queries for series in self._page(query, at, page_points)]
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
        silent = [query.expression for query in self._queries if query.expression not in self._answered]
        nothing = [f"the query {text!r} gave no series from {self._start} to {self._end}" for text in silent]
        return (*self._remarks, *nothing, *self._truth.remarks())

    def _page(self, query: NamedQuery, at: datetime, points: int) -> tuple[RangeSeries, ...]:
        answer = self._http.query_range(Page(query.expression, at.timestamp(), self._options.step_s, points))
        if answer.series:
            self._answered.add(query.expression)
        for name in answer.histograms:
            fix = "ask for histogram_quantile(0.99, …), histogram_count(…) or histogram_sum(…) of it"
            self._remarks[f"the query {query.expression!r}: {name} is a native histogram, which has no single value; {fix}"] = (
                None
            )
        self._remarks |= dict.fromkeys(answer.remarks)
        return answer.series

    def _tables(self, answered: Sequence[tuple[NamedQuery, RangeSeries]]) -> Iterator[pa.Table]:
        times: list[float] = []
        values: list[str] = []
        services: list[str] = []
        metrics: list[str] = []
        labels: list[list[tuple[str, str]]] = []
        of_row: list[int] = []
        for number, (query, series) in enumerate(answered):
            label = self._service_label(series)
            services.append(series.labels.get(label, ""))
            metrics.append(_metric(query, series))
            labels.append(sorted((key, value) for key, value in series.labels.items() if key not in {"__name__", label}))
            times += series.times_s
            values += series.values
            of_row += [number] * len(series.times_s)
        maps: Any = pa.array(labels, TELEMETRY.field("labels").type)
        loose = pa.table(
            {
                "timestamp": pa.array(times, pa.float64()),
                "service": pa.array(services, pa.string()).take(of_row),
                "metric": pa.array(metrics, pa.string()).take(of_row),
                "value": pa.array(values, pa.string()),
                "labels": maps.take(of_row),
            }
        )
        yield from in_order(read_rows(loose, TimeForm("s"))).chunks()

    def _service_label(self, series: RangeSeries) -> str:
        """Return which label is the service; none of them = the service is empty, and the contract rejects the rows."""
        configured = self._options.service_label
        candidates = (configured,) if configured else SERVICE_LABELS
        return next((label for label in candidates if label in series.labels), candidates[0])


def _metric(query: NamedQuery, series: RangeSeries) -> str:
    name = query.name or series.labels.get("__name__", "")
    if not name:
        raise SourceError(
            f"the query {query.expression!r} gives series without a name; name it, for example 'my_metric={query.expression}'"
        )
    return name


def open_prometheus(options: SourceOptions) -> PrometheusSource:
    """Return the source over `options.url`.

    Raises:
        ConfigurationError: url, queries, start or end is missing or cannot be used.
    """
    return PrometheusSource(options, RetryPolicy(options.retries, time.sleep, random.Random(options.seed).random))
