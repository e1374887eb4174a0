"""What a body holds, read by protobuf's own parser and plain loops: the answer that decoders are held against."""

import math
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from serving.ingest.receive.wire.decoded import (
    STALE_NAN_BITS,
    DecodedBody,
    Description,
    Rule,
    SeriesFault,
    SeriesKind,
)
from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder
from serving.ingest.receive.wire.remote_write_decoders import RemoteWrite1Decoder, RemoteWrite2Decoder

Point = tuple[int, int, int]
"""Bits of the value, time and start in µs."""


def bits(number: float) -> int:
    return int(np.float64(number).view(np.int64))


def double(number: float) -> int:
    return struct.unpack("<q", struct.pack("<d", number))[0]  # type: ignore[no-any-return]


def from_ms(milliseconds: int) -> int:
    return (
        max(-(2**63 - 1), min(2**63 - 1, milliseconds * 1000)) if abs(milliseconds) > 2**63 // 1000 - 1 else milliseconds * 1000
    )


@dataclass
class ReadHistogram:
    """One histogram: bits of count and sum, buckets as (upper, count)."""

    time: int
    start: int
    count: int
    sum: int
    buckets: list[tuple[float, float]]


@dataclass
class ReadSeries:
    """One series and all that is its own; None in place of labels = a rule broken there."""

    text: tuple[Any, ...] | Rule
    points: list[Point] = field(default_factory=list)
    histograms: list[ReadHistogram] = field(default_factory=list)
    exemplars: list[tuple[Any, ...]] = field(default_factory=list)


@dataclass
class Reading:
    """Series in order, faults as (rule, series, points, histograms) in any order, metadata."""

    series: list[ReadSeries] = field(default_factory=list)
    faults: list[tuple[Rule, int, int, int]] = field(default_factory=list)
    metadata: list[tuple[Any, ...]] = field(default_factory=list)


def reading_of(decoded: DecodedBody) -> Reading:
    """Return what a decoder read in the same form."""
    held = Reading([ReadSeries(_text(known)) for known in decoded.describe(np.arange(len(decoded.series)))])
    points = decoded.points
    for row, (first, count) in enumerate(zip(decoded.series.first.tolist(), decoded.series.count.tolist(), strict=True)):
        assert (points.series[first : first + count] == row).all()
    assert decoded.series.count.sum() == len(points)
    for row, value, time, start in zip(points.series, points.value.view(np.int64), points.time_us, points.start_us, strict=True):
        held.series[row].points.append((int(value), int(time), int(start)))
    whole = decoded.histograms
    for row, owner in enumerate(whole.series):
        rows = slice(whole.bounds[row], whole.bounds[row + 1])
        upper = whole.upper[rows]
        assert (np.diff(upper) > 0).all()
        buckets = list(zip(upper.tolist(), whole.counts[rows].tolist(), strict=True))
        times = int(whole.time_us[row]), int(whole.start_us[row])
        held.series[owner].histograms.append(ReadHistogram(*times, bits(whole.count[row]), bits(whole.sum[row]), buckets))
    exemplars = decoded.exemplars
    for row, owner in enumerate(exemplars.series):
        ids = exemplars.trace_id[row], exemplars.span_id[row]
        held.series[owner].exemplars.append((bits(exemplars.value[row]), int(exemplars.time_us[row]), *ids))
    faults = decoded.faults
    columns = (faults.rule.tolist(), faults.series.tolist(), faults.points.tolist(), faults.histograms.tolist())
    held.faults = sorted((Rule(rule), *rest) for rule, *rest in zip(*columns, strict=True))
    held.metadata = [(known.family, known.kind, known.unit, known.help) for known in decoded.metadata]
    return held


def _text(known: Description) -> tuple[Any, ...] | Rule:
    if isinstance(known, SeriesFault):
        return known.rule
    return (known.metric, known.labels, known.kind, known.unit, known.help, known.resource, known.scope, known.scope_version)


def kind_of(number: int) -> SeriesKind:
    return SeriesKind(number) if 0 <= number <= 7 else SeriesKind.UNKNOWN


def labelled(labels: list[tuple[str, str]], *declared: Any) -> tuple[Any, ...] | Rule:
    names = [name for name, _ in labels]
    if "" in names:
        return Rule.LABEL_NAME_NOT_EMPTY
    if len(set(names)) < len(names):
        return Rule.LABEL_NAMES_DISTINCT
    held = {name: value for name, value in sorted(labels) if value}
    if "__name__" not in held:
        return Rule.NAME_PRESENT
    kind, unit, text = declared or (SeriesKind.UNKNOWN, "", "")
    return held.pop("__name__"), tuple(held.items()), kind, unit, text, (), "", ""


