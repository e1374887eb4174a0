"""Metric events of Vector in JSON (codecs `json` and `native_json`) as requests of OTLP.

Source: Vector, data model of metrics. Counters that are incremental are amounts, those that are absolute are running totals;
sets, distributions and sketches hold no numbers that can be compared over time, and are refused.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from serving.ingest.receive.topics.otlp_records import CUMULATIVE, DELTA, new_request, pairs
from serving.ingest.receive.topics.record_mapping import broken, iso_ns
from serving.ingest.receive.wire.decoded import MalformedBody

Event = Mapping[str, Any]
_INCREMENTAL: Final = "incremental"
_ABSOLUTE: Final = "absolute"
_HOST: Final = "host"
_FIX: Final = "metrics of Vector"


def vector_request(event: Event, service_labels: tuple[str, ...]) -> bytes:
    """Return a metric event as a request of OTLP; its service is the first of these tags, else its host.

    Raises:
        MalformedBody: it is no metric event, or of a type without comparable numbers.
    """
    metric = event.get("metric", event)
    if not isinstance(metric, Mapping):
        raise broken("metric", metric, "must be an object", _FIX)
    kinds = [name for name in _WRITERS if name in metric]
    if len(kinds) != 1:
        rule = f"must hold one of {', '.join(_WRITERS)}; sets, distributions and sketches are not taken: aggregate them in Vector"
        raise broken("metric", ", ".join(map(str, metric))[:60], rule, _FIX)
    name, namespace = _text(metric, "name"), metric.get("namespace")
    tags = _tags(metric.get("tags") or {})
    service = next((label for label in service_labels if tags.get(label)), "")
    resource = {"service.name": tags.pop(service)} if service else {"host.name": tags[_HOST]} if tags.get(_HOST) else {}
    request, written = new_request(resource, f"{namespace}_{name}" if isinstance(namespace, str) and namespace else name)
    row = _WRITERS[kinds[0]](written, _object(metric, kinds[0]), metric.get("kind") == _INCREMENTAL)
    row.attributes.extend(pairs(tags))
    row.time_unix_nano = iso_ns("timestamp", _text(metric, "timestamp"))
    interval_ms = metric.get("interval_ms")
    if isinstance(interval_ms, int) and not isinstance(interval_ms, bool) and 0 < interval_ms * 10**6 < row.time_unix_nano:
        row.start_time_unix_nano = row.time_unix_nano - interval_ms * 10**6
    return request.SerializeToString()


def _counter(metric: Metric, data: Event, incremental: bool) -> Any:
    metric.sum.is_monotonic = True
    metric.sum.aggregation_temporality = DELTA if incremental else CUMULATIVE
    return metric.sum.data_points.add(as_double=_number(data, "counter.value", "value"))


def _gauge(metric: Metric, data: Event, incremental: bool) -> Any:
    if incremental:
        raise broken("kind", _INCREMENTAL, "must be absolute for a gauge: aggregate it in Vector", _FIX)
    return metric.gauge.data_points.add(as_double=_number(data, "gauge.value", "value"))


def _histogram(metric: Metric, data: Event, incremental: bool) -> Any:
    metric.histogram.aggregation_temporality = DELTA if incremental else CUMULATIVE
    count, total = _count(data, "aggregated_histogram.count", "count"), _number(data, "aggregated_histogram.sum", "sum")
    bounds, counts = [], []
    for bucket in _list(data, "aggregated_histogram.buckets", "buckets"):
        upper = bucket.get("upper_limit")
        if upper is None or (isinstance(upper, float) and math.isinf(upper)) or upper in ("inf", "+Inf"):
            continue  # what lies above the last bound is what the others leave of all
        bounds.append(_number(bucket, "aggregated_histogram.buckets.upper_limit", "upper_limit"))
        counts.append(_count(bucket, "aggregated_histogram.buckets.count", "count"))
    if sum(counts) > count:
        raise broken("aggregated_histogram.count", count, "must be at least the sum of its buckets' counts", _FIX)
    counts.append(count - sum(counts))
    return metric.histogram.data_points.add(count=count, sum=total, bucket_counts=counts, explicit_bounds=bounds)


def _summary(metric: Metric, data: Event, incremental: bool) -> Any:
    if incremental:
        raise broken("kind", _INCREMENTAL, "must be absolute for a summary: aggregate it in Vector", _FIX)
    count, total = _count(data, "aggregated_summary.count", "count"), _number(data, "aggregated_summary.sum", "sum")
    row = metric.summary.data_points.add(count=count, sum=total)
    for quantile in _list(data, "aggregated_summary.quantiles", "quantiles"):
        place = "aggregated_summary.quantiles"
        at, value = _number(quantile, f"{place}.quantile", "quantile"), _number(quantile, f"{place}.value", "value")
        row.quantile_values.add(quantile=at, value=value)
    return row


_WRITERS: Final[Mapping[str, Callable[[Metric, Event, bool], Any]]] = {
    "counter": _counter,
    "gauge": _gauge,
    "aggregated_histogram": _histogram,
    "aggregated_summary": _summary,
}


def _object(metric: Event, name: str) -> Event:
    value = metric[name]
    if not isinstance(value, Mapping):
        raise broken(name, value, "must be an object", _FIX)
    return value


def _text(metric: Event, name: str) -> str:
    value = metric.get(name)
    if not isinstance(value, str) or not value:
        raise broken(name, value, "must be a text that is not empty", _FIX)
    return value


def _number(data: Event, path: str, name: str) -> float:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise broken(path, value, "must be a number", _FIX)
    try:
        return float(value)
    except OverflowError as error:
        raise broken(path, value, "must fit a double", _FIX) from error


def _count(data: Event, path: str, name: str) -> int:
    value = data.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise broken(path, value, "must be a count from 0", _FIX)
    return value


def _list(data: Event, path: str, name: str) -> list[Event]:
    value = data.get(name)
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise broken(path, value, "must be a list of objects", _FIX)
    return value


def _tags(value: Any) -> dict[str, str]:
    """Return tags; of one with several values the last one that is there, as Vector shows it."""
    if not isinstance(value, Mapping):
        raise broken("tags", value, "must be an object of tags", _FIX)
    tags: dict[str, str] = {}
    for name, given in value.items():
        texts = [text for text in (given if isinstance(given, list) else [given]) if text is not None]
        if not all(isinstance(text, str) for text in texts):
            raise MalformedBody(f"tags.{name}", f"= {str(given)[:60]!r}: must be a text; mend it")
        if texts:
            tags[str(name)] = texts[-1]
    return tags
