"""Loki's push request in protobuf; lines and labels are bytes, so that one that is not UTF-8 costs no other.

Source: Grafana Loki, pkg/push/push.proto (field numbers).
"""

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from serving.ingest.receive.wire.decoded import MalformedBody

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto

_PACKAGE: Final = "aiops.loki"
_INT32, _INT64, _BYTES, _MESSAGE = 5, 3, 12, 11
_SINGLE, _REPEATED = 1, 3


def push_request(body: bytes) -> Any:
    """Return a body as a request: `streams` with `labels` and `entries`.

    Raises:
        MalformedBody: it is none.
    """
    from google.protobuf.message import DecodeError

    try:
        return request_class().FromString(body)
    except (DecodeError, ValueError) as error:
        raise MalformedBody("body", f"is no push request of Loki in protobuf ({str(error)[:200]})") from error


@cache
def request_class() -> Any:
    """Return the class of a request."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    def part(name: str, number: int, kind: int, label: int = _SINGLE, of: str = "") -> "FieldDescriptorProto":
        type_name = f".{_PACKAGE}.{of}" if of else None
        return descriptor_pb2.FieldDescriptorProto(name=name, number=number, type=kind, label=label, type_name=type_name)  # type: ignore[arg-type]

    messages = {
        "Moment": [part("seconds", 1, _INT64), part("nanos", 2, _INT32)],
        "Pair": [part("name", 1, _BYTES), part("value", 2, _BYTES)],
        "Entry": [
            part("timestamp", 1, _MESSAGE, of="Moment"),
            part("line", 2, _BYTES),
            part("metadata", 3, _MESSAGE, _REPEATED, "Pair"),
        ],
        "Stream": [part("labels", 1, _BYTES), part("entries", 2, _MESSAGE, _REPEATED, "Entry")],
        "Request": [part("streams", 1, _MESSAGE, _REPEATED, "Stream")],
    }
    file = descriptor_pb2.FileDescriptorProto(name="aiops_loki.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in messages.items():
        file.message_type.add(name=name).field.extend(fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.Request"))
