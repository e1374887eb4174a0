"""Speed of the decoders on one core: compressed bodies of 2,000 points → columns and hashes of series.

Prints JSON lines with name, value, unit and baseline (protobuf's own parser, upb, on the same compressed bodies: messages, not
columns). Bodies are those of one host (500 metrics each, as a scrape gives them) and of services spread over a cluster.
"""

import gzip
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import cramjam
import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from serving.ingest.receive.wire.body_compression import uncompressed
from tests.testing.wire_messages import REMOTE_WRITE_1, REMOTE_WRITE_2
from tests.testing.wire_reference import DECODERS

POINTS: Final = 2000
BODIES: Final = 20
REPEATS: Final = 7
LIMIT: Final = 16 << 20
START_MS: Final = 1_767_225_600_000
FIRST_POINTS: Final = """
import sys
import data_contracts.kernel_cache
if "compile" in sys.argv:
    data_contracts.kernel_cache.kept = lambda dispatcher, version="": dispatcher
from tests.benchmarks.bench_decode import first_points
print(first_points(sys.argv[1]))
"""
Labels = list[tuple[str, str]]


def host_labels(number: int) -> Labels:
    """Return labels of one of 500 metrics of a host."""
    host, metric = divmod(number, 500)
    return [
        ("__name__", f"node_metric_{metric % 120}_total"),
        ("cluster", "eu-west-1-prod"),
        ("device", f"dev{metric // 120}"),
        ("instance", f"10.{host >> 16 & 255}.{host >> 8 & 255}.{host & 255}:9100"),
        ("job", "node-exporter"),
        ("namespace", f"ns-{host % 97}"),
        ("pod", f"svc-{host % 997}-7d9f8c6b5-{host:05d}"),
    ]


