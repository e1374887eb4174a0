"""PromQL expressions of a user and what their answers become: telemetry, series by series."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import pyarrow as pa

from aiops.errors import ConfigurationError, SourceError
from aiops.normalise.service_labels import UNKNOWN, ServiceName, ServiceRules
from data_contracts.schemas.telemetry_schemas import TELEMETRY
from serving.ingest.pull.prometheus_http import Page, PrometheusHttp, RangeSeries
from serving.ingest.pull.source_options import SourceOptions

_RULES: Final = ServiceRules()
_NAMED: Final = re.compile(r"\s*([A-Za-z_:][A-Za-z0-9_:]*)\s*=(?![=~])\s*(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A PromQL expression and the metric its results become; an empty name takes each series' own `__name__`."""

    name: str
    expression: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the query written as `name=expression`, or as an expression alone.

        >>> NamedQuery.parse('latency_p99_ms=1000 * rpc_seconds{quantile="0.99"}').name
        'latency_p99_ms'
        >>> NamedQuery.parse('up{job="api"}').name
        ''
        """
        match = _NAMED.fullmatch(text)
        return cls(match[1], match[2].strip()) if match else cls("", text.strip())

    def __str__(self) -> str:
        """Return it as it is parsed."""
        return f"{self.name}={self.expression}" if self.name else self.expression


@dataclass(frozen=True, slots=True)
class Answered:
    """One series that a query gave."""

    query: NamedQuery
    series: RangeSeries


class RangeQueries:
    """Queries of the options, asked page by page; keeps what the server remarked."""

    def __init__(self, options: SourceOptions, http: PrometheusHttp, queries: Sequence[NamedQuery]) -> None:
        if not queries or any(not query.expression for query in queries):
            raise ConfigurationError("queries: none, or an empty one; give at least one, for example 'cpu=rate(cpu_seconds[5m])'")
        self._options = options
        self._http = http
        self.queries = tuple(queries)
        self.remarks: dict[str, None] = {}
        self.answered: set[str] = set()

    def ask(self, start_s: float, points: int) -> list[Answered]:
        """Return what every query gives from `start_s` on (s since 1970), `points` steps.

        Raises:
            TooMuchAsked: the page is too long for the server.
            SourceError: a query failed for good.
        """
        return [Answered(query, series) for query in self.queries for series in self._page(query, start_s, points)]

    def _page(self, query: NamedQuery, start_s: float, points: int) -> tuple[RangeSeries, ...]:
        answer = self._http.query_range(Page(query.expression, start_s, self._options.step_s, points))
        if answer.series:
            self.answered.add(query.expression)
        for name in answer.histograms:
            fix = "ask for histogram_quantile(0.99, …), histogram_count(…) or histogram_sum(…) of it"
            self.remarks[f"the query {query.expression!r}: {name} is a native histogram, which has no single value; {fix}"] = None
        self.remarks |= dict.fromkeys(answer.remarks)
        return answer.series

    def silent(self) -> list[str]:
        """Return the expressions that gave nothing so far."""
        return [query.expression for query in self.queries if query.expression not in self.answered]

    def service(self, series: RangeSeries) -> str:
        """Return the service of a series, "" where no label names one: the contract rejects its rows."""
        return self._service(series).service

    def rows(self, answered: Sequence[Answered]) -> pa.Table:
        """Return the points of some series with time in seconds and value as text, series after series."""
        times: list[float] = []
        values: list[str] = []
        services: list[str] = []
        metrics: list[str] = []
        labels: list[list[tuple[str, str]]] = []
        of_row: list[int] = []
        for number, item in enumerate(answered):
            series = item.series
            name = self._service(series)
            services.append(name.service)
            metrics.append(metric_of(item))
            labels.append(sorted((key, value) for key, value in series.labels.items() if key not in {"__name__", name.label}))
            times += series.times_s
            values += series.values
            of_row += [number] * len(series.times_s)
        maps: Any = pa.array(labels, TELEMETRY.field("labels").type)
        return pa.table(
            {
                "timestamp": pa.array(times, pa.float64()),
                "service": pa.array(services, pa.string()).take(of_row),
                "metric": pa.array(metrics, pa.string()).take(of_row),
                "value": pa.array(values, pa.string()),
                "labels": maps.take(of_row),
            }
        )

    def _service(self, series: RangeSeries) -> ServiceName:
        """Return the service by the rule for all that is received, or by the option; "" = none: the contract rejects it."""
        configured = self._options.service_label
        if configured:
            return ServiceName(series.labels.get(configured, ""), configured)
        name = _RULES.of_labels(series.labels.get("__name__", ""), series.labels)
        return ServiceName("") if name.service == UNKNOWN else name


def metric_of(item: Answered) -> str:
    """Return the name of the metric that a series becomes.

    Raises:
        SourceError: neither the query nor the series has a name.
    """
    name = item.query.name or item.series.labels.get("__name__", "")
    if not name:
        expression = item.query.expression
        raise SourceError(f"the query {expression!r} gives series without a name; name it, for example 'my_metric={expression}'")
    return name
