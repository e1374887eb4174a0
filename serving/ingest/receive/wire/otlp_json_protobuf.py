"""Requests with metrics in OTLP's JSON as the same request in protobuf, for the decoder of that."""

import base64
import binascii
import struct
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final, TypeVar

import msgspec

from serving.ingest.receive.wire.decoded import MalformedBody
from serving.ingest.receive.wire.otlp_json import (
    AnyJson,
    AttributeJson,
    DataJson,
    ExemplarJson,
    MetricJson,
    MetricsJson,
    Number,
    PointJson,
    QuantileJson,
    ResourceMetricsJson,
    ScopeMetricsJson,
    SideJson,
)

Item = TypeVar("Item")
_TEMPORALITIES: Final = {
    "AGGREGATION_TEMPORALITY_UNSPECIFIED": 0,
    "AGGREGATION_TEMPORALITY_DELTA": 1,
    "AGGREGATION_TEMPORALITY_CUMULATIVE": 2,
}
_MASK: Final = (1 << 64) - 1


def protobuf_of(body: bytes) -> bytes:
    """Return a body of JSON as the same request in protobuf; fields that are unknown, and those not needed, are left out.

    Raises:
        MalformedBody: it is no JSON, or no such request; the message names the field.
    """
    try:
        request = _decoder().decode(body)
        decode = _resource_decoder().decode
        return _repeated(1, request.resource_metrics, lambda resource: _resource_metrics(decode(resource)))
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeError) as error:
        raise MalformedBody("body", f"it is a request with metrics in JSON: {str(error)[:200]}") from error
    except (struct.error, OverflowError, binascii.Error, ValueError) as error:
        raise MalformedBody("body", f"numbers and ids fit their fields: {str(error)[:200]}") from error
    except RecursionError as error:
        raise MalformedBody("body", "it is a request with metrics in JSON, not nested so deep") from error


@cache
def _decoder() -> "msgspec.json.Decoder[MetricsJson]":
    return msgspec.json.Decoder(MetricsJson, strict=False)


@cache
def _resource_decoder() -> "msgspec.json.Decoder[ResourceMetricsJson]":
    return msgspec.json.Decoder(ResourceMetricsJson, strict=False)


@cache
def _point_decoder() -> "msgspec.json.Decoder[PointJson]":
    return msgspec.json.Decoder(PointJson, strict=False)


