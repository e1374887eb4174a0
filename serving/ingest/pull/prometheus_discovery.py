"""What of a server can be watched: services, golden signals and calls, found by asking for names, labels and one sample each."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aiops.errors import SourceError
from serving.ingest.pull.prometheus_calls import MetricCall, calls_of_metrics
from serving.ingest.pull.prometheus_http import PrometheusHttp
from serving.ingest.pull.prometheus_queries import NamedQuery
from serving.ingest.pull.prometheus_signals import (
    PLAIN_LABELS,
    RESOURCES,
    RequestMetrics,
    ResourceMetrics,
    by_service,
    requests_of,
    selected,
)
from serving.ingest.pull.source_options import SourceOptions

MANY: Final = 5000
"""Series of one query from which on it is left out: such a query is to be chosen by a person."""
_LEAST_WINDOW_S: Final = 60
_SCRAPES: Final = 4
"""Scrapes that a rate goes over: one may fail."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A query worth asking: what it is made of, how many series it gives now, and of which services."""

    query: NamedQuery
    what: str
    series: int
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Discovered:
    """What a server has. `interval_s`: between scrapes; `window_s`: that rates go over; `remarks`: what was left out and why."""

    url: str
    metrics: int
    interval_s: float
    window_s: int
    proposals: tuple[Proposal, ...]
    calls: tuple[MetricCall, ...]
    remarks: tuple[str, ...]

    @property
    def services(self) -> tuple[str, ...]:
        """Return the services that any proposal is of, in order."""
        return tuple(sorted({service for proposal in self.proposals for service in proposal.services}))


def proposed_queries(http: PrometheusHttp, options: SourceOptions) -> tuple[NamedQuery, ...]:
    """Return the queries that are asked where a user gives none.

    Raises:
        SourceError: the server cannot be asked.
    """
    return tuple(proposal.query for proposal in discover(http, options.service_label).proposals)


def discover(http: PrometheusHttp, service_label: str | None = None) -> Discovered:
    """Ask a server what it has; `service_label` is tried first as the name of services.

    Raises:
        SourceError: the server cannot be asked.
    """
    names = frozenset(http.names("label/__name__/values"))
    interval_s = _scrape_interval_s(http) if "up" in names else 0.0
    window_s = max(_LEAST_WINDOW_S, round(_SCRAPES * interval_s))
    search = _Search(http, names, window_s, service_label)
    for metrics in requests_of(names):
        search.requests(metrics)
    for resource in RESOURCES:
        search.resource(resource)
    calls = calls_of_metrics(http, names)
    return Discovered(http.url, len(names), interval_s, window_s, tuple(search.proposals), calls, tuple(search.remarks))


def _scrape_interval_s(http: PrometheusHttp) -> float:
    """Return the time between two scrapes of the target that is scraped most often; 0 = not known."""
    intervals: list[float] = []
    for range_s in (120, 600):
        samples = http.query(f"max(count_over_time(up[{range_s}s]))")
        intervals += [range_s / sample.value for sample in samples if sample.value >= 2]
    return min(intervals, default=0.0)


class _Search:
    """Tries queries and keeps those that give something. Names of metrics stay unique a service."""

    def __init__(self, http: PrometheusHttp, names: Collection[str], window_s: int, service_label: str | None) -> None:
        self._http = http
        self._names = names
        self._window = f"{window_s}s"
        self._first = (service_label,) if service_label else ()
        self._services: dict[str, set[str]] = {}
        self.proposals: list[Proposal] = []
        self.remarks: list[str] = []

    def requests(self, metrics: RequestMetrics) -> None:
        """Propose traffic, errors and latency of requests."""
        counted = metrics.counter if metrics.counter in self._names else ""
        labels = self._labels(selected(counted or metrics.histogram, metrics.only))
        label = self._service_label(labels, metrics.services)
        if not label:
            if labels:
                self.remarks.append(f"{counted or metrics.histogram}: no label of it names a service")
            return
        if counted:
            every = by_service(f"rate({selected(counted, metrics.only)}[{self._window}])", label)
            self._propose("requests_per_second", metrics, every)
            matcher = next((error for error in metrics.errors if _label_of(error) in labels), "")
            if matcher:
                failed = by_service(f"rate({selected(counted, metrics.only, matcher)}[{self._window}])", label)
                self._propose("error_rate", metrics, f"({failed} or {every} * 0) / ({every} > 0)")
        if metrics.histogram:
            rates = by_service(f"rate({selected(metrics.histogram, metrics.only)}[{self._window}])", label, "sum", "le")
            factor = f"{metrics.unit_ms:g} * " if metrics.unit_ms != 1.0 else ""
            for name, quantile in (("latency_p99_ms", 0.99), ("latency_p50_ms", 0.5)):
                self._propose(name, metrics, f"{factor}histogram_quantile({quantile}, {rates}) >= 0")

    def resource(self, resource: ResourceMetrics) -> None:
        """Propose the use of a resource."""
        if not all(name in self._names for name in resource.needs):
            return
        label = self._service_label(self._labels(resource.needs[0]), resource.services)
        if label:
            whole = by_service(resource.inner.format(window=self._window), label, resource.aggregate)
            self._keep(NamedQuery(resource.metric, resource.then.format(whole)), resource.what)

    def _propose(self, name: str, metrics: RequestMetrics, expression: str) -> None:
        """Keep a query under a common name; where another has it for one of its services, under one of its own."""
        services = self._given(expression)
        if services and self._services.get(name, set()) & set(services):
            name = f"{metrics.base}_{name}"
        self._keep(NamedQuery(name, expression), metrics.what, services)

    def _keep(self, query: NamedQuery, what: str, given: Sequence[str] | None = None) -> None:
        services = self._given(query.expression) if given is None else given
        if not services:
            self.remarks.append(f"{query.name} ({what}): {query.expression} gives nothing now")
        elif len(services) > MANY:
            self.remarks.append(f"{query.name} ({what}): {len(services):,} series, too many to take unasked")
        else:
            self._services.setdefault(query.name, set()).update(services)
            self.proposals.append(Proposal(query, what, len(services), tuple(sorted(set(services)))))

    def _given(self, expression: str) -> list[str]:
        """Return the service of each series that an expression gives now; those without one are left out."""
        try:
            samples = self._http.query(expression)
        except SourceError as error:
            self.remarks.append(str(error))
            return []
        named = (next((s.labels[label] for label in PLAIN_LABELS if s.labels.get(label)), "") for s in samples)
        return [service for service in named if service]

    def _labels(self, selector: str) -> frozenset[str]:
        return frozenset(self._http.names("labels", selector))

    def _service_label(self, labels: Collection[str], candidates: Sequence[str]) -> str:
        return next((label for label in (*self._first, *candidates) if label in labels), "")


def _label_of(matcher: str) -> str:
    return matcher.partition("=")[0]


def rendered(discovered: Discovered) -> Iterator[str]:
    """Yield the lines of a file of queries: one a line, with what it is of in a comment above."""
    yield f"# {discovered.url}: {len(discovered.services)} services; rates over {discovered.window_s} s"
    for proposal in discovered.proposals:
        yield f"# {proposal.what}: {proposal.series} series"
        yield str(proposal.query)