def read_write_request(request: Any) -> Reading:
    held = Reading()
    for row, series in enumerate(request.timeseries):
        read = ReadSeries(labelled([(label.name, label.value) for label in series.labels]))
        read.points = [(double(sample.value), from_ms(sample.timestamp), 0) for sample in series.samples]
        _natives(series.histograms, 0, row, read, held)
        for exemplar in series.exemplars:
            ids = {label.name: label.value for label in exemplar.labels}
            times = from_ms(exemplar.timestamp)
            read.exemplars.append((double(exemplar.value), times, ids.get("trace_id", ""), ids.get("span_id", "")))
        held.series.append(read)
    held.metadata = [(known.metric_family_name, kind_of(known.type), known.unit, known.help) for known in request.metadata]
    held.faults.sort()
    return held


def read_request(request: Any) -> Reading:
    held, symbols = Reading(), list(request.symbols)
    for row, series in enumerate(request.timeseries):
        declared = series.metadata
        furthest = max(declared.unit_ref, declared.help_ref)
        rule: Rule | None = Rule.LABEL_REFERENCES_IN_PAIRS if len(series.labels_refs) % 2 else None
        unknown = any(reference >= len(symbols) for reference in series.labels_refs)
        if unknown or (rule is None and furthest >= max(1, len(symbols))):
            rule = Rule.SYMBOL_EXISTS
        if rule is not None:
            held.series.append(ReadSeries(rule))
            held.faults.append((rule, row, len(series.samples), len(series.histograms)))
            continue
        texts = [symbols[reference] for reference in series.labels_refs]
        names = (symbols[number] if number else "" for number in (declared.unit_ref, declared.help_ref))
        read = ReadSeries(labelled(list(zip(texts[::2], texts[1::2], strict=True)), kind_of(declared.type), *names))
        began = from_ms(series.created_timestamp)
        read.points = [
            (double(sample.value), from_ms(sample.timestamp), from_ms(sample.start_timestamp) or began)
            for sample in series.samples
        ]
        _natives(series.histograms, began, row, read, held)
        for exemplar in series.exemplars:
            read.exemplars.append(
                (double(exemplar.value), from_ms(exemplar.timestamp), *_referred(exemplar.labels_refs, symbols))
            )
        held.series.append(read)
    held.faults.sort()
    return held


def _referred(references: Any, symbols: list[str]) -> tuple[str, str]:
    ids: dict[str, str] = {}
    for name, value in zip(references[::2], references[1::2], strict=False):
        if max(name, value) < len(symbols):
            ids[symbols[name]] = symbols[value]
    return ids.get("trace_id", ""), ids.get("span_id", "")


def _natives(histograms: Iterable[Any], began: int, row: int, read: ReadSeries, held: Reading) -> None:
    for known in histograms:
        count = known.count_float if known.WhichOneof("count") == "count_float" else known.count_int
        zero = known.zero_count_float if known.WhichOneof("zero_count") == "zero_count_float" else known.zero_count_int
        stated = from_ms(getattr(known, "start_timestamp", 0)) or began
        time, total = from_ms(known.timestamp), double(known.sum)
        if total == STALE_NAN_BITS:
            read.histograms.append(ReadHistogram(time, stated, STALE_NAN_BITS, total, []))
            continue
        buckets = _native_buckets(known, float(count), float(zero))
        if isinstance(buckets, Rule):
            held.faults.append((buckets, row, 0, 1))
        else:
            read.histograms.append(ReadHistogram(time, stated, bits(count), total, buckets))


def _side(spans: Any, deltas: Any, counts: Any) -> list[tuple[int, float]] | Rule:
    """Return (index, count) of populated buckets."""
    values = list(counts) or [float(total) for total in np.cumsum(list(deltas), dtype=np.int64)]
    index, held = 0, []
    for span in spans:
        index += span.offset
        if span.length > len(values):
            return Rule.SPANS_MATCH_BUCKETS
        for _ in range(span.length):
            if not values[0] >= 0:
                return Rule.COUNTS_NOT_NEGATIVE
            held.append((index, values.pop(0)))
            index += 1
    return Rule.SPANS_MATCH_BUCKETS if values else held


