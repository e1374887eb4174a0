"""Bodies as senders may write them: random requests, their fields in any legal order and form, and damaged copies."""

import base64
import random
import re
import struct
from collections.abc import Callable
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.testing.wire_messages import REMOTE_WRITE_1, REMOTE_WRITE_2

STALE: Final = struct.unpack("<d", (0x7FF0000000000002).to_bytes(8, "little"))[0]
NAMES: Final = ("__name__", "a", "instance", "job", "le", "zone")
VALUES: Final = ("", "x", "é" * 3, "10.0.0.7:9100", "v" * 130, "node_cpu_seconds_total")
NUMBERS: Final = (0.0, -1.5, 1e300, float("inf"), float("nan"), STALE, 7.0)
TIMES: Final = (0, 1, -5, 1_700_000_000_000, 2**63 - 1, -(2**63))


def labels_of(rng: random.Random) -> list[tuple[str, str]]:
    """Return labels of a series, nearly always as they should be."""
    names = rng.sample(NAMES, rng.randint(0, 5))
    labels = [(name, rng.choice(VALUES)) for name in (sorted(names) if rng.random() < 0.8 else names)]
    return labels + labels[:1] if rng.random() < 0.05 else labels


def write_request(rng: random.Random) -> Any:
    """Return a WriteRequest of 1.0."""
    request = REMOTE_WRITE_1["WriteRequest"]()
    for _ in range(rng.randint(0, 4)):
        series = request.timeseries.add()
        for name, value in labels_of(rng):
            series.labels.add(name=name, value=value)
        for _ in range(rng.randint(0, 3)):
            series.samples.add(value=rng.choice(NUMBERS), timestamp=rng.choice(TIMES))
        for _ in range(rng.choice((0, 0, 1, 2))):
            add_native(series.histograms, rng)
        for _ in range(rng.choice((0, 0, 1))):
            exemplar = series.exemplars.add(value=rng.random(), timestamp=rng.choice(TIMES))
            for name in rng.sample(("trace_id", "span_id", "other"), rng.randint(0, 3)):
                exemplar.labels.add(name=name, value=rng.choice(VALUES))
    for _ in range(rng.choice((0, 0, 2))):
        request.metadata.add(type=rng.randint(0, 9), metric_family_name=rng.choice(VALUES), help="h", unit=rng.choice(VALUES))
    return request


def request_2(rng: random.Random) -> Any:
    """Return a Request of 2.0; some references are out of the table, some names lack a value."""
    request = REMOTE_WRITE_2["Request"](symbols=["", *NAMES, "trace_id", "span_id", *VALUES])
    symbols = list(request.symbols)
    for _ in range(rng.randint(0, 4)):
        references = [symbols.index(text) for pair in labels_of(rng) for text in pair]
        if references and rng.random() < 0.1:
            references[rng.randrange(len(references))] = rng.choice((len(symbols), 2**32 - 1))
        series = request.timeseries.add(labels_refs=references[: len(references) - (rng.random() < 0.1)])
        for _ in range(rng.randint(0, 3)):
            sample = series.samples.add(value=rng.choice(NUMBERS), timestamp=rng.choice(TIMES))
            sample.start_timestamp = rng.choice((0, 0, 5, 1_600_000_000_000))
        for _ in range(rng.choice((0, 0, 1, 2))):
            add_native(series.histograms, rng)
            series.histograms[-1].start_timestamp = rng.choice((0, 4000))
        for _ in range(rng.choice((0, 0, 1))):
            exemplar = series.exemplars.add(value=rng.random(), timestamp=rng.choice(TIMES))
            exemplar.labels_refs.extend(rng.randrange(len(symbols) + 1) for _ in range(rng.randint(0, 5)))
        if rng.random() < 0.7:
            series.metadata.type = rng.randint(0, 9)
            series.metadata.unit_ref, series.metadata.help_ref = rng.choice(((0, 0), (2, 3), (0, 99), (len(symbols) - 1, 1)))
        series.created_timestamp = rng.choice((0, 0, 3))
    return request


def add_native(histograms: Any, rng: random.Random) -> None:
    """Add a native histogram, integer or float, now and then one that breaks a rule."""
    histogram = histograms.add(
        sum=rng.choice((1.5, STALE, 0.0)), timestamp=rng.choice(TIMES), schema=rng.choice((-4, 0, 3, 8, -53, 9))
    )
    histogram.zero_threshold = rng.choice((0.0, 1e-3))
    floats = rng.random() < 0.5
    if floats:
        histogram.count_float, histogram.zero_count_float = rng.random() * 9, rng.choice((0.0, 2.5, -1.0))
    else:
        histogram.count_int, histogram.zero_count_int = rng.randint(0, 99), rng.randint(0, 3)
    for side in ("positive", "negative") if histogram.schema != -53 else ("positive",):
        buckets = 0
        for _ in range(rng.randint(0, 3)):
            length = rng.randint(0, 3)
            getattr(histogram, f"{side}_spans").add(offset=rng.choice((0, 1, 2, -3)), length=length)
            buckets += length
        buckets += rng.random() < 0.05
        if floats:
            getattr(histogram, f"{side}_counts").extend(rng.choice((0.0, 1.0, 2.5)) for _ in range(buckets))
        else:
            getattr(histogram, f"{side}_deltas").extend(rng.choice((0, 1, 2, -1)) for _ in range(buckets))
    if histogram.schema == -53:
        histogram.custom_values.extend(rng.choice(((1.0, 2.0, 5.0), (0.5, 0.25), (-1.0, 0.0, 3.0, 4.0), ())))


