"""Which metrics of a server say how a service is doing: names that are known, and PromQL that makes golden signals of them.

Source: documentation of the exporters (node exporter, cAdvisor, kube-state-metrics, Istio, Linkerd, OpenTelemetry's span metrics
and semantic conventions, Micrometer, go-grpc-prometheus); Beyer et al., Site Reliability Engineering (2016), chapter 6.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from aiops.normalise.service_labels import SERVICE_LABELS

PLAIN_LABELS: Final = ("service", "job", "app")
"""Labels that a pulled series' service is read from as they are; others are copied to `service`."""
HOST: Final = "([^:]+)(?::[0-9]+)?"
_ANY: Final = "(.+)"
_SERVER_ERRORS: Final = 'code=~"5.."', 'status=~"5.."', 'status_code=~"5.."', 'response_code=~"5.."'
_HTTP_ERRORS: Final = (*_SERVER_ERRORS, 'http_response_status_code=~"5.."', 'http_status_code=~"5.."')
_GRPC_ERRORS: Final = ('grpc_code=~"Unknown|DeadlineExceeded|ResourceExhausted|Internal|Unavailable|DataLoss"',)
_DISKS: Final = 'fstype!~"tmpfs|ramfs|devtmpfs|overlay|squashfs|iso9660|nsfs|rootfs|autofs|fuse.*"'
_NICS: Final = 'device!~"lo|veth.*|cali.*|docker.*|br-.*|cni.*|flannel.*"'
_CONTAINERS: Final = 'container!="",container!="POD"'
_COUNTER: Final = re.compile(r"(?:.*_)?requests?_total")
_NO_REQUESTS: Final = ("node_", "windows_", "container_", "kube_", "go_", "process_", "promhttp_", "net_conntrack_", "traces_")
"""How names begin that are of no service's requests, or that are known above."""
_DURATION: Final = re.compile(
    r"(?:.*_)?(?:http|grpc|rpc|request|requests|response|handling|query|call)(?:_[a-z0-9]+)*"
    r"_(?P<unit>seconds|milliseconds|ms)_bucket"
)


@dataclass(frozen=True, slots=True)
class RequestMetrics:
    """Metrics that count and time requests: `counter` in total, `histogram` of durations in units of `unit_ms`, "" = none.

    `errors`: matchers, of which the first counts whose label is there; `only`: a matcher of what is a request at all;
    `services`: labels that may name the service, in order.
    """

    what: str
    counter: str
    histogram: str = ""
    unit_ms: float = 1000.0
    errors: tuple[str, ...] = _HTTP_ERRORS
    only: str = ""
    services: tuple[str, ...] = SERVICE_LABELS

    @property
    def base(self) -> str:
        """Return what metrics are called after it where the common names are taken."""
        name = re.sub(r"_(total|count|bucket)$", "", self.counter or self.histogram)
        return re.sub(r"_(seconds|milliseconds|ms)$", "", name)


@dataclass(frozen=True, slots=True)
class ResourceMetrics:
    """A resource: `needs` = metrics that must be there; `inner` is added up by service with `aggregate`, `then` wraps it ({})."""

    what: str
    metric: str
    needs: tuple[str, ...]
    inner: str
    aggregate: str = "sum"
    then: str = "{}"
    services: tuple[str, ...] = SERVICE_LABELS


_ISTIO: Final = ("destination_canonical_service", "destination_workload", "destination_app", "destination_service_name")
_LINKERD: Final = ("deployment", "statefulset", "daemonset", "workload", "app", "service", "job")
_INSTANCE: Final = ("instance",)
_CONTAINER: Final = ("container",)
_SPAN_ERRORS: Final = ('status_code=~"STATUS_CODE_ERROR|ERROR|Error"',)
_SERVER_SPANS: Final = 'span_kind=~"SPAN_KIND_(SERVER|CONSUMER)"'

