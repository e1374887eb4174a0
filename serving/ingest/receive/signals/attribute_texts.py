"""Attributes and bodies as the JSON and text that are stored, each bounded; what is cut says so.

An attribute object that is longer than `MOST_BYTES` as JSON keeps as many attributes as fit, texts in it cut at
`MOST_TEXT_BYTES`; the attribute `aiops.cut` then tells how many were left out. Values nest at most `MOST_DEPTH` deep.
"""

import base64
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

Json = None | bool | int | float | str | list[Any] | dict[str, Any]

MOST_BYTES: Final = 65_536
MOST_TEXT_BYTES: Final = 4096
MOST_DEPTH: Final = 16
CUT: Final = "aiops.cut"
_DEEPER: Final = "…"
_INT64: Final = range(-(2**63), 2**63)
_NEWLINE: Final = 10
_encoder: Final = msgspec.json.Encoder()


def protobuf_value(value: Any, depth: int = 0) -> Json:
    """Return an `AnyValue` as JSON has it: bytes as base64, numbers that are not finite as text."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    content = getattr(value, kind)
    if kind == "array_value":
        return [protobuf_value(item, depth + 1) for item in content.values] if depth < MOST_DEPTH else _DEEPER
    if kind == "kvlist_value":
        if depth >= MOST_DEPTH:
            return _DEEPER
        return {pair.key: protobuf_value(pair.value, depth + 1) for pair in content.values}
    return _plain(content)


def json_value(value: Any, depth: int = 0) -> Json:
    """Return a `JsonValue` as JSON has it, as `protobuf_value` does."""
    if value is None:
        return None
    if value.array_value is not None:
        items = value.array_value.values or ()
        return [json_value(item, depth + 1) for item in items] if depth < MOST_DEPTH else _DEEPER
    if value.kvlist_value is not None:
        if depth >= MOST_DEPTH:
            return _DEEPER
        return {pair.key: json_value(pair.value, depth + 1) for pair in value.kvlist_value.values or ()}
    given = (value.string_value, value.bool_value, value.int_value, value.double_value, value.bytes_value)
    return _plain(next((content for content in given if content is not None), None))


def _plain(content: Any) -> Json:
    if isinstance(content, bytes):
        return base64.b64encode(content).decode()
    if isinstance(content, float) and not math.isfinite(content):
        return str(content)
    if isinstance(content, int) and content not in _INT64:
        return str(content)
    return content if isinstance(content, (str, bool, int, float)) or content is None else str(content)


def protobuf_attributes(pairs: Iterable[Any] | None) -> dict[str, Json]:
    """Return `KeyValue` pairs by name; of a name that occurs twice the last."""
    attributes: dict[str, Json] = {}
    for pair in pairs or ():
        value = pair.value
        attributes[pair.key] = value.string_value or value.int_value or protobuf_value(value)  # the first two are most of all
    return attributes


def json_attributes(pairs: Iterable[Any] | None) -> dict[str, Json]:
    """Return `JsonAttribute` pairs by name; of a name that occurs twice the last."""
    return {pair.key: json_value(pair.value) for pair in pairs or ()}


def object_texts(objects: Sequence[Mapping[str, Json]]) -> "pa.StringArray":
    """Return each object as bounded JSON. O(bytes), encoded in one go."""
    return _texts(objects, _fitting)


def array_texts(arrays: Sequence[Sequence[Mapping[str, Json]]]) -> Any:
    """Return each array of objects as bounded JSON, null where it is empty; the last object tells what was left out."""
    texts = _texts(arrays, _fitting_items)
    return pc.if_else(pc.equal(texts, pa.scalar("[]")), pa.scalar(None, pa.string()), texts)


def _texts(values: Sequence[Any], fitting: Callable[[Any], Any]) -> "pa.StringArray":
    lines = np.frombuffer(_encoder.encode_lines(values), np.uint8)
    ends = np.flatnonzero(lines == _NEWLINE)  # JSON has none within a text
    lengths = np.diff(ends, prepend=-1) - 1
    long = np.flatnonzero(lengths > MOST_BYTES)
    if long.size:
        bounded = list(values)
        for row in long.tolist():
            bounded[row] = fitting(values[row])
        return _texts(bounded, fitting)
    return strings(lines[lines != _NEWLINE], lengths)


def strings(content: Any, lengths: Any) -> "pa.StringArray":
    """Return texts that stand one after the other in `content` (bytes of UTF-8), with their lengths in bytes."""
    offsets: Any = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.StringArray.from_buffers(len(lengths), pa.py_buffer(offsets), pa.py_buffer(content))


def _fitting(attributes: Mapping[str, Json]) -> dict[str, Json]:
    """Return as many attributes, in order, as fit, and how many were left out."""
    kept: dict[str, Json] = {}
    room = MOST_BYTES - 100
    for name, content in attributes.items():
        short = _short(content)
        size = len(_encoder.encode({name: short}))
        if size <= room:
            kept[name] = short
            room -= size
    left_out = len(attributes) - len(kept)
    return {**kept, CUT: f"longer than {MOST_BYTES} bytes: {left_out} attributes left out, texts cut at {MOST_TEXT_BYTES} bytes"}


def _fitting_items(items: Sequence[Mapping[str, Json]]) -> list[Mapping[str, Json]]:
    """Return as many items, in order, as fit, and how many were left out."""
    kept: list[Mapping[str, Json]] = []
    room = MOST_BYTES - 100
    for item in items:
        room -= len(_encoder.encode(item)) + 1
        if room < 0:
            break
        kept.append(item)
    return [*kept, {CUT: f"longer than {MOST_BYTES} bytes: {len(items) - len(kept)} left out"}]


def _short(content: Json) -> Json:
    if isinstance(content, str):
        return cut_text(content, MOST_TEXT_BYTES)
    return content if len(_encoder.encode(content)) <= MOST_BYTES // 4 else _DEEPER


def cut_text(text: str, most_bytes: int) -> str:
    """Return a text of at most `most_bytes` bytes and, where it was longer, a mark that tells its length.

    >>> cut_text("abc", 3), cut_text("abcd", 3)
    ('abc', 'abc… (cut: 4 bytes)')
    """
    raw = text.encode()
    if len(raw) <= most_bytes:
        return text
    return f"{raw[:most_bytes].decode(errors='ignore')}… (cut: {len(raw)} bytes)"


def cut_texts(texts: Sequence[str | None], most_bytes: int) -> "pa.StringArray":
    """Return texts, each as `cut_text` gives it, null where there is none. Python a row only where one is too long."""
    column = pa.array(texts, pa.string())
    longest: Any = pc.max(pc.binary_length(column)).as_py()
    if (longest or 0) <= most_bytes:
        return column
    return pa.array([None if text is None else cut_text(text, most_bytes) for text in texts], pa.string())


def body_texts(values: Sequence[Json]) -> "pa.StringArray":
    """Return bodies as bounded text: text as it is, other values as JSON, none as the empty text."""
    texts = [value if isinstance(value, str) else "" if value is None else _encoder.encode(value).decode() for value in values]
    return cut_texts(texts, MOST_BYTES)