def add_attributes(attributes: Any, rng: random.Random) -> None:
    """Add attributes of all kinds of values."""
    for name in rng.sample(NAMES, rng.randint(0, 3)) + (["job"] if rng.random() < 0.05 else []):
        value = attributes.add(key=name).value
        kind = rng.randint(0, 7)
        if kind <= 3:
            value.string_value = rng.choice(VALUES)
        elif kind == 4:
            value.int_value = rng.choice((0, -3, 2**40))
        elif kind == 5:
            value.double_value = rng.choice((0.5, 3.0))
        elif kind == 6:
            value.bool_value = rng.random() < 0.5
        elif rng.random() < 0.5:
            value.array_value.values.add().string_value = "x"


def metrics_request(rng: random.Random) -> Any:
    """Return a request with metrics of every kind."""
    request = ExportMetricsServiceRequest()
    for _ in range(rng.randint(0, 2)):
        resource = request.resource_metrics.add()
        add_attributes(resource.resource.attributes, rng)
        for _ in range(rng.randint(0, 2)):
            scope = resource.scope_metrics.add()
            if rng.random() < 0.7:
                scope.scope.name, scope.scope.version = rng.choice(VALUES), rng.choice(("", "1.2"))
            for _ in range(rng.randint(0, 3)):
                metric = scope.metrics.add(name=rng.choice(("", "requests", "é", "n" * 200)), unit=rng.choice(("", "s", "By")))
                _add_data(metric, rng)
    return request


def _add_data(metric: Any, rng: random.Random) -> None:
    kind = rng.choice(("gauge", "sum", "histogram", "exponential_histogram", "summary", None))
    if kind is None:
        return
    data = getattr(metric, kind)
    data.SetInParent()
    if kind not in ("gauge", "summary"):
        data.aggregation_temporality = rng.choice((0, 1, 2, 2))
    if kind == "sum":
        data.is_monotonic = rng.random() < 0.5
    for _ in range(rng.randint(0, 3)):
        point = data.data_points.add(
            time_unix_nano=rng.choice((0, 10**18, 2**64 - 1)), start_time_unix_nano=rng.choice((0, 10**17))
        )
        point.flags = rng.choice((0, 0, 0, 1, 2))
        add_attributes(point.attributes, rng)
        {"gauge": _number, "sum": _number, "histogram": _explicit, "exponential_histogram": _exponential, "summary": _summary}[
            kind
        ](point, rng)
        if kind != "summary" and rng.random() < 0.3:
            exemplar = point.exemplars.add(time_unix_nano=10**18, trace_id=rng.choice((b"", bytes(16), b"\x01" * 16)))
            exemplar.span_id = rng.choice((b"", b"\x02" * 8))
            exemplar.as_int = 5


def _number(point: Any, rng: random.Random) -> None:
    kind = rng.randint(0, 4)
    if kind <= 1:
        point.as_double = rng.choice(NUMBERS)
    elif kind <= 3:
        point.as_int = rng.choice((0, -7, 2**62))


def _explicit(point: Any, rng: random.Random) -> None:
    point.count = rng.randint(0, 9)
    if rng.random() < 0.8:
        point.sum = rng.choice((0.0, 2.5))
    point.explicit_bounds.extend(rng.choice(((), (1.0,), (0.5, 1.0, 2.0), (-1.0, 3.0), (2.0, 1.0))))
    counts = rng.choice((len(point.explicit_bounds) + 1, len(point.explicit_bounds)))
    point.bucket_counts.extend(rng.choice((0, 1, 2**40)) for _ in range(counts))


def _exponential(point: Any, rng: random.Random) -> None:
    point.count, point.zero_count = rng.randint(0, 9), rng.choice((0, 2))
    point.scale, point.zero_threshold = rng.choice((-10, 0, 1, 20, 21)), rng.choice((0.0, 1e-6))
    for side in (point.positive, point.negative):
        side.offset = rng.choice((0, 3, -5))
        side.bucket_counts.extend(rng.choice((0, 0, 1, 300)) for _ in range(rng.randint(0, 4)))


def _summary(point: Any, rng: random.Random) -> None:
    point.count, point.sum = rng.randint(0, 9), 2.5
    for quantile in rng.sample((0.0, 0.5, 0.99, 1.0), rng.randint(0, 3)):
        point.quantile_values.add(quantile=quantile, value=rng.choice(NUMBERS))