KNOWN_REQUESTS: Final = (
    RequestMetrics(
        "Istio",
        "istio_requests_total",
        "istio_request_duration_milliseconds_bucket",
        1.0,
        only='reporter="destination"',
        services=_ISTIO,
    ),
    RequestMetrics(
        "Linkerd",
        "response_total",
        "response_latency_ms_bucket",
        1.0,
        ('classification="failure"',),
        'direction="inbound"',
        _LINKERD,
    ),
    *(
        RequestMetrics("OpenTelemetry span metrics", counter, histogram, unit_ms, _SPAN_ERRORS, _SERVER_SPANS)
        for counter, histogram, unit_ms in (
            ("traces_spanmetrics_calls_total", "traces_spanmetrics_latency_bucket", 1000.0),
            ("traces_span_metrics_calls_total", "traces_span_metrics_duration_milliseconds_bucket", 1.0),
            ("traces_span_metrics_calls_total", "traces_span_metrics_duration_seconds_bucket", 1000.0),
            ("calls_total", "duration_milliseconds_bucket", 1.0),
            ("calls_total", "duration_seconds_bucket", 1000.0),
            ("calls_total", "latency_bucket", 1.0),
        )
    ),
    *(
        RequestMetrics(what, f"{name}_count", f"{name}_bucket", unit_ms)
        for what, name, unit_ms in (
            ("OpenTelemetry HTTP servers", "http_server_request_duration_seconds", 1000.0),
            ("OpenTelemetry HTTP servers", "http_server_duration_milliseconds", 1.0),
            ("Micrometer HTTP servers", "http_server_requests_seconds", 1000.0),
        )
    ),
    RequestMetrics("gRPC servers", "grpc_server_handled_total", "grpc_server_handling_seconds_bucket", errors=_GRPC_ERRORS),
)

RESOURCES: Final = (
    ResourceMetrics(
        "node exporter",
        "cpu_utilization",
        ("node_cpu_seconds_total",),
        'rate(node_cpu_seconds_total{{mode="idle"}}[{window}])',
        "avg",
        "clamp_min(1 - {}, 0)",
        _INSTANCE,
    ),
    ResourceMetrics(
        "node exporter",
        "memory_utilization",
        ("node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"),
        "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
        "max",
        services=_INSTANCE,
    ),
    ResourceMetrics(
        "node exporter",
        "disk_utilization",
        ("node_filesystem_avail_bytes", "node_filesystem_size_bytes"),
        f"1 - node_filesystem_avail_bytes{{{{{_DISKS}}}}} / node_filesystem_size_bytes{{{{{_DISKS}}}}}",
        "max",
        services=_INSTANCE,
    ),
    ResourceMetrics(
        "node exporter",
        "disk_busy_ratio",
        ("node_disk_io_time_seconds_total",),
        "rate(node_disk_io_time_seconds_total[{window}])",
        "max",
        services=_INSTANCE,
    ),
    ResourceMetrics("node exporter", "load_1min", ("node_load1",), "node_load1", "max", services=_INSTANCE),
    *(
        ResourceMetrics(
            "node exporter",
            f"network_{way}_bytes_per_second",
            (f"node_network_{way}_bytes_total",),
            f"rate(node_network_{way}_bytes_total{{{{{_NICS}}}}}[{{window}}])",
            services=_INSTANCE,
        )
        for way in ("receive", "transmit")
    ),
    ResourceMetrics(
        "windows exporter",
        "cpu_utilization",
        ("windows_cpu_time_total",),
        'rate(windows_cpu_time_total{{mode="idle"}}[{window}])',
        "avg",
        "clamp_min(1 - {}, 0)",
        _INSTANCE,
    ),
    ResourceMetrics(
        "cAdvisor",
        "container_cpu_cores",
        ("container_cpu_usage_seconds_total",),
        f"rate(container_cpu_usage_seconds_total{{{{{_CONTAINERS}}}}}[{{window}}])",
        services=_CONTAINER,
    ),
    ResourceMetrics(
        "cAdvisor",
        "container_memory_bytes",
        ("container_memory_working_set_bytes",),
        f"container_memory_working_set_bytes{{{{{_CONTAINERS}}}}}",
        services=_CONTAINER,
    ),
    ResourceMetrics(
        "kube-state-metrics",
        "container_restarts_per_second",
        ("kube_pod_container_status_restarts_total",),
        "rate(kube_pod_container_status_restarts_total[{window}])",
        services=_CONTAINER,
    ),
    ResourceMetrics(
        "kube-state-metrics",
        "replicas_unavailable",
        ("kube_deployment_status_replicas_unavailable",),
        "kube_deployment_status_replicas_unavailable",
        services=("deployment",),
    ),
    ResourceMetrics(
        "processes", "process_cpu_cores", ("process_cpu_seconds_total",), "rate(process_cpu_seconds_total[{window}])"
    ),
    ResourceMetrics("processes", "process_memory_bytes", ("process_resident_memory_bytes",), "process_resident_memory_bytes"),
    ResourceMetrics(
        "the suite itself",
        "consumer_points_per_second",
        ("aiops_consumer_points_total",),
        "rate(aiops_consumer_points_total[{window}])",
    ),
    ResourceMetrics("targets", "targets_up_ratio", ("up",), "up", "avg"),
)


