"""What series of OTLP are, read from the body when it is asked for: attributes of data points, metric, scope and resource."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from serving.ingest.receive.wire.decoded import (
    Body,
    Description,
    Int64s,
    Pairs,
    Rule,
    SeriesDescription,
    SeriesFault,
    SeriesKind,
)
from serving.ingest.receive.wire.label_text import RawPairs, checked_attributes, series_fault
from serving.ingest.receive.wire.otlp_points import (
    EXPLICIT_HISTOGRAM,
    EXPONENTIAL_HISTOGRAM,
    SUMMARY_COUNT,
    SUMMARY_QUANTILE,
    SUMMARY_SUM,
)
from serving.ingest.receive.wire.otlp_rows import OtlpRows
from serving.ingest.receive.wire.wire_fields import next_field

_FIRST: Final = 1 << 3 | 2
_NAME: Final = 1 << 3 | 2
_UNIT: Final = 3 << 3 | 2
_QUANTILE: Final = "quantile"
_CLASSES: Final[dict[int, Any]] = {
    EXPLICIT_HISTOGRAM: metrics_pb2.HistogramDataPoint,
    EXPONENTIAL_HISTOGRAM: metrics_pb2.ExponentialHistogramDataPoint,
    SUMMARY_SUM: metrics_pb2.SummaryDataPoint,
    SUMMARY_COUNT: metrics_pb2.SummaryDataPoint,
    SUMMARY_QUANTILE: metrics_pb2.SummaryDataPoint,
}
"""Message by PART; a number where none is named."""
_SUFFIXES: Final = {SUMMARY_SUM: "_sum", SUMMARY_COUNT: "_count"}


@dataclass(frozen=True, slots=True)
class _Context:
    """What data points of a metric have in common, or the first rule that it breaks."""

    metric: str
    unit: str
    resource: Pairs
    scope: str
    scope_version: str
    broken: Rule | None = None


class OtlpText:
    """Describes series of a request with metrics."""

    def __init__(self, body: Body, rows: OtlpRows) -> None:
        self._given = body
        self._body = b""
        self._rows = rows
        self._contexts: dict[int, _Context] = {}
        self._resources: dict[int, Pairs | SeriesFault] = {}
        self._scopes: dict[int, InstrumentationScope | None] = {}

    def describe(self, rows: Int64s) -> list[Description]:
        """Return what the given series are, in that order."""
        self._body = bytes(self._given)
        held = self._rows
        columns = (held.offset, held.size, held.kind, held.part, held.context, held.quantile)
        return [self._described(*values) for values in zip(*(column[rows].tolist() for column in columns), strict=True)]

    def _described(self, *row: Any) -> Description:
        offset, size, kind, part, context_row, quantile = row
        context = self._contexts.get(context_row)
        if context is None:
            context = self._contexts[context_row] = self._context(context_row)
        names: RawPairs = [(b"metric", context.metric.encode())]
        if context.broken is not None:
            return series_fault(context.broken, names)
        try:
            point = _CLASSES.get(part, metrics_pb2.NumberDataPoint).FromString(self._body[offset : offset + size])
        except DecodeError:
            return series_fault(Rule.TEXT_IS_UTF8, names)
        pairs = _pairs(point.attributes)
        if part == SUMMARY_QUANTILE:
            pairs.append((_QUANTILE, repr(quantile).removesuffix(".0")))
        labels = checked_attributes(pairs, [*names, *((name.encode(), value.encode()) for name, value in pairs)])
        if isinstance(labels, SeriesFault):
            return labels
        metric = context.metric + _SUFFIXES.get(part, "")
        return SeriesDescription(
            metric, labels, SeriesKind(kind), context.unit, "", context.resource, context.scope, context.scope_version
        )

    def _context(self, row: int) -> _Context:
        places = self._rows.contexts[:, row].tolist()
        name, unit = (self._last(places[4], places[5], tag) for tag in (_NAME, _UNIT))
        resource, scope = self._resource(places[0], places[1]), self._scope(places[2], places[3])
        try:
            metric, unit_text = name.decode(), unit.decode()
        except UnicodeDecodeError:
            return _broken(name, Rule.TEXT_IS_UTF8)
        if isinstance(resource, SeriesFault) or scope is None:
            return _broken(name, resource.rule if isinstance(resource, SeriesFault) else Rule.TEXT_IS_UTF8)
        if not metric:
            return _broken(name, Rule.NAME_PRESENT)
        return _Context(metric, unit_text, resource, scope.name, scope.version)

    def _resource(self, offset: int, size: int) -> Pairs | SeriesFault:
        if offset not in self._resources:
            try:
                pairs = _pairs(Resource.FromString(b"".join(self._fields(offset, size, _FIRST))).attributes)
            except DecodeError:
                self._resources[offset] = series_fault(Rule.TEXT_IS_UTF8, [])
            else:
                self._resources[offset] = checked_attributes(pairs, [])
        return self._resources[offset]

    def _scope(self, offset: int, size: int) -> InstrumentationScope | None:
        if offset not in self._scopes:
            try:
                self._scopes[offset] = InstrumentationScope.FromString(b"".join(self._fields(offset, size, _FIRST)))
            except DecodeError:
                self._scopes[offset] = None
        return self._scopes[offset]

    def _last(self, offset: int, size: int, tag: int) -> bytes:
        return ([b"", *self._fields(offset, size, tag)])[-1]

    def _fields(self, offset: int, size: int, tag: int) -> list[bytes]:
        """Return the bytes of a field as often as it occurs; in a row they are what protobuf merges them to."""
        address = np.frombuffer(self._body, np.uint8).ctypes.data
        at, end, fields = address + offset, address + offset + size, []
        while at < end:
            number, begin, at, _ = next_field(at, end)
            if number == tag:
                fields.append(self._body[begin - address : at - address])
        return fields


def _broken(name: bytes, rule: Rule) -> _Context:
    return _Context(name.decode(errors="replace"), "", (), "", "", rule)


def _pairs(attributes: Iterable[KeyValue]) -> list[tuple[str, str]]:
    return [(held.key, held.value.string_value or value_text(held.value)) for held in attributes]


def value_text(value: AnyValue) -> str:
    """Return a value as text: a string as it is, everything else as JSON writes it, bytes in base64; nothing as empty text."""
    kind = value.WhichOneof("value")
    if kind is None or kind == "string_value":
        return value.string_value
    return base64.b64encode(value.bytes_value).decode() if kind == "bytes_value" else orjson.dumps(_plain(value)).decode()


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return getattr(value, kind) if kind else None
