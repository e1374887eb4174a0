"""What becomes of a body with logs or spans: entries for the broker, and every record counted once."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import pyarrow as pa

from aiops.normalise.service_labels import ServiceRules
from data_contracts.telemetry.rejects import MOST_DETAIL, Refusal, rejected_batch
from data_contracts.values.masking import Masks
from serving.ingest.receive.signals.attribute_texts import cut_text
from serving.stream import streams
from serving.stream.archived_stream import written_out_bytes

ENTRY_BYTES: Final = 4 << 20
"""About how large the rows of an entry are when every text is written out: more rows become several entries."""
ENTRY_ROWS: Final = 8192
_MASKED: Final = (
    *("service", "severity", "body", "event", "name", "status_text", "scope"),
    *("attributes", "resource", "events", "links"),
)
"""Columns that hold what senders wrote, text or JSON: all may hold secrets."""

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


def refused_rows(
    records: Sequence[Mapping[str, str | int]], refusals: Sequence[Refusal], intake: SignalIntake, source: str
) -> pa.RecordBatch:
    """Return refused records, as JSON, with why. `source`: protocol/signal or protocol/form.

    Every text is masked by itself, those of the refusals, too, and only then cut at `SHOWN_BYTES` and put into the JSON.
    """
    texts = [cell for record in records for cell in record.values() if isinstance(cell, str)]
    details = [refusal.detail for refusal in refusals]
    column: Any = intake.masks.applied(pa.array([*texts, *details], pa.string())).column
    masked = iter(column.to_pylist())
    rows = [_refused_row(record, masked) for record in records]
    hidden = [replace(refusal, detail=next(masked)[:MOST_DETAIL]) for refusal in refusals]
    return rejected_batch(rows, hidden, intake.available_at, source)


def _refused_row(record: Mapping[str, str | int], masked: Iterator[str]) -> str:
    short = {name: cut_text(next(masked), SHOWN_BYTES) if isinstance(cell, str) else cell for name, cell in record.items()}
    return json.dumps(short, ensure_ascii=False)


def masked_rows(rows: pa.RecordBatch, intake: SignalIntake) -> MaskedRows:
    """Return rows of `LOGS` or `SPANS` with the secrets in their texts masked. All columns at once: a rule costs once a body."""
    names = [name for name in _MASKED if name in rows.schema.names]
    columns: list[Any] = [rows.column(name) for name in names]
    texts = [column.dictionary if pa.types.is_dictionary(column.type) else column for column in columns]
    masked = intake.masks.applied(pa.concat_arrays(texts))
    if not masked.counts:
        return MaskedRows(rows, {})
    first = 0
    for name, column, given in zip(names, columns, texts, strict=True):
        made: Any = masked.column.slice(first, len(given))
        first += len(given)
        if column is not given:
            made = pa.DictionaryArray.from_arrays(column.indices, made)
        rows = rows.set_column(rows.schema.get_field_index(name), name, made)
    return MaskedRows(rows, masked.counts)


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