def requests_of(names: Collection[str]) -> Iterator[RequestMetrics]:
    """Yield the metrics of requests that are among some names: those that are known, then those whose names say what they are."""
    taken: set[str] = set()
    for known in KNOWN_REQUESTS:
        counter = known.counter if known.counter in names and known.counter not in taken else ""
        histogram = known.histogram if known.histogram in names else ""
        if counter or histogram:
            taken |= {counter, histogram, known.counter}
            yield RequestMetrics(known.what, counter, histogram, known.unit_ms, known.errors, known.only, known.services)
    others = sorted(name for name in names if not name.startswith(_NO_REQUESTS))
    for name in others:
        match = _DURATION.fullmatch(name)
        if match is not None and name not in taken:
            counted = name.removesuffix("_bucket") + "_count"
            own = next((total for total in _totals(name) if total in names and total not in taken), "")
            taken |= {name, counted, own}
            yield RequestMetrics("requests", own or counted, name, 1000.0 if match["unit"] == "seconds" else 1.0)
    for name in others:
        if _COUNTER.fullmatch(name) and name not in taken:
            yield RequestMetrics("requests", name)


def _totals(histogram: str) -> Iterator[str]:
    """Yield the counters that may count the same requests as a histogram."""
    stem = re.sub(r"(_request|_requests)?(_duration|_latency)?_(seconds|milliseconds|ms)_bucket$", "", histogram)
    yield f"{stem}_requests_total"
    yield f"{stem}_request_total"


def selected(metric: str, *matchers: str) -> str:
    """Return a selector.

    >>> selected("up"), selected("up", "", 'job="a"')
    ('up', 'up{job="a"}')
    """
    given = ",".join(filter(None, matchers))
    return f"{metric}{{{given}}}" if given else metric


def by_service(inner: str, label: str, aggregate: str = "sum", beside: str = "") -> str:
    """Return an expression added up by the service that a label names, and by the label `beside` where one is given.

    >>> by_service("up", "job", "avg")
    'avg by (job) (up)'
    >>> by_service("up", "service_name")
    'sum by (service) (label_replace(up, "service", "$1", "service_name", "(.+)"))'
    """
    group = f"{label}, {beside}" if beside else label
    if label in PLAIN_LABELS:
        return f"{aggregate} by ({group}) ({inner})"
    group = f"service, {beside}" if beside else "service"
    pattern = HOST if label == "instance" else _ANY
    return f'{aggregate} by ({group}) (label_replace({inner}, "service", "$1", "{label}", "{pattern}"))'
