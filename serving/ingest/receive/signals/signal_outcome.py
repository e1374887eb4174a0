"""What becomes of a body with logs or spans: entries for the broker, and every record counted once."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa

from aiops.normalise.service_labels import ServiceRules
from data_contracts.telemetry.rejects import Refusal, rejected_batch
from data_contracts.values.masking import Masks, differing
from serving.ingest.receive.signals.attribute_texts import cut_text
from serving.stream import streams
from serving.stream.archived_stream import written_out_bytes

ENTRY_BYTES: Final = 4 << 20
"""About how large the rows of an entry are when every text is written out: more rows become several entries."""
ENTRY_ROWS: Final = 8192
_TEXTS: Final = ("body", "event", "name", "status_text")
_OBJECTS: Final = ("attributes", "resource", "events", "links")
"""Columns of text, and of JSON, that may hold secrets."""

_MASKED_WHOLE: Final = '{"aiops.masked":"all of it: a mask left no JSON"}'
SHOWN_BYTES: Final = 1000
"""What is kept of a text of a refused record."""


@dataclass(frozen=True, slots=True)
class SignalIntake:
    """When a body reached the suite (aware UTC), which service a resource is, how far ahead a record's time may lie."""

    available_at: datetime
    rules: ServiceRules = field(default_factory=ServiceRules)
    future_tolerance_s: int = 300
    masks: Masks = field(default_factory=Masks)
    """What is masked before anything is stored."""


@dataclass(frozen=True, slots=True)
class MaskedRows:
    """Rows after masking, and how many texts each rule changed."""

    rows: pa.RecordBatch
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class SignalEntry:
    """One entry for a stream `signals:<p>`, any partition: its kind and payload; `rows` are in it."""

    kind: bytes
    payload: bytes
    rows: int


@dataclass(frozen=True, slots=True)
class SignalOutcome:
    """`accepted` + `rejected` = records in the body. All of `entries` are to be appended, refused records are among them.

    `message` is for the sender: what was refused and why, what is kept otherwise than sent; "" where neither.
    """

    entries: tuple[SignalEntry, ...]
    accepted: int
    rejected: int
    message: str = ""
    masked: Mapping[str, int] = field(default_factory=dict)
    """Texts that each rule of masking changed."""


def outcome(kind: bytes, signal: str, masked: MaskedRows, refused: pa.RecordBatch, remarks: Sequence[str]) -> SignalOutcome:
    """Return the outcome of accepted rows and refused ones (`REJECTED`); `signal` is what records are called."""
    rows = masked.rows
    entries = (*_entries(kind, rows), *_entries(streams.KIND_REFUSED, refused))
    counted = rows.num_rows + refused.num_rows
    texts = [_refusals(signal, counted, refused), *remarks] if refused.num_rows else remarks
    return SignalOutcome(entries, rows.num_rows, refused.num_rows, "; ".join(texts), masked.counts)


def refused_rows(rows: Sequence[str], refusals: Sequence[Refusal], intake: SignalIntake, source: str) -> pa.RecordBatch:
    """Return refused records, as JSON, with why; masked, too. `source`: protocol/signal or protocol/form."""
    given = pa.array(rows, pa.string())
    texts: Any = whole_objects(intake.masks.applied(given).column, given)
    return rejected_batch(texts.to_pylist(), refusals, intake.available_at, source)


def masked_rows(rows: pa.RecordBatch, intake: SignalIntake) -> MaskedRows:
    """Return rows of `LOGS` or `SPANS` with the secrets in their texts masked. All columns at once: a rule costs once a body."""
    names = [name for name in (*_TEXTS, *_OBJECTS) if name in rows.schema.names]
    columns: list[Any] = [rows.column(name) for name in names]
    texts = [column.dictionary if pa.types.is_dictionary(column.type) else column for column in columns]
    masked = intake.masks.applied(pa.concat_arrays(texts))
    if not masked.counts:
        return MaskedRows(rows, {})
    first = 0
    for name, column, given in zip(names, columns, texts, strict=True):
        made = masked.column.slice(first, len(given))
        first += len(given)
        made = whole_objects(made, given) if name in _OBJECTS else made
        if column is not given:
            made = pa.DictionaryArray.from_arrays(column.indices, made)
        rows = rows.set_column(rows.schema.get_field_index(name), name, made)
    return MaskedRows(rows, masked.counts)


def whole_objects(masked: "pa.Array[Any]", given: "pa.Array[Any]") -> "pa.Array[Any]":
    """Return texts of JSON (n,) after masking; one that a mask left no JSON of is left out whole."""
    changed = np.flatnonzero(differing(masked, given))
    spoiled = [row for row in changed.tolist() if not _is_json(masked[row].as_py())]
    if not spoiled:
        return masked
    texts = masked.to_pylist()
    for row in spoiled:
        texts[row] = _MASKED_WHOLE
    return pa.array(texts, pa.string())


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def refused_text(**cells: str | int) -> str:
    """Return a refused record as JSON, each text cut at `SHOWN_BYTES`."""
    short = {name: cut_text(cell, SHOWN_BYTES) if isinstance(cell, str) else cell for name, cell in cells.items()}
    return json.dumps(short, ensure_ascii=False)


def _entries(kind: bytes, rows: pa.RecordBatch) -> list[SignalEntry]:
    if not rows.num_rows:
        return []
    count = max(1, -(-rows.num_rows // ENTRY_ROWS), -(-written_out_bytes(rows) // ENTRY_BYTES))
    size = -(-rows.num_rows // count)
    parts = [rows.slice(first, size) for first in range(0, rows.num_rows, size)]
    return [SignalEntry(kind, streams.to_ipc(part), part.num_rows) for part in parts]


def _refusals(signal: str, counted: int, refused: pa.RecordBatch) -> str:
    reasons = Counter(refused.column("reason").to_pylist())
    by_reason = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    return f"{refused.num_rows} of {counted} {signal} refused ({by_reason}); the first: {refused.column('detail')[0].as_py()}"