def _native_buckets(known: Any, count: float, zero: float) -> list[tuple[float, float]] | Rule:
    negative = _side(known.negative_spans, known.negative_deltas, known.negative_counts)
    positive = _side(known.positive_spans, known.positive_deltas, known.positive_counts)
    if isinstance(negative, Rule) or isinstance(positive, Rule):
        return max(side for side in (negative, positive) if isinstance(side, Rule))
    if known.schema == -53:
        return _custom(list(known.custom_values), positive)
    if not -4 <= known.schema <= 8:
        return Rule.SCHEMA_KNOWN
    if not (zero >= 0 and count >= 0):
        return Rule.COUNTS_NOT_NEGATIVE
    if not 0 <= known.zero_threshold < math.inf:
        return Rule.BOUNDS_ASCEND
    return joined(negative, positive, known.schema, Zero(known.zero_threshold, zero))


def _custom(bounds: list[float], populated: list[tuple[int, float]]) -> list[tuple[float, float]] | Rule:
    if any(not bound < math.inf for bound in bounds) or bounds != sorted(set(bounds)):
        return Rule.BOUNDS_ASCEND
    edges = [*bounds, math.inf]
    if any(not 0 <= index < len(edges) for index, _ in populated):
        return Rule.SPANS_MATCH_BUCKETS
    parts = [(edges[index - 1] if index else -math.inf, edges[index], count) for index, count in populated]
    return _ascending(parts)


@dataclass
class Zero:
    """The bucket around 0."""

    threshold: float
    count: float


def power(index: int, schema: int) -> float:
    """Return 2^(index·2^-schema)."""
    exponent = index * 2.0**-schema
    return math.inf if exponent >= 1024 else 2.0**exponent


def joined(
    negative: list[tuple[int, float]], positive: list[tuple[int, float]], schema: int, zero: Zero
) -> list[tuple[float, float]]:
    parts = [(-power(index, schema), -power(index - 1, schema), count) for index, count in reversed(negative)]
    parts.append((-max(zero.threshold, 5e-324) if negative else -math.inf, zero.threshold, zero.count))
    parts += [(power(index - 1, schema), power(index, schema), count) for index, count in positive]
    return _ascending(parts)


