"""Spans as signals are made of: columns of received spans, texts as keys and codes."""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aiops.signals.id_kernels import key_pairs
from aiops.signals.sampling import adjusted_counts
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.telemetry_schemas import TIMESTAMP

KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
UNKNOWN, INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(len(KINDS))
"""Kinds of spans by number; UNKNOWN = the sender does not say."""
_TYPES: Final[dict[str, pa.DataType]] = {
    "timestamp": TIMESTAMP,
    "duration_us": pa.int64(),
    "service": pa.string(),
    "name": pa.string(),
    "kind": pa.string(),
    "trace_id": pa.string(),
    "span_id": pa.string(),
    "parent_id": pa.string(),
    "status": pa.string(),
    "trace_state": pa.string(),
}
SPAN_ROWS: Final = pa.schema(_TYPES)
"""Columns that are read, named as received spans name them; kind, status and trace_state may be absent. Null parent = a root."""
OTHERS: Final = "(others)"
"""Name of what is beyond the most names that are kept."""
_ABSENT: Final = np.iinfo(np.int64).min
Mask = npt.NDArray[np.bool_]


class SpanColumns(NamedTuple):
    """Spans (n,): 64-bit keys of their ids (0 = no parent), times in µs, codes, kind, whether it failed, adjusted count."""

    key: IntArray
    parent: IntArray
    start_us: IntArray
    end_us: IntArray
    service: npt.NDArray[np.int32]
    operation: npt.NDArray[np.int32]
    kind: npt.NDArray[np.uint8]
    failed: Mask
    weight: FloatArray

    def between(self, first: int, last: int) -> "SpanColumns":
        """Return spans first..last."""
        parts: list[Any] = [column[first:last] for column in self]
        return SpanColumns(*parts)


@dataclass(slots=True)
class Names:
    """Codes of texts, at most `most`; later ones share the code of `OTHERS`."""

    most: int
    texts: list[str] = field(default_factory=lambda: [OTHERS])
    _codes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def restored(cls, most: int, texts: list[str]) -> "Names":
        """Return the names with these texts."""
        return cls(most, texts, {text: code for code, text in enumerate(texts) if code})

    def code(self, text: str) -> int:
        """Return the code of a text."""
        known = self._codes.get(text)
        if known is None:
            if len(self.texts) > self.most:
                return 0
            known = self._codes[text] = len(self.texts)
            self.texts.append(text)
        return known

    def codes(self, column: "pa.ChunkedArray[Any]") -> npt.NDArray[np.int32]:
        """Return the codes (n,) of a column of texts, new ones in order of first sight; null is the empty text."""
        encoded = encoded_texts(column)
        texts = [*(text or "" for text in encoded.dictionary.to_pylist()), ""]
        place = np.asarray(encoded.indices.cast(pa.int64()).fill_null(len(texts) - 1))
        used, first = np.unique(place, return_index=True)
        table = np.zeros(len(texts), np.int32)
        for number in used[np.argsort(first)].tolist():
            table[number] = self.code(texts[number])
        return cast("npt.NDArray[np.int32]", table[place])


@dataclass(slots=True)
class SpanNames:
    """Codes of services and of operations."""

    services: Names = field(default_factory=lambda: Names(100_000))
    operations: Names = field(default_factory=lambda: Names(1_000_000))


@dataclass(frozen=True, slots=True)
class ReadSpans:
    """Spans that can be used, and how many have no id, no service or no time."""

    columns: SpanColumns
    unusable: int


def read_spans(spans: pa.Table, names: SpanNames) -> ReadSpans:
    """Return spans of `SPAN_ROWS` as columns. O(bytes of ids); no text is made."""
    start_us, duration_us = _whole(spans["timestamp"]), _whole(spans["duration_us"])
    usable = (
        _all([_filled(spans[name]) for name in ("trace_id", "span_id", "service")]) & (start_us != _ABSENT) & (duration_us >= 0)
    )
    if not usable.all():
        spans, start_us, duration_us = spans.filter(pa.array(usable)), start_us[usable], duration_us[usable]
    key = key_pairs(spans["trace_id"], spans["span_id"])
    parent = key_pairs(spans["trace_id"], spans["parent_id"])
    kind = _numbered(spans, "kind", KINDS)
    columns = SpanColumns(
        key,
        np.where(_filled(spans["parent_id"]) & (parent != key), parent, 0),
        start_us,
        start_us + duration_us,
        names.services.codes(spans["service"]),
        names.operations.codes(spans["name"]),
        kind.astype(np.uint8),
        _numbered(spans, "status", ("", "error")) == 1,
        adjusted_counts(spans["trace_state"]) if "trace_state" in spans.column_names else np.ones(len(key)),
    )
    return ReadSpans(columns, int((~usable).sum()))


def encoded_texts(column: "pa.ChunkedArray[Any]") -> Any:
    """Return a column of texts as one dictionary array."""
    if pa.types.is_dictionary(column.type):
        return column.unify_dictionaries().combine_chunks()
    return column.combine_chunks().cast(pa.string()).dictionary_encode()


def _whole(column: "pa.ChunkedArray[Any]") -> IntArray:
    """Return whole numbers or times; null = `_ABSENT`."""
    return np.asarray(column.combine_chunks().cast(pa.int64()).fill_null(_ABSENT)).astype(np.int64)


def _numbered(spans: pa.Table, name: str, words: tuple[str, ...]) -> IntArray:
    """Return the number of each text among the words; 0 = another one, null or no such column."""
    if name not in spans.column_names:
        return np.zeros(spans.num_rows, np.int64)
    place = {word: number for number, word in enumerate(words)}
    encoded = encoded_texts(spans[name])
    table = np.array([*(place.get(text or "", 0) for text in encoded.dictionary.to_pylist()), 0], np.int64)
    return cast(IntArray, table[np.asarray(encoded.indices.cast(pa.int64()).fill_null(len(table) - 1))])


def _filled(column: "pa.ChunkedArray[Any]") -> Mask:
    if pa.types.is_dictionary(column.type):
        column = column.cast(pa.string())
    return np.asarray(pc.call_function("binary_length", [column]).combine_chunks().fill_null(0)) > 0


def _all(masks: list[Mask]) -> Mask:
    return cast(Mask, np.logical_and.reduce(masks))
