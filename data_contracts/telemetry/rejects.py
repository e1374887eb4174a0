"""Rejected rows: one record a row with its reason, words for people and the row itself as JSON, from which it can be re-driven.

In the JSON, absent and null cells are left out, times are ISO 8601 UTC (or the text that came), non-finite values are text, and
bytes that are not UTF-8 are `{"base64": …}`. Texts are cut at 4,096 bytes: longer ones break the contract anyway.
"""

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa

from data_contracts.schemas.telemetry_schemas import REJECT_REASONS, REJECTED
from data_contracts.values.coerce import AnyArray, is_text, read_times, whole

KEPT_BYTES: Final = 4096
KEPT_PAYLOAD_BYTES: Final = 65_536
MOST_DETAIL: Final = 1000
KEPT_LABELS: Final = 65
"""One more than a row may carry, so that the cut row is still refused."""

_LABELS: Final = pa.map_(pa.binary(), pa.binary())
_TEXTS: Final = ("service", "metric", "tenant", "kind", "unit", "temporality")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one row is refused."""

    reason: str
    field: str
    detail: str


def rejected_batch(rows: Sequence[str], refusals: Sequence[Refusal], now: datetime, source: str) -> pa.RecordBatch:
    """Return a `schemas.REJECTED` batch of JSON rows and their refusals; ids depend on source, row and reason only."""
    ids = [reject_id(source, row, refusal.reason) for row, refusal in zip(rows, refusals, strict=True)]
    count = len(rows)
    columns: list[AnyArray] = [
        pa.repeat(pa.scalar(now, REJECTED.field("rejected_at").type), count),
        pa.array(ids, pa.string()),
        pa.repeat(pa.scalar(source, pa.string()), count),
        pa.array([refusal.field for refusal in refusals], pa.string()),
        pa.array([refusal.reason for refusal in refusals], pa.string()),
        pa.array([refusal.detail for refusal in refusals], pa.string()),
        pa.array(rows, pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=REJECTED)


def reject_id(source: str, row: str, reason: str) -> str:
    """Return the deterministic id of one rejected row: equal for the same row refused for the same reason."""
    content = json.dumps([source, row, reason]).encode()
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def rejected_points(points: pa.RecordBatch, refusal: Refusal, now: datetime, source: str = "") -> pa.RecordBatch:
    """Return accepted points (`schemas.SERIES`) that a later stage refuses (e.g. "too_late") as a `schemas.REJECTED` batch.

    Raises:
        ValueError: the reason is not one of REJECT_REASONS.
    """
    if refusal.reason not in REJECT_REASONS:
        raise ValueError(f"reason {refusal.reason!r} is not known; use one of {', '.join(REJECT_REASONS)}")
    columns = {name: points.column(name) for name in points.schema.names}
    rows = rows_as_json(columns, np.arange(points.num_rows))
    return rejected_batch(rows, [refusal] * len(rows), now, source)


def rejected_table(table: pa.Table, refusal: Refusal, now: datetime, source: str = "") -> pa.RecordBatch:
    """Return raw telemetry (as `codec.decode` gives it) of which every row is refused as a `schemas.REJECTED` batch."""
    columns = {name: whole(table.column(name)) for name in table.schema.names}
    rows = rows_as_json(columns, np.arange(table.num_rows))
    return rejected_batch(rows, [refusal] * len(rows), now, source)


def rejected_payload(payload: bytes, error: str, now: datetime, source: str = "", entry: str = "") -> pa.RecordBatch:
    """Return one `schemas.REJECTED` row, reason "undecodable", of a payload that is no telemetry; 64 KiB are kept.

    `entry` names where it stood, so that the same payload elsewhere is another row.
    """
    digest = hashlib.sha256(payload).hexdigest()
    kept = base64.b64encode(payload[:KEPT_PAYLOAD_BYTES]).decode()
    row = json.dumps({"entry": entry, "payload_base64": kept, "payload_bytes": len(payload), "payload_sha256": digest})
    detail = f"entry {entry!r}: payload of {len(payload)} bytes is no telemetry: {error}"
    return rejected_batch([row], [Refusal("undecodable", "payload", detail[:MOST_DETAIL])], now, source)


def rows_as_json(columns: dict[str, AnyArray], rows: "np.ndarray[Any, np.dtype[np.int64]]") -> list[str]:
    """Return the given rows of the raw columns as JSON objects, keys in the order of the columns."""
    taken = pa.array(rows, pa.int64())
    cells = {name: _cells(name, column.take(taken)) for name, column in columns.items()}
    return [
        json.dumps({name: cell for name, cell in zip(cells, row, strict=True) if cell is not None}, ensure_ascii=False)
        for row in zip(*cells.values(), strict=True)
    ]


def _cells(name: str, column: AnyArray) -> list[Any]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _cells(name, column.cast(kind.value_type))
    if pa.types.is_null(kind):
        return [None] * len(column)
    if pa.types.is_timestamp(kind):
        times = read_times(column, name)
        texts = np.datetime_as_string(times.us.view("M8[us]"), timezone="naive").tolist()
        return [None if unknown else f"{text}Z" for text, unknown in zip(texts, times.unknown, strict=True)]
    if isinstance(column, pa.MapArray):
        return _label_cells(column)
    if is_text(kind):
        return [None if raw is None else _json_text(raw) for raw in _bytes(column)]
    return [None if value is None else _json_number(float(value)) for value in column.to_pylist()]


def _bytes(column: AnyArray) -> list[bytes | None]:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        column = column.cast(pa.large_string()).cast(pa.large_binary())
    elif pa.types.is_string(kind):
        column = column.cast(pa.binary())
    return [None if raw is None else bytes(raw) for raw in column.to_pylist()]


def _label_cells(column: "pa.MapArray[Any, Any]") -> list[Any]:
    offsets = column.offsets.to_pylist()
    keys, items = _bytes(column.keys), _bytes(column.items)
    known = column.is_valid().to_pylist()
    return [
        _json_labels(list(zip(keys[start:end], items[start:end], strict=True))[:KEPT_LABELS]) if valid else None
        for start, end, valid in zip(offsets, offsets[1:], known, strict=False)
    ]


def _json_labels(pairs: "list[tuple[bytes | None, bytes | None]]") -> Any:
    """Return an object, or a list of pairs where a key comes twice or is not text."""
    cells = [(_json_text(key or b""), None if item is None else _json_text(item)) for key, item in pairs]
    keys = [key for key, _ in cells if isinstance(key, str)]
    return dict(cells) if len(set(keys)) == len(cells) else [list(cell) for cell in cells]


def _json_text(raw: bytes) -> str | dict[str, str]:
    try:
        return raw[:KEPT_BYTES].decode() if len(raw) <= KEPT_BYTES else raw[:KEPT_BYTES].decode(errors="replace")
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(raw).decode()}


def _json_number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def rows_from_json(rows: Iterable[str]) -> pa.Table:
    """Return stored rows as a raw table that `validate` reads; what is no telemetry row becomes a row of nulls. Lossless."""
    decoded = [_decoded(row) for row in rows]
    columns: dict[str, AnyArray] = {
        "timestamp": pa.array([_text(row.get("timestamp")) for row in decoded], pa.string()),
        "value": pa.array([_text(row.get("value")) for row in decoded], pa.string()),
        "labels": pa.array([_label_pairs(row.get("labels")) for row in decoded], _LABELS),
        **{name: pa.array([_raw_text(row.get(name)) for row in decoded], pa.binary()) for name in _TEXTS},
    }
    return pa.table(columns)


def _decoded(row: str) -> dict[str, Any]:
    try:
        cells = json.loads(row)
    except ValueError:
        return {}
    return cells if isinstance(cells, dict) else {}


def _text(cell: Any) -> str | None:
    if isinstance(cell, bool) or not isinstance(cell, (str, int, float)):
        return None
    return cell if isinstance(cell, str) else repr(cell)


def _raw_text(cell: Any) -> bytes | None:
    if isinstance(cell, dict) and isinstance(cell.get("base64"), str):
        try:
            return base64.b64decode(cell["base64"])
        except binascii.Error:
            return None
    return cell.encode(errors="surrogatepass") if isinstance(cell, str) else None


def _label_pairs(cell: Any) -> list[tuple[bytes, bytes | None]] | None:
    if isinstance(cell, str):  # canonical text, as points have it that a later stage refused
        cell = _decoded(cell)
    if isinstance(cell, dict):
        return [(_raw_text(key) or b"", _raw_text(item)) for key, item in cell.items()]
    if isinstance(cell, list):
        return [(_raw_text(pair[0]) or b"", _raw_text(pair[1])) for pair in cell if isinstance(pair, list) and len(pair) == 2]
    return None
