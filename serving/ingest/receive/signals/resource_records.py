"""Records of a body in one row, whatever resource and scope they stand under, and what is known of those, once each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import IntArray
from data_contracts.telemetry.names import name_fault
from data_contracts.telemetry.rejects import Refusal
from serving.ingest.receive.signals.attribute_texts import (
    Json,
    cut_text,
    json_attributes,
    json_value,
    object_texts,
    protobuf_attributes,
    protobuf_value,
    strings,
)
from serving.ingest.receive.signals.json_messages import ITEMS
from serving.ingest.receive.signals.signal_outcome import SignalIntake
from serving.ingest.receive.wire.decoded import MalformedBody

Encoding = Literal["protobuf", "json"]
MOST_SCOPE_BYTES: Final = 500


@dataclass(frozen=True, slots=True)
class Nesting:
    """Names of the fields that lead to records, outermost first."""

    resources: str
    scopes: str
    records: str


@dataclass(frozen=True, slots=True)
class Form:
    """How values, attributes, ids and the items of a field by its name are read: the two forms of OTLP differ in nothing else."""

    value: Callable[[Any], Json]
    attributes: Callable[[Any], dict[str, Json]]
    ids: Callable[[Sequence[Any]], "pa.StringArray"]
    items: Callable[[str, Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class ResourceRecords:
    """`records` in order; `resource` and `scope` (n,) say which of `services`, `resources` (JSON) and `scopes` each is of.

    `faults` by resource: its service cannot be one.
    """

    records: list[Any]
    resource: IntArray
    scope: IntArray
    services: "pa.StringArray"
    resources: "pa.StringArray"
    scopes: "pa.StringArray"
    faults: dict[int, Refusal]

    def __len__(self) -> int:
        return len(self.records)

    def coded(self, texts: "pa.StringArray", codes: IntArray) -> Any:
        """Return (n,) dictionary-coded texts."""
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), texts)


def hex_of_bytes(ids: Sequence[bytes]) -> "pa.StringArray":
    """Return ids as hexadecimal digits. O(bytes), in one go."""
    lengths = 2 * np.fromiter(map(len, ids), np.int64, len(ids))
    return strings(b"".join(ids).hex().encode(), lengths)


def hex_of_texts(ids: Sequence[str | None]) -> "pa.StringArray":
    """Return ids in lower case, an absent one empty."""
    return pa.array([(text or "").lower() for text in ids], pa.string())


def items_of_json(field: str, items: Sequence[msgspec.Raw]) -> list[Any]:
    """Return the items of a field of JSON, read one by one.

    Raises:
        MalformedBody: one is none of its kind.
    """
    decode = _decoder(ITEMS[field]).decode
    try:
        return [decode(item) for item in items]
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise MalformedBody("body", f"is no OTLP request in JSON ({field}: {str(error)[:200]})") from error


@cache
def _decoder(kind: type[msgspec.Struct]) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(kind, strict=False)


FORMS: Final = {
    "protobuf": Form(protobuf_value, protobuf_attributes, hex_of_bytes, lambda _field, items: items),
    "json": Form(json_value, json_attributes, hex_of_texts, items_of_json),
}


def has_form(ids: "pa.StringArray", digits: int) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Return (n,) whether an id has so many hexadecimal digits and not all are 0."""
    right: Any = pc.match_substring_regex(ids, f"^[0-9a-f]{{{digits}}}$")
    zero: Any = pc.equal(ids, pa.scalar("0" * digits))
    return np.asarray(right, np.bool_) & ~np.asarray(zero, np.bool_)


def text_list(texts: Any) -> list[str]:
    """Return texts, none of which is null."""
    listed: list[str] = texts.to_pylist()
    return listed


def is_absent(ids: "pa.StringArray") -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Return (n,) whether an id is empty or all zeros, which some senders write for none."""
    return np.asarray(pc.match_substring_regex(ids, "^0*$"), np.bool_)


def decoded_json(body: bytes, kind: type[msgspec.Struct]) -> Any:
    """Return a body of JSON as a message.

    Raises:
        MalformedBody: it is none.
    """
    try:
        return _decoder(kind).decode(body)
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise MalformedBody("body", f"is no OTLP request in JSON ({str(error)[:200]})") from error


def decoded_protobuf(body: bytes, kind: Any) -> Any:
    """Return a body of protobuf as a message.

    Raises:
        MalformedBody: it is none.
    """
    from google.protobuf.message import DecodeError

    try:
        return kind.FromString(body)
    except (DecodeError, ValueError) as error:
        raise MalformedBody("body", f"is no OTLP request in protobuf ({str(error)[:200]})") from error


def resource_records(message: Any, nesting: Nesting, form: Form, intake: SignalIntake) -> ResourceRecords:
    """Return the records of a message, and their resources and scopes."""
    records: list[Any] = []
    resource_sizes, scope_sizes, scopes, described = [], [], [], []
    for group in form.items(nesting.resources, getattr(message, nesting.resources) or ()):
        described.append(form.attributes(group.resource.attributes if group.resource else None))
        before = len(records)
        for scope in getattr(group, nesting.scopes) or ():
            held = form.items(nesting.records, getattr(scope, nesting.records) or ())
            records.extend(held)
            scope_sizes.append(len(held))
            scopes.append(cut_text((scope.scope.name if scope.scope else "") or "", MOST_SCOPE_BYTES))
        resource_sizes.append(len(records) - before)
    services = [_service(attributes, intake) for attributes in described]
    return ResourceRecords(
        records,
        np.repeat(np.arange(len(described)), resource_sizes),
        np.repeat(np.arange(len(scopes)), scope_sizes),
        pa.array(services, pa.string()),
        object_texts(described),
        pa.array(scopes, pa.string()),
        _faults(services),
    )


def _service(attributes: dict[str, Json], intake: SignalIntake) -> str:
    texts = {name: content if isinstance(content, str) else str(content) for name, content in attributes.items()}
    return intake.rules.of_resource("", texts).service


def _faults(services: Sequence[str]) -> dict[int, Refusal]:
    faults = ((number, name_fault(service.encode(), "service")) for number, service in enumerate(services))
    return {number: Refusal("name", fault.field, fault.text) for number, fault in faults if fault is not None}


def microseconds(nanoseconds: Sequence[int | None], count: int) -> IntArray:
    """Return (n,) µs of times in ns; 0 = absent or negative; beyond what ns of 64 bits can say the greatest that they can."""
    try:
        return (np.fromiter(nanoseconds, np.uint64, count) // np.uint64(1000)).astype(np.int64)
    except (TypeError, OverflowError, ValueError):
        bounded = (min(max(value or 0, 0), 2**64 - 1) for value in nanoseconds)
        return (np.fromiter(bounded, np.uint64, count) // np.uint64(1000)).astype(np.int64)