def varint(number: int, rng: random.Random) -> bytes:
    """Return an unsigned integer, now and then in more bytes than it needs."""
    size = max(1, (number.bit_length() + 6) // 7)
    size = min(10, size + rng.randint(1, 3)) if rng.random() < 0.1 else size
    return bytes((number >> (7 * place) & 0x7F) | (0x80 if place < size - 1 else 0) for place in range(size))


def _zigzag(number: int) -> int:
    return (number << 1) ^ (number >> 63)


_WIRE_TYPES: Final[dict[int, int]] = {
    FieldDescriptor.TYPE_DOUBLE: 1,
    FieldDescriptor.TYPE_FIXED64: 1,
    FieldDescriptor.TYPE_SFIXED64: 1,
}


def _scalar(field: FieldDescriptor, value: Any, rng: random.Random) -> bytes:
    if field.type == FieldDescriptor.TYPE_DOUBLE:
        return struct.pack("<d", value)
    if field.type in _WIRE_TYPES:
        return (value % 2**64).to_bytes(8, "little")
    if field.type in (FieldDescriptor.TYPE_SINT32, FieldDescriptor.TYPE_SINT64):
        return varint(_zigzag(value), rng)
    return varint(int(value) % 2**64, rng)


def _chunks(field: FieldDescriptor, value: Any, rng: random.Random) -> list[bytes]:
    """Return a field's occurrences, in order."""
    values = list(value) if field.is_repeated else [value]
    if field.type in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
        texts = [_payload(item, rng) for item in values]
        return [varint(field.number << 3 | 2, rng) + varint(len(text), rng) + text for text in texts]
    scalars = [_scalar(field, item, rng) for item in values]
    wire_type = _WIRE_TYPES.get(field.type, 0)
    if field.is_repeated and rng.random() < 0.7:
        cut = rng.randint(0, len(scalars)) if rng.random() < 0.3 else len(scalars)
        packed = [b"".join(part) for part in (scalars[:cut], scalars[cut:]) if part]
        return [varint(field.number << 3 | 2, rng) + varint(len(part), rng) + part for part in packed]
    return [varint(field.number << 3 | wire_type, rng) + scalar for scalar in scalars]


def _payload(value: Any, rng: random.Random) -> bytes:
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else shuffled(value, rng)


def shuffled(message: Any, rng: random.Random) -> bytes:
    """Return a message in another of its legal forms: fields in any order, packed or not, unknown fields between them."""
    queues = [_chunks(field, value, rng) for field, value in message.ListFields()]
    if rng.random() < 0.2:
        queues.append([varint(1999 << 3 | 2, rng) + varint(3, rng) + b"new", varint(1998 << 3, rng) + varint(7, rng)])
    body = b""
    while queues := [queue for queue in queues if queue]:
        body += rng.choice(queues).pop(0)
    return body


def json_of(message: Any) -> dict[str, Any]:
    """Return a request with metrics as a sender of OTLP's JSON writes it: ids in hexadecimal digits, enums as numbers."""
    whole: dict[str, Any] = MessageToDict(message, use_integers_for_enums=True)
    scopes = [scope for resource in whole.get("resourceMetrics", []) for scope in resource.get("scopeMetrics", [])]
    datas = [
        data for scope in scopes for metric in scope.get("metrics", []) for data in metric.values() if isinstance(data, dict)
    ]
    for exemplar in (held for data in datas for point in data.get("dataPoints", []) for held in point.get("exemplars", [])):
        for name in {"traceId", "spanId"} & exemplar.keys():
            exemplar[name] = base64.b64decode(exemplar[name]).hex()
    return whole


_JSON_PARTS: Final = re.compile(rb'"[^"]*"|-?\d+(\.\d+)?|true|false|null|\[[^\[\]]*\]|\{[^{}]*\}')
_JSON_ODDITIES: Final = (
    *(b"null", b"[]", b"{}", b"true", b"[1]", b'{"a":1}'),
    *(b'"x"', b'""', b'"\\ud800"', b'"NaN"', b'"-7"', b'"0x10"', b'"1e3"'),
    *(b"1e400", b"-1", b"1.5", b"99999999999999999999"),
)


def damaged_json(body: bytes, rng: random.Random) -> bytes:
    """Return a copy with a few bytes changed, or with a value or a name that is another."""
    parts = list(_JSON_PARTS.finditer(body))
    if not parts or rng.random() < 0.4:
        return damaged(body, rng)
    part = rng.choice(parts)
    return body[: part.start()] + rng.choice(_JSON_ODDITIES) + body[part.end() :]


def damaged(body: bytes, rng: random.Random) -> bytes:
    """Return a copy with a few bytes changed, cut out, put in or cut off."""
    copy = bytearray(body)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not copy:
            break
        place, way = rng.randrange(len(copy)), rng.randint(0, 4)
        if way <= 1:
            copy[place] = rng.choice((0, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        elif way == 2:
            del copy[place : place + rng.randint(1, 4)]
        elif way == 3:
            copy[place:place] = rng.randbytes(rng.randint(1, 4))
        else:
            del copy[place:]
    return bytes(copy)


REQUESTS: Final[dict[str, Callable[[random.Random], Any]]] = {
    "remote_write_1": write_request,
    "remote_write_2": request_2,
    "otlp": metrics_request,
}
"""Makers of random requests by format."""