def spread_labels(number: int) -> Labels:
    """Return labels of a series whose neighbours in a body are of other services and instances."""
    return [
        ("__name__", f"http_requests_{number % 50}_seconds"),
        ("cluster", "eu-west-1-prod"),
        ("instance", f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:9100"),
        ("job", "node-exporter"),
        ("namespace", f"ns-{number % 97}"),
        ("pod", f"svc-{number % 997}-7d9f8c6b5-{number:05d}"),
        ("service", f"svc-{number % 997}"),
    ]


def remote_write_1(first: int, labels: Callable[[int], Labels]) -> Any:
    """Return a WriteRequest."""
    request = REMOTE_WRITE_1["WriteRequest"]()
    for number in range(first, first + POINTS):
        series = request.timeseries.add()
        for name, value in labels(number):
            series.labels.add(name=name, value=value)
        series.samples.add(value=random.random(), timestamp=START_MS)
    return request


def remote_write_2(first: int, labels: Callable[[int], Labels]) -> Any:
    """Return a Request of 2.0, with types and help as Prometheus sends them."""
    request, symbols = REMOTE_WRITE_2["Request"](), {"": 0}
    for number in range(first, first + POINTS):
        pairs = labels(number)
        references = [symbols.setdefault(text, len(symbols)) for pair in pairs for text in pair]
        series = request.timeseries.add(labels_refs=references)
        series.samples.add(value=random.random(), timestamp=START_MS)
        series.metadata.type = 1
        series.metadata.help_ref = symbols.setdefault(f"Help of {pairs[0][1]}", len(symbols))
    request.symbols.extend(symbols)
    return request


def otlp(first: int, labels: Callable[[int], Labels]) -> Any:
    """Return a request with metrics: 500 points a resource, 10 a metric."""
    request = ExportMetricsServiceRequest()
    for number in range(first, first + POINTS, 500):
        resource = request.resource_metrics.add()
        for name, value in labels(number)[1:]:
            resource.resource.attributes.add(key=name).value.string_value = value
        scope = resource.scope_metrics.add()
        scope.scope.name = "bench"
        for metric in range(50):
            data = scope.metrics.add(name=f"node.metric.{metric}", unit="s").sum
            data.aggregation_temporality, data.is_monotonic = 2, True
            for device in range(10):
                point = data.data_points.add(as_double=random.random(), time_unix_nano=START_MS * 10**6)
                point.start_time_unix_nano = (START_MS - 100_000) * 10**6
                point.attributes.add(key="device").value.string_value = f"dev{device}"
                point.attributes.add(key="state").value.string_value = "idle"
    return request


@dataclass(frozen=True)
class Form:
    """One format: who makes its bodies, and how they are compressed."""

    name: str
    make: Callable[[int, Callable[[int], Labels]], Any]
    encoding: str
    compress: Callable[[bytes], bytes]


FORMS: Final = (
    Form("remote_write_1", remote_write_1, "snappy", lambda body: bytes(cramjam.snappy.compress_raw(body))),
    Form("remote_write_2", remote_write_2, "snappy", lambda body: bytes(cramjam.snappy.compress_raw(body))),
    Form("otlp", otlp, "gzip", gzip.compress),
    Form("otlp", otlp, "zstd", lambda body: bytes(cramjam.zstd.compress(body))),
)


def show(name: str, value: float, unit: str, baseline: float) -> None:
    """Print one figure."""
    print(json.dumps({"name": name, "value": round(value, 3), "unit": unit, "baseline": round(baseline, 3)}), flush=True)


def best_s(work: Callable[[], object]) -> float:
    """Return the least CPU time of several runs."""
    return min(_cpu_s(work) for _ in range(REPEATS))


def each(read: Callable[[bytes], object], bodies: list[bytes], encoding: str) -> Callable[[], None]:
    """Return work that reads bodies, one after the other, and keeps none: memory that was used is used again."""

    def work() -> None:
        for body in bodies:
            read(uncompressed(body, encoding, LIMIT))

    return work


def _cpu_s(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun


def measure(form: Form, shape: str, labels: Callable[[int], Labels]) -> Iterator[tuple[str, float, str, float]]:
    """Yield (name, value, unit, baseline)."""
    requests = [form.make(number * POINTS, labels) for number in range(BODIES)]
    bodies = [request.SerializeToString() for request in requests]
    sent, parse, decoder = [form.compress(body) for body in bodies], type(requests[0]).FromString, DECODERS[form.name](7)
    decoder.decode(bodies[0])
    points = POINTS * BODIES
    whole, parsed = (best_s(each(read, sent, form.encoding)) for read in (decoder.decode, parse))
    plain, alone = (best_s(each(read, bodies, "identity")) for read in (decoder.decode, parse))
    what = f"{form.name}, {shape}"
    yield f"decode {what}, {form.encoding}", points / whole, "points/s", points / parsed
    yield f"decode {what}, uncompressed", points / plain, "points/s", points / alone
    decoded, rows = decoder.decode(bodies[0]), np.arange(POINTS)
    yield f"describe new series of {what}", POINTS / best_s(lambda: decoded.describe(rows)), "series/s", 0.0


def start_s(form: str, *options: str) -> float:
    """Return CPU seconds from a process's start to its first decoded point."""
    command = [sys.executable, "-c", FIRST_POINTS, form, *options]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def first_points(name: str) -> float:
    """Return the CPU time of this process so far, once a point, and a series' text, were read."""
    form = next(form for form in FORMS if form.name == name)
    decoded = DECODERS[name](7).decode(form.make(0, host_labels).SerializeToString())
    decoded.describe(np.arange(1))
    return time.process_time()


def main() -> None:
    """Run the benchmark."""
    for form in FORMS:
        for shape, labels in (("hosts", host_labels), ("services", spread_labels)):
            if (form.encoding, shape) != ("zstd", "services"):
                for figure in measure(form, shape, labels):
                    if form.encoding != "zstd" or "zstd" in figure[0]:
                        show(*figure)
    for name in DECODERS:
        show(f"first points of {name}, nothing compiled", start_s(name, "compile"), "CPU s", start_s(name))


if __name__ == "__main__":
    main()
