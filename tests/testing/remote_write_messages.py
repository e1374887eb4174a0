"""Messages of Prometheus remote write 1.0 and 2.0 as protobuf classes, described by hand: an independent reader for tests."""

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_KINDS: Final = descriptor_pb2.FieldDescriptorProto
_SCALARS: Final = {
    "string": _KINDS.TYPE_STRING,
    "double": _KINDS.TYPE_DOUBLE,
    "int64": _KINDS.TYPE_INT64,
    "uint32": _KINDS.TYPE_UINT32,
    "int32": _KINDS.TYPE_INT32,
}
_MESSAGES: Final = {
    "v1": {
        "Label": ["name:string=1", "value:string=2"],
        "Sample": ["value:double=1", "timestamp:int64=2"],
        "TimeSeries": ["labels:Label*=1", "samples:Sample*=2"],
        "MetricMetadata": ["type:int32=1", "metric_family_name:string=2", "help:string=4", "unit:string=5"],
        "WriteRequest": ["timeseries:TimeSeries*=1", "metadata:MetricMetadata*=3"],
    },
    "v2": {
        "Sample": ["value:double=1", "timestamp:int64=2", "start_timestamp:int64=3"],
        "Metadata": ["type:int32=1", "help_ref:uint32=3", "unit_ref:uint32=4"],
        "TimeSeries": ["labels_refs:uint32*=1", "samples:Sample*=2", "metadata:Metadata=5", "created_timestamp:int64=6"],
        "Request": ["symbols:string*=4", "timeseries:TimeSeries*=5"],
    },
}


def _file(package: str) -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=f"test.{package}", syntax="proto3")
    for name, fields in _MESSAGES[package].items():
        message = file.message_type.add(name=name)
        for text in fields:
            field_name, _, rest = text.partition(":")
            kind, _, number = rest.partition("=")
            field = message.field.add(name=field_name, number=int(number))
            field.label = _KINDS.LABEL_REPEATED if kind.endswith("*") else _KINDS.LABEL_OPTIONAL
            kind = kind.rstrip("*")
            field.type = _SCALARS.get(kind, _KINDS.TYPE_MESSAGE)
            if kind not in _SCALARS:
                field.type_name = f".test.{package}.{kind}"
    return file


_POOL: Final = descriptor_pool.DescriptorPool()
for _package in _MESSAGES:
    _POOL.Add(_file(_package))


def message(package: str, name: str) -> Any:
    """Return an empty message: `v1`, `WriteRequest` or `v2`, `Request`, or a part of these."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"test.{package}.{name}"))()


def parsed(package: str, body: bytes) -> Any:
    """Return the request of a body before compression."""
    request = message(package, "WriteRequest" if package == "v1" else "Request")
    request.ParseFromString(body)
    return request


def readings_of(package: str, body: bytes) -> dict[tuple[tuple[str, str], ...], list[tuple[int, float]]]:
    """Return (time in ms, value) by the labels of each series of a body before compression."""
    request = parsed(package, body)
    return {
        _labels(package, request, series): [(sample.timestamp, sample.value) for sample in series.samples]
        for series in request.timeseries
    }


def _labels(package: str, request: Any, series: Any) -> tuple[tuple[str, str], ...]:
    if package == "v1":
        return tuple((label.name, label.value) for label in series.labels)
    texts = [request.symbols[reference] for reference in series.labels_refs]
    return tuple(zip(texts[::2], texts[1::2], strict=True))