def _ascending(parts: list[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """Return (upper, count) of (lower, upper, count): gaps are buckets of 0, what does not ascend is the last one's."""
    buckets: list[tuple[float, float]] = []
    for lower, upper, count in parts:
        if lower > -math.inf and not (buckets and lower <= buckets[-1][0]):
            buckets.append((lower, 0.0))
        if buckets and upper <= buckets[-1][0]:
            buckets[-1] = (buckets[-1][0], buckets[-1][1] + count)
        else:
            buckets.append((upper, count))
    return buckets


_OTLP_KINDS: Final[dict[str, Callable[[Any], SeriesKind | None]]] = {
    "gauge": lambda data: SeriesKind.GAUGE,
    "summary": lambda data: SeriesKind.SUMMARY,
    "sum": lambda data: {
        1: SeriesKind.DELTA,
        2: SeriesKind.COUNTER if data.is_monotonic else SeriesKind.GAUGE,
    }.get(data.aggregation_temporality),
    "histogram": lambda data: {1: SeriesKind.HISTOGRAM_DELTA, 2: SeriesKind.HISTOGRAM}.get(data.aggregation_temporality),
    "exponential_histogram": lambda data: {1: SeriesKind.HISTOGRAM_DELTA, 2: SeriesKind.HISTOGRAM}.get(
        data.aggregation_temporality
    ),
}


def read_metrics(request: Any) -> Reading:
    held = Reading()
    for resource in request.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                data = metric.WhichOneof("data")
                for point in getattr(metric, data).data_points if data else ():
                    _read_point(_Place(resource.resource, scope.scope, metric, data), point, held)
    held.faults.sort()
    return held


@dataclass
class _Place:
    resource: Any
    scope: Any
    metric: Any
    data: str

    def text(self, attributes: list[tuple[str, str]], kind: SeriesKind | None, suffix: str = "") -> tuple[Any, ...] | Rule:
        resource = attribute_texts(self.resource.attributes)
        names = [name for name, _ in resource]
        if len(set(names)) < len(names):
            return Rule.LABEL_NAMES_DISTINCT
        if not self.metric.name:
            return Rule.NAME_PRESENT
        if len({name for name, _ in attributes}) < len(attributes):
            return Rule.LABEL_NAMES_DISTINCT
        labels, owner = tuple(sorted(attributes)), tuple(sorted(resource))
        scope = self.scope.name, self.scope.version
        return self.metric.name + suffix, labels, kind or SeriesKind.UNKNOWN, self.metric.unit, "", owner, *scope


def attribute_texts(attributes: Any) -> list[tuple[str, str]]:
    texts = []
    for known in attributes:
        kind = known.value.WhichOneof("value")
        value = getattr(known.value, kind) if kind else ""
        if kind == "bool_value":
            value = str(value).lower()
        elif kind == "array_value":
            value = "[" + ",".join(f'"{item.string_value}"' for item in value.values) + "]"
        texts.append((known.key, str(value)))
    return texts


def _read_point(place: _Place, point: Any, held: Reading) -> None:
    kind, attributes = _OTLP_KINDS[place.data](getattr(place.metric, place.data)), attribute_texts(point.attributes)
    times = point.time_unix_nano // 1000, point.start_time_unix_nano // 1000
    stale, row = bool(point.flags & 1), len(held.series)
    if place.data == "summary":
        parts = [(quantile.value, SeriesKind.GAUGE, "", quantile.quantile) for quantile in point.quantile_values]
        parts += [(float(point.count), SeriesKind.COUNTER, "_count", None), (point.sum, SeriesKind.COUNTER, "_sum", None)]
        for value, part_kind, suffix, quantile in parts:
            label = [] if quantile is None else [("quantile", repr(quantile).removesuffix(".0"))]
            read = ReadSeries(place.text(attributes + label, part_kind, suffix))
            read.points.append((STALE_NAN_BITS if stale else double(value), *times))
            held.series.append(read)
        return
    read = ReadSeries(place.text(attributes, kind))
    held.series.append(read)
    for known in point.exemplars:
        value = float(known.as_int) if known.WhichOneof("value") == "as_int" else known.as_double
        ids = (known.trace_id.hex() if any(known.trace_id) else "", known.span_id.hex() if any(known.span_id) else "")
        read.exemplars.append((bits(value), known.time_unix_nano // 1000, *ids))
    if place.data in ("gauge", "sum"):
        which = point.WhichOneof("value")
        if kind is None or (which is None and not stale):
            held.faults.append((Rule.VALUE_PRESENT if kind else Rule.TEMPORALITY_STATED, row, 1, 0))
        else:
            value = double(point.as_double) if which == "as_double" else bits(float(point.as_int))
            read.points.append((STALE_NAN_BITS if stale else value, *times))
        return
    buckets: Any = Rule.TEMPORALITY_STATED
    if kind is not None:
        buckets = [] if stale else (_explicit if place.data == "histogram" else _exponential)(point)
    if isinstance(buckets, Rule):
        held.faults.append((buckets, row, 0, 1))
        return
    total = math.nan if not point.HasField("sum") else point.sum
    known_bits = (STALE_NAN_BITS, STALE_NAN_BITS) if stale else (bits(float(point.count)), bits(total))
    read.histograms.append(ReadHistogram(*times, *known_bits, buckets))


def _explicit(point: Any) -> list[tuple[float, float]] | Rule:
    bounds, counts = list(point.explicit_bounds), [float(count) for count in point.bucket_counts]
    if not bounds and not counts:
        return []
    if len(counts) != len(bounds) + 1:
        return Rule.SPANS_MATCH_BUCKETS
    if any(not bound < math.inf for bound in bounds) or bounds != sorted(set(bounds)):
        return Rule.BOUNDS_ASCEND
    return list(zip([*bounds, math.inf], counts, strict=True))


def _exponential(point: Any) -> list[tuple[float, float]] | Rule:
    if not -10 <= point.scale <= 20:
        return Rule.SCHEMA_KNOWN
    if not 0 <= point.zero_threshold < math.inf:
        return Rule.BOUNDS_ASCEND
    sides = [
        [(side.offset + row + 1, float(count)) for row, count in enumerate(side.bucket_counts) if count]
        for side in (point.negative, point.positive)
    ]
    return joined(sides[0], sides[1], point.scale, Zero(point.zero_threshold, float(point.zero_count)))


DECODERS: Final[dict[str, Callable[..., Any]]] = {
    "remote_write_1": RemoteWrite1Decoder,
    "remote_write_2": RemoteWrite2Decoder,
    "otlp": OtlpMetricsDecoder,
}
"""Decoders by format."""
READERS: Final[dict[str, Callable[[Any], Reading]]] = {
    "remote_write_1": read_write_request,
    "remote_write_2": read_request,
    "otlp": read_metrics,
}
"""Readers by format, of messages that protobuf's parser gives."""