def _varint(number: int) -> bytes:
    """Return an integer below 2^64; a negative one as its two's complement."""
    if 0 <= number < 0x80:
        return bytes((number,))
    if not -(1 << 63) <= number <= _MASK:
        raise OverflowError(f"{number} has more than 64 bits")
    number &= _MASK
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _message(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _repeated(number: int, items: Iterable[Item] | None, encode: Callable[[Item], bytes]) -> bytes:
    return b"".join([_message(number, encode(item)) for item in items]) if items else b""


def _text(number: int, text: str | None) -> bytes:
    return _message(number, text.encode()) if text else b""


def _integer(number: int, value: int | None) -> bytes:
    return _varint(number << 3) + _varint(value) if value else b""


def _zigzag(number: int, value: int | None) -> bytes:
    if value and not -(1 << 31) <= value < 1 << 31:
        raise OverflowError(f"{value} has more than 32 bits")
    return _integer(number, value << 1 ^ value >> 31) if value else b""


def _fixed(number: int, value: int | None) -> bytes:
    return _varint(number << 3 | 1) + struct.pack("<Q", value) if value else b""


def _double(number: int, value: Number) -> bytes:
    """Return a field that is there, whatever its value, where `value` is not None."""
    return b"" if value is None else _varint(number << 3 | 1) + struct.pack("<d", float(value))


def _signed_fixed(number: int, value: int | None) -> bytes:
    return b"" if value is None else _varint(number << 3 | 1) + struct.pack("<q", value)


def _value(value: AnyJson) -> bytes:
    if value.string_value is not None:
        return _message(1, value.string_value.encode())
    if value.bool_value is not None:
        return b"\x10\x01" if value.bool_value else b"\x10\x00"
    if value.int_value is not None:
        return b"\x18" + _varint(value.int_value)
    if value.double_value is not None:
        return _double(4, value.double_value)
    if value.array_value is not None:
        return _message(5, _repeated(1, value.array_value.values, lambda item: _value(item) if item else b""))
    if value.kvlist_value is not None:
        return _message(6, _repeated(1, value.kvlist_value.values, _attribute))
    return b"" if value.bytes_value is None else _message(7, base64.b64decode(value.bytes_value, validate=True))


def _attribute(attribute: AttributeJson) -> bytes:
    return _text(1, attribute.key) + (b"" if attribute.value is None else _message(2, _value(attribute.value)))


def _id(number: int, name: str, text: str | None) -> bytes:
    if not text:
        return b""
    try:
        return _message(number, bytes.fromhex(text))
    except ValueError as error:
        raise ValueError(f"{name} = {text[:40]!r} is not hexadecimal digits, two a byte") from error


def _exemplar(exemplar: ExemplarJson) -> bytes:
    ids = _id(4, "spanId", exemplar.span_id) + _id(5, "traceId", exemplar.trace_id)
    return _fixed(2, exemplar.time_unix_nano) + _double(3, exemplar.as_double) + ids + _signed_fixed(6, exemplar.as_int)


def _times(point: PointJson) -> bytes:
    return _fixed(2, point.start_time_unix_nano) + _fixed(3, point.time_unix_nano)


def _number(point: PointJson) -> bytes:
    value = _double(4, point.as_double) + _signed_fixed(6, point.as_int)
    rest = _repeated(5, point.exemplars, _exemplar) + _integer(8, point.flags)
    return _repeated(7, point.attributes, _attribute) + _times(point) + value + rest


def _counted(point: PointJson) -> bytes:
    return _times(point) + _fixed(4, point.count) + _double(5, point.sum)


def _histogram(point: PointJson) -> bytes:
    counts, bounds = point.bucket_counts or (), [float(bound) for bound in point.explicit_bounds or ()]
    buckets = _message(6, struct.pack(f"<{len(counts)}Q", *counts)) + _message(7, struct.pack(f"<{len(bounds)}d", *bounds))
    rest = _repeated(8, point.exemplars, _exemplar) + _integer(10, point.flags)
    return _repeated(9, point.attributes, _attribute) + _counted(point) + buckets + rest


def _side(side: SideJson) -> bytes:
    return _zigzag(1, side.offset) + _message(2, b"".join(map(_varint, side.bucket_counts or ())))


def _exponential(point: PointJson) -> bytes:
    sides = b"".join(_message(place, _side(side)) for place, side in ((8, point.positive), (9, point.negative)) if side)
    zero = _zigzag(6, point.scale) + _fixed(7, point.zero_count) + _double(14, point.zero_threshold)
    rest = _integer(10, point.flags) + _repeated(11, point.exemplars, _exemplar)
    return _repeated(1, point.attributes, _attribute) + _counted(point) + zero + sides + rest


def _quantile(quantile: QuantileJson) -> bytes:
    return _double(1, quantile.quantile) + _double(2, quantile.value)


def _summary(point: PointJson) -> bytes:
    quantiles = _repeated(6, point.quantile_values, _quantile)
    return _repeated(7, point.attributes, _attribute) + _counted(point) + quantiles + _integer(8, point.flags)


_KINDS: Final[tuple[tuple[str, int, Callable[[PointJson], bytes]], ...]] = (
    ("gauge", 5, _number),
    ("sum", 7, _number),
    ("histogram", 9, _histogram),
    ("exponential_histogram", 10, _exponential),
    ("summary", 11, _summary),
)
"""Kinds of data: their name, the number of their field, and how their data points are written."""


def _metric(metric: MetricJson) -> bytes:
    written = _text(1, metric.name) + _text(3, metric.unit)
    for name, number, encode in _KINDS:
        data: DataJson | None = getattr(metric, name)
        if data is not None:
            points = _repeated(1, data.data_points, _encoded_by(encode))
            written += _message(number, points + _declared(data))
    return written


def _encoded_by(encode: Callable[[PointJson], bytes]) -> Callable[[msgspec.Raw], bytes]:
    """Return what reads a point and writes it. A large body read whole would hold up all other threads meanwhile."""
    decode = _point_decoder().decode
    return lambda point: encode(decode(point))


def _declared(data: DataJson) -> bytes:
    given: Any = data.aggregation_temporality
    if isinstance(given, str):
        if given not in _TEMPORALITIES:
            raise ValueError(f"aggregationTemporality {given[:60]!r} is none of {', '.join(_TEMPORALITIES)}")
        given = _TEMPORALITIES[given]
    return _integer(2, given) + (b"\x18\x01" if data.is_monotonic else b"")


def _scope_metrics(held: ScopeMetricsJson) -> bytes:
    metrics = _repeated(2, held.metrics, _metric)
    if held.scope is None:
        return metrics
    scope = _text(1, held.scope.name) + _text(2, held.scope.version) + _repeated(3, held.scope.attributes, _attribute)
    return _message(1, scope) + metrics


def _resource_metrics(held: ResourceMetricsJson) -> bytes:
    resource = b"" if held.resource is None else _message(1, _repeated(1, held.resource.attributes, _attribute))
    return resource + _repeated(2, held.scope_metrics, _scope_metrics)
