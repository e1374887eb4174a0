"""The series that the stream bench sends: services with instances, half of the metrics gauges, half counters."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

METRICS: Final = (
    *("process_resident_memory_bytes", "process_open_fds", "queue_depth", "heap_bytes", "cpu_frequency_hertz"),
    *("http_requests_in_flight", "request_latency_p99_ms", "request_latency_p50_ms", "threads", "connections"),
    *("http_requests_total", "http_errors_total", "process_cpu_seconds_total", "network_receive_bytes_total"),
    *("network_transmit_bytes_total", "gc_seconds_total", "cache_hits_total", "cache_misses_total", "log_lines_total"),
    "disk_reads_total",
)
COUNTER: Final = "_total"


@dataclass(frozen=True, slots=True)
class SentSeries:
    """One series: labels in the order in which Prometheus sends them, `__name__` among them."""

    metric: str
    labels: tuple[tuple[str, str], ...]

    @property
    def counts(self) -> bool:
        """Return whether it only grows."""
        return self.metric.endswith(COUNTER)


@dataclass(frozen=True, slots=True)
class Target:
    """What is scraped: one instance of a service; all of its series come one after the other."""

    service: str
    instance: str
    series: tuple[SentSeries, ...]


def targets(count: int, instances: int) -> Iterator[Target]:
    """Yield `count` targets of 20 series each; a service has `instances` of them."""
    for number in range(count):
        service = f"service-{number // instances:05d}"
        pod = f"{service}-{(number * 2654435761) % 2**32:08x}"
        instance = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:8080"
        series = tuple(_series(metric, service, pod, instance) for metric in METRICS)
        yield Target(service, instance, series)


def hosts(count: int) -> Iterator[Target]:
    """Yield hosts of 20 series each, as a node exporter is scraped: each is a service of its own."""
    for number in range(count):
        instance = f"host-{number:05d}:9100"
        series = tuple(_host_series(f"node_{metric}", instance) for metric in METRICS)
        yield Target(f"host-{number:05d}", instance, series)


def in_requests(sent: Sequence[Target], samples: int) -> Iterator[Sequence[Target]]:
    """Yield the targets of each request of about `samples` samples, a sample a series."""
    each = max(1, samples // len(METRICS))
    for first in range(0, len(sent), each):
        yield sent[first : first + each]


def _series(metric: str, service: str, pod: str, instance: str) -> SentSeries:
    labels = (("__name__", metric), ("cluster", "eu-1"), ("instance", instance), ("job", service), ("namespace", "shop"))
    return SentSeries(metric, (*labels, ("pod", pod)))


def _host_series(metric: str, instance: str) -> SentSeries:
    return SentSeries(metric, (("__name__", metric), ("cluster", "eu-1"), ("instance", instance), ("job", "node")))
