"""Mutated bodies of each format through the application: no crash, no 5xx, everything counted once.

By default 3,000 of each; FUZZ_BODIES in the environment sets how many (100,000 of a format take about a minute).
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable

import cramjam
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

from serving.stream import streams
from tests.testing.receiver_harness import VERSION_1, VERSION_2, Sent, write_1, write_2
from tests.testing.receivers_in_process import ReceiversInProcess

BODIES = int(os.environ.get("FUZZ_BODIES", "3000"))
NOW_MS = int(time.time() * 1000)
RAW = {"content-encoding": "identity"}
SERIES = [
    Sent({"__name__": "http_requests_total", "job": "cart", "code": str(code)}, [(1.5, NOW_MS), (2.5, NOW_MS + 1)], kind=1)
    for code in range(200, 206)
]


def otlp() -> metrics_service_pb2.ExportMetricsServiceRequest:
    request = metrics_service_pb2.ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.add(key="service.name").value.string_value = "cart"
    scope = group.scope_metrics.add()
    for number in range(3):
        scope.metrics.add(name=f"g{number}").gauge.data_points.add(time_unix_nano=NOW_MS * 10**6, as_double=1.0)
    histogram = scope.metrics.add(name="h").histogram
    histogram.aggregation_temporality = 2
    histogram.data_points.add(
        time_unix_nano=NOW_MS * 10**6, count=3, sum=12.0, bucket_counts=[1, 2, 0], explicit_bounds=[1.0, 10.0]
    )
    return request


FORMATS: dict[str, tuple[str, dict[str, str], Callable[[], bytes]]] = {
    "remote_write_1": ("/api/v1/write", {**VERSION_1, **RAW}, lambda: uncompressed(write_1(SERIES, [("depth", 1)]))),
    "remote_write_2": ("/api/v1/write", {**VERSION_2, **RAW}, lambda: uncompressed(write_2(SERIES))),
    "snappy": ("/api/v1/write", VERSION_2, lambda: write_2(SERIES)),
    "otlp": ("/v1/metrics", {"content-type": "application/x-protobuf"}, lambda: otlp().SerializeToString()),
    "otlp_json": ("/v1/metrics", {"content-type": "application/json"}, lambda: json_format.MessageToJson(otlp()).encode()),
}


def uncompressed(body: bytes) -> bytes:
    return bytes(cramjam.snappy.decompress_raw(body))


def mutated(body: bytes, rng: random.Random) -> bytes:
    """Return a body with some bytes changed, cut out, doubled or put in."""
    changed = bytearray(body)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(changed) or 1)
        kind = rng.randrange(5)
        if kind == 0 and changed:
            changed[at] = rng.randrange(256)
        elif kind == 1 and changed:
            changed[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            del changed[at : at + rng.randint(1, 8)]
        elif kind == 3:
            changed[at:at] = changed[at : at + rng.randint(1, 40)]
        else:
            changed[at:at] = bytes(rng.choices(range(256), k=rng.randint(1, 6)))
    return bytes(changed)


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_bodies_are_answered_and_counted(name: str) -> None:
    path, headers, make = FORMATS[name]
    statuses, application = asyncio.run(sent(path, headers, make()))
    assert sum(statuses.values()) == BODIES
    assert set(statuses) <= {200, 204, 400, 413}, statuses
    assert statuses[400] > 0
    assert application.counted("aiops_ingest_requests_total") == BODIES
    written = application.counted("aiops_ingest_points_total", outcome="written")
    rows = application.broker.rows
    assert written == rows[streams.KIND_POINTS] + rows[streams.KIND_HISTOGRAMS]
    assert rows[streams.KIND_DEFINITIONS] >= application.counted("aiops_ingest_series_defined_total") > 0
    assert application.counted("aiops_ingest_malformed_total") > 0


async def sent(path: str, headers: dict[str, str], body: bytes) -> tuple[Counter[int], ReceiversInProcess]:
    rng, statuses = random.Random(7), Counter[int]()
    async with ReceiversInProcess() as application:
        for first in range(0, BODIES, 20):
            bodies = [mutated(body, rng) for _ in range(min(20, BODIES - first))]
            answers = await asyncio.gather(*(application.post(path, each, headers) for each in bodies))
            statuses.update(answer.status for answer in answers)
    return statuses, application
