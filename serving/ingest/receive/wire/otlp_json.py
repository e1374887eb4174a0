"""Requests with metrics in OTLP's JSON, by the names of its fields.

Ids are hexadecimal text, 64-bit numbers are text or numbers, enums are numbers or names, a null is an absent field, unknown
fields are passed over. Source: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
The collector of garbage need not know of messages: they hold no cycles.
"""

import msgspec

Number = float | str | None
"""A double; NaN and infinities are text."""


class _Camel(msgspec.Struct, rename="camel", gc=False):
    pass


class AnyJson(_Camel):
    """A value of an attribute: one of the fields is there; none = empty."""

    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: Number = None
    array_value: "ArrayJson | None" = None
    kvlist_value: "PairsJson | None" = None
    bytes_value: str | None = None


class ArrayJson(_Camel):
    """Values in order."""

    values: list[AnyJson | None] | None = None


class AttributeJson(_Camel):
    """A name and its value."""

    key: str | None = None
    value: AnyJson | None = None


class PairsJson(_Camel):
    """Values by name."""

    values: list[AttributeJson] | None = None


class ExemplarJson(_Camel):
    """A single observation."""

    time_unix_nano: int | None = None
    as_double: Number = None
    as_int: int | None = None
    trace_id: str | None = None
    span_id: str | None = None


class QuantileJson(_Camel):
    """A quantile of a summary."""

    quantile: Number = None
    value: Number = None


class SideJson(_Camel):
    """Buckets of an exponential histogram on one side of 0."""

    offset: int | None = None
    bucket_counts: list[int] | None = None


class PointJson(_Camel):
    """A data point of any kind: the fields of all of them."""

    attributes: list[AttributeJson] | None = None
    start_time_unix_nano: int | None = None
    time_unix_nano: int | None = None
    flags: int | None = None
    exemplars: list[ExemplarJson] | None = None
    as_double: Number = None
    as_int: int | None = None
    count: int | None = None
    sum: Number = None
    bucket_counts: list[int] | None = None
    explicit_bounds: list[float | str] | None = None
    scale: int | None = None
    zero_count: int | None = None
    zero_threshold: Number = None
    positive: SideJson | None = None
    negative: SideJson | None = None
    quantile_values: list[QuantileJson] | None = None


class DataJson(_Camel):
    """Data of a metric of any kind; its points are `PointJson`, read one by one: a body is large by them alone."""

    data_points: list[msgspec.Raw] | None = None
    aggregation_temporality: int | str | None = None
    is_monotonic: bool | None = None


class MetricJson(_Camel):
    """A metric: one of the five kinds of data is there."""

    name: str | None = None
    unit: str | None = None
    gauge: DataJson | None = None
    sum: DataJson | None = None
    histogram: DataJson | None = None
    exponential_histogram: DataJson | None = None
    summary: DataJson | None = None


class ScopeJson(_Camel):
    """Which library measured."""

    name: str | None = None
    version: str | None = None
    attributes: list[AttributeJson] | None = None


class ScopeMetricsJson(_Camel):
    """Metrics of one library."""

    scope: ScopeJson | None = None
    metrics: list[MetricJson] | None = None


class ResourceJson(_Camel):
    """What was measured."""

    attributes: list[AttributeJson] | None = None


class ResourceMetricsJson(_Camel):
    """Metrics of one resource."""

    resource: ResourceJson | None = None
    scope_metrics: list[ScopeMetricsJson] | None = None


class MetricsJson(_Camel):
    """A request with metrics; what was measured of a resource is `ResourceMetricsJson`, read one by one."""

    resource_metrics: list[msgspec.Raw] | None = None
