"""Who calls whom, as a server's metrics say: service graphs of traces, Istio, Linkerd, span metrics of clients."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from serving.ingest.pull.prometheus_http import PrometheusHttp

UNKNOWN: Final = frozenset({"", "unknown", "user", "-", "virtual_node"})
"""Names that say that a caller or callee is not known."""


@dataclass(frozen=True, slots=True)
class CallMetrics:
    """A counter of calls, the matcher of those that count, and labels that may name caller and callee, in order."""

    what: str
    counter: str
    only: str
    callers: tuple[str, ...]
    callees: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class MetricCall:
    """`caller` calls `callee`; `what` says so."""

    caller: str
    callee: str
    what: str = ""


_PEERS: Final = ("peer_service", "server_address", "net_peer_name", "rpc_service", "db_name", "db_system")
_CLIENT_SPANS: Final = 'span_kind=~"SPAN_KIND_(CLIENT|PRODUCER)"'
KNOWN_CALLS: Final = (
    CallMetrics("service graph of traces", "traces_service_graph_request_total", "", ("client",), ("server",)),
    CallMetrics(
        "Istio",
        "istio_requests_total",
        'reporter="destination"',
        ("source_canonical_service", "source_workload", "source_app"),
        ("destination_canonical_service", "destination_workload", "destination_app", "destination_service_name"),
    ),
    CallMetrics(
        "Linkerd",
        "request_total",
        'direction="outbound"',
        ("deployment", "statefulset", "daemonset", "workload", "app"),
        ("dst_deployment", "dst_statefulset", "dst_daemonset", "dst_workload", "dst_service"),
    ),
    *(
        CallMetrics("span metrics of clients", counter, _CLIENT_SPANS, ("service_name", "service"), _PEERS)
        for counter in ("traces_spanmetrics_calls_total", "traces_span_metrics_calls_total", "calls_total")
    ),
)


def calls_of_metrics(http: PrometheusHttp, names: Collection[str]) -> tuple[MetricCall, ...]:
    """Return the calls between services that metrics tell, each once, in order.

    Raises:
        SourceError: the server cannot be asked.
    """
    calls: dict[tuple[str, str], MetricCall] = {}
    for metrics in KNOWN_CALLS:
        if metrics.counter in names:
            for call in _calls(http, metrics):
                calls.setdefault((call.caller, call.callee), call)
    return tuple(sorted(calls.values()))


def _calls(http: PrometheusHttp, metrics: CallMetrics) -> Iterator[MetricCall]:
    selector = f"{metrics.counter}{{{metrics.only}}}"
    labels = set(http.names("labels", selector))
    callers = [label for label in metrics.callers if label in labels]
    callees = [label for label in metrics.callees if label in labels]
    if not callers or not callees:
        return
    for sample in http.query(f"group by ({', '.join([*callers, *callees])}) ({selector})"):
        caller = next((sample.labels[label] for label in callers if sample.labels.get(label)), "")
        callee = next((sample.labels[label] for label in callees if sample.labels.get(label)), "")
        if caller != callee and caller.lower() not in UNKNOWN and callee.lower() not in UNKNOWN:
            yield MetricCall(caller, callee, metrics.what)
