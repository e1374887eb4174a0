"""Speed of logs, spans and archived points on one core, CPU time: bodies → checked rows; points by id → named rows in the lake.

Prints JSON lines with name, value, unit and baseline (the parser alone; for points the joining without the writing).
"""

import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from data_contracts.series.tenant import DEFAULT_TENANT
from serving.ingest.receive.signals.json_messages import JsonLogs, JsonTraces
from serving.ingest.receive.signals.otlp_logs import accept_logs
from serving.ingest.receive.signals.otlp_traces import accept_spans
from serving.ingest.receive.signals.signal_outcome import SignalIntake
from serving.lake.opening import open_lake
from serving.stream import streams
from serving.stream.entry import Entry
from serving.stream.scored_points import ScoredPoints
from tests.testing.otlp_bodies import NOW, NOW_NS, as_json, put
from tests.testing.signal_entries import START_US, catalogue, key_of, points

RECORDS = 8000
RESOURCES = 20
REPEATS = 5
SERIES = 20_000
TICKS = 40


def fill(record: Any, number: int, rng: random.Random) -> None:
    """Give a record or span ids and attributes."""
    record.trace_id, record.span_id = rng.randbytes(16), rng.randbytes(8)
    texts = {"http.method": "GET", "http.route": "/cart/{id}", "thread.name": f"t{number}", "code.function": "serve"}
    put(record.attributes, {**texts, "http.status_code": 200})


def logs() -> ExportLogsServiceRequest:
    """Return log records of several resources, five attributes each."""
    request, rng = ExportLogsServiceRequest(), random.Random(1)
    for resource in range(RESOURCES):
        group = request.resource_logs.add()
        put(group.resource.attributes, {"service.name": f"s{resource}", "host.name": "h", "k8s.pod.name": f"p{resource}"})
        scope = group.scope_logs.add()
        for number in range(RECORDS // RESOURCES):
            record = scope.log_records.add(time_unix_nano=NOW_NS - number, severity_number=9, severity_text="INFO")
            record.body.string_value = f"request {number} served in {rng.random()} ms"
            fill(record, number, rng)
    return request


def traces() -> ExportTraceServiceRequest:
    """Return spans of several resources, five attributes each."""
    request, rng = ExportTraceServiceRequest(), random.Random(2)
    for resource in range(RESOURCES):
        group = request.resource_spans.add()
        put(group.resource.attributes, {"service.name": f"s{resource}", "host.name": "h", "k8s.pod.name": f"p{resource}"})
        scope = group.scope_spans.add()
        for number in range(RECORDS // RESOURCES):
            span = scope.spans.add(name="GET /cart", kind=2, parent_span_id=rng.randbytes(8))
            span.start_time_unix_nano, span.end_time_unix_nano = NOW_NS - 10**6, NOW_NS
            fill(span, number, rng)
    return request


def cpu_s(work: Callable[[], object]) -> float:
    """Return the median CPU time of a call."""
    times = []
    for _ in range(REPEATS):
        begun = time.process_time()
        work()
        times.append(time.process_time() - begun)
    return median(times)


def bodies() -> Iterator[tuple[str, float, str, float]]:
    """Yield (name, value, unit, baseline) of logs and spans in both forms."""
    intake = SignalIntake(NOW)
    for name, request, accept, kind in (("logs", logs(), accept_logs, JsonLogs), ("spans", traces(), accept_spans, JsonTraces)):
        body, text = request.SerializeToString(), as_json(request)
        parse: Any = type(request).FromString
        decoder: Any = msgspec.json.Decoder(kind, strict=False)
        figure = RECORDS / cpu_s(lambda accept=accept, body=body: accept(body, "protobuf", intake))  # type: ignore[misc]
        yield f"{name}, protobuf", figure, "records/s", RECORDS / cpu_s(lambda parse=parse, body=body: parse(body))  # type: ignore[misc]
        figure = RECORDS / cpu_s(lambda accept=accept, text=text: accept(text, "json", intake))  # type: ignore[misc]
        yield f"{name}, JSON", figure, "records/s", RECORDS / cpu_s(lambda decoder=decoder, text=text: decoder.decode(text))  # type: ignore[misc]


def archived() -> Iterator[tuple[str, float, str, float]]:
    """Yield (name, value, unit, baseline) of points that get their names and are written."""
    rows = catalogue([key_of(number) for number in range(SERIES)])
    ids, rng = rows["series_id"].to_numpy(), np.random.default_rng(3)
    entries = [Entry("1-0", streams.KIND_DEFINITIONS, streams.to_ipc(rows), 0, START_US)]
    for tick in range(TICKS):
        at_us = START_US + tick * timedelta(minutes=1) // timedelta(microseconds=1)
        payload = streams.to_ipc(points(rng.permutation(ids).tolist(), at_us))
        entries.append(Entry(f"{tick + 2}-0", streams.KIND_POINTS, payload, 0, at_us))
    with tempfile.TemporaryDirectory() as folder:
        lake = open_lake(Path(folder)).for_tenant(DEFAULT_TENANT)

        def named() -> list[Any]:
            return ScoredPoints(lambda _: lake).rows(entries)

        def written() -> None:
            for part in named():
                lake.write(part.table, part.rows, "points-0-1-0")

        yield "points archived", SERIES * TICKS / cpu_s(written), "points/s", SERIES * TICKS / cpu_s(named)


def main() -> None:
    """Run the benchmark."""
    for measure in (bodies, archived):
        for name, value, unit, baseline in measure():
            print(json.dumps({"name": name, "value": round(value), "unit": unit, "baseline": round(baseline)}), flush=True)


if __name__ == "__main__":
    main()
