"""Messages of remote write as protobuf's own classes, from descriptors: the other reader that decoders are compared with.

A field is `number type name`, `*type` where it is repeated, and the name of a oneof behind it where it is in one.
"""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto
_TYPES: Final = {
    "double": _FIELD.TYPE_DOUBLE,
    "string": _FIELD.TYPE_STRING,
    "bytes": _FIELD.TYPE_BYTES,
    "int32": _FIELD.TYPE_INT32,
    "int64": _FIELD.TYPE_INT64,
    "uint32": _FIELD.TYPE_UINT32,
    "uint64": _FIELD.TYPE_UINT64,
    "sint32": _FIELD.TYPE_SINT32,
    "sint64": _FIELD.TYPE_SINT64,
}
_HISTOGRAM: Final = (
    "1 uint64 count_int count",
    "2 double count_float count",
    "3 double sum",
    "4 sint32 schema",
    "5 double zero_threshold",
    "6 uint64 zero_count_int zero_count",
    "7 double zero_count_float zero_count",
    "8 *BucketSpan negative_spans",
    "9 *sint64 negative_deltas",
    "10 *double negative_counts",
    "11 *BucketSpan positive_spans",
    "12 *sint64 positive_deltas",
    "13 *double positive_counts",
    "14 int32 reset_hint",
    "15 int64 timestamp",
    "16 *double custom_values",
)
_SPAN: Final = ("1 sint32 offset", "2 uint32 length")
_VERSION_1: Final = {
    "Label": ("1 string name", "2 string value"),
    "Sample": ("1 double value", "2 int64 timestamp"),
    "Exemplar": ("1 *Label labels", "2 double value", "3 int64 timestamp"),
    "BucketSpan": _SPAN,
    "Histogram": _HISTOGRAM,
    "TimeSeries": ("1 *Label labels", "2 *Sample samples", "3 *Exemplar exemplars", "4 *Histogram histograms"),
    "MetricMetadata": ("1 int32 type", "2 string metric_family_name", "4 string help", "5 string unit"),
    "WriteRequest": ("1 *TimeSeries timeseries", "3 *MetricMetadata metadata"),
}
_VERSION_2: Final = {
    "Sample": ("1 double value", "2 int64 timestamp", "3 int64 start_timestamp"),
    "Exemplar": ("1 *uint32 labels_refs", "2 double value", "3 int64 timestamp"),
    "BucketSpan": _SPAN,
    "Histogram": (*_HISTOGRAM, "17 int64 start_timestamp"),
    "Metadata": ("1 int32 type", "3 uint32 help_ref", "4 uint32 unit_ref"),
    "TimeSeries": (
        "1 *uint32 labels_refs",
        "2 *Sample samples",
        "3 *Histogram histograms",
        "4 *Exemplar exemplars",
        "5 Metadata metadata",
        "6 int64 created_timestamp",
    ),
    "Request": ("4 *string symbols", "5 *TimeSeries timeseries"),
}


def _classes(package: str, messages: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for message, fields in messages.items():
        described = file.message_type.add(name=message)
        for field in fields:
            number, kind, name, *choice = field.split()
            label = _FIELD.LABEL_REPEATED if kind.startswith("*") else _FIELD.LABEL_OPTIONAL
            added = described.field.add(name=name, number=int(number), label=label)
            if choice:
                names = [held.name for held in described.oneof_decl]
                if choice[0] not in names:
                    described.oneof_decl.add(name=choice[0])
                added.oneof_index = [*names, choice[0]].index(choice[0])
            kind = kind.removeprefix("*")
            added.type = _TYPES.get(kind, _FIELD.TYPE_MESSAGE)
            if kind not in _TYPES:
                added.type_name = f".{package}.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


REMOTE_WRITE_1: Final = _classes("prometheus", _VERSION_1)
"""Class by name, of prompb/remote.proto and prompb/types.proto."""
REMOTE_WRITE_2: Final = _classes("io.prometheus.write.v2", _VERSION_2)
"""Class by name."""
