"""Metrics with their labels, once a distinct set: the second half of a series' key.

Rules of labels: a key keeps those of names and holds none of `{}=",`, a value is any text in UTF-8, no key comes twice, at most
`MAX_LABELS` a row, and the metric with its labels, as people read it, has at most `series.text.MAX_BYTES`. A null map, a null
value and an empty value mean absent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from data_contracts.series.key import labels_text
from data_contracts.series.text import MAX_BYTES, metric_text
from data_contracts.telemetry.names import Fault, Names, shown, text_fault
from data_contracts.values.coerce import AnyArray, Codes, SchemaError, nulls, read_codes
from data_contracts.values.kernels import Int32s, Int64s, distinct

MAX_LABELS: Final = 64
"""Labels a row may carry."""

_KEY_RESERVED: Final = frozenset('{}=",')


@dataclass(frozen=True, slots=True)
class Streams:
    """Distinct (metric, labels): `codes` (n,) int32, -1 = no metric; `metric` and `labels` (k,) int32 codes of each.

    `metrics` are distinct names, `label_texts` distinct canonical texts, the first empty; `faults` by code.
    """

    codes: Int32s
    metric: Int32s
    labels: Int32s
    metrics: AnyArray
    label_texts: AnyArray
    faults: Mapping[int, Fault]
    plain: bool
    """Codes are those of metrics: no row has labels."""

    @classmethod
    def without_labels(cls, metrics: Names) -> "Streams":
        """Return one stream a metric."""
        count = len(metrics.values)
        codes, none = np.arange(count, dtype=np.int32), np.zeros(count, np.int32)
        return cls(metrics.codes, codes, none, metrics.values, pa.array([""], pa.string()), metrics.faults, True)

    def bad(self) -> "np.ndarray[Any, np.dtype[np.uint8]]":
        """Return (k,) 1 where the metric or the labels are refused."""
        flags = np.zeros(len(self.metric), np.uint8)
        flags[list(self.faults)] = 1
        return flags


class _Table:
    """Collects streams in order of first sight; equal ones share a code."""

    def __init__(self, metrics: Names) -> None:
        self._metrics = metrics
        self._code_of: dict[tuple[int, str], int] = {}
        self._label_code: dict[str, int] = {"": 0}
        self._pairs: list[tuple[int, int]] = []
        self._faults: dict[int, Fault] = {}
        self._remap: list[int] = []

    def add(self, metric: int, labels: str, fault: Fault | None) -> None:
        if metric < 0:
            self._remap.append(-1)
            return
        if fault is not None:
            self._faults[len(self._pairs)] = fault
            code = len(self._pairs)
        else:
            code = self._code_of.setdefault((metric, labels), len(self._pairs))
        if code == len(self._pairs):
            self._pairs.append((metric, self._label_code.setdefault(labels, len(self._label_code))))
        self._remap.append(code)

    def streams(self, codes: Int32s) -> Streams:
        pairs = np.array(self._pairs, np.int32).reshape(-1, 2)
        return Streams(
            np.ascontiguousarray(np.asarray(self._remap, np.int32)[codes]),
            np.ascontiguousarray(pairs[:, 0]),
            np.ascontiguousarray(pairs[:, 1]),
            self._metrics.values,
            pa.array(list(self._label_code), pa.string()),
            self._faults,
            False,
        )


@dataclass(frozen=True, slots=True)
class LabelSets:
    """Labels of each row: rows `starts[i]`:`ends[i]` of the dictionary codes of keys and values."""

    starts: Int64s
    ends: Int64s
    keys: Codes
    items: Codes


def read_labels(column: AnyArray) -> LabelSets | None:
    """Read a map column of text to text; None where no row has a label.

    Raises:
        SchemaError: the column is not a map of text.
    """
    if pa.types.is_null(column.type):
        return None
    if not isinstance(column, pa.MapArray):
        raise SchemaError(f"column 'labels' has type {column.type}; it must be map<string, string>: cast it or leave it out")
    keys, items = read_codes(column.keys, "labels"), read_codes(column.items, "labels")
    offsets = np.asarray(column.offsets.to_numpy(), np.int64)
    starts = offsets[:-1]
    ends = np.where(nulls(column) != 0, starts, offsets[1:])
    if not (ends > starts).any():
        return None
    return LabelSets(starts, ends, keys, items)


def labelled(metrics: Names, labels: LabelSets) -> Streams:
    """Return the streams of rows; each distinct set of labels is put in order once.

    Complexity: one hash pass a label position over the rows that have so many; then O(distinct sets) text.
    """
    crowded = labels.ends - labels.starts > MAX_LABELS
    codes, firsts = distinct(_label_nodes(metrics, labels, crowded))
    table = _Table(metrics)
    texts = [text or "" for text in metrics.values.to_pylist()]
    keys, items = [*labels.keys.values.to_pylist(), b""], [*labels.items.values.to_pylist(), None]  # code -1 reads the last
    for row in firsts.tolist():
        code = int(metrics.codes[row])
        span = slice(int(labels.starts[row]), int(labels.ends[row]))
        if code < 0 or code in metrics.faults:
            table.add(code, "", metrics.faults.get(code))
        elif crowded[row]:
            count = span.stop - span.start
            words = f"metric {texts[code]!r} has {count} labels; at most {MAX_LABELS} are allowed: drop some"
            table.add(code, "", Fault("labels", words))
        else:
            cells = zip(labels.keys.codes[span].tolist(), labels.items.codes[span].tolist(), strict=True)
            table.add(code, *_canonical(texts[code], [(keys[key], items[item]) for key, item in cells]))
    return table.streams(codes)


def _label_nodes(metrics: Names, labels: LabelSets, crowded: "np.ndarray[Any, np.dtype[np.bool_]]") -> Int64s:
    """Return (n,) a number for each row, equal where metric and labels are equal: a trie walked one label position at a time."""
    pairs, _ = distinct(labels.keys.codes.astype(np.int64) * (len(labels.items.values) + 1) + labels.items.codes + 1)
    count = labels.ends - labels.starts
    node = metrics.codes.astype(np.int64) + 1
    nodes = len(metrics.values) + 1
    rows = np.flatnonzero((count > 0) & ~crowded)
    position = 0
    while len(rows):
        codes, firsts = distinct((node[rows] << 32) | pairs[labels.starts[rows] + position])
        node[rows] = codes.astype(np.int64) + nodes
        nodes += len(firsts)
        position += 1
        rows = rows[count[rows] > position]
    node[crowded] = nodes + np.flatnonzero(crowded)
    return node


def _canonical(metric: str, labels: list[tuple[bytes, bytes | None]]) -> tuple[str, Fault | None]:
    """Return the canonical text of labels, or what is wrong with them."""
    present: dict[str, str] = {}
    for raw_key, raw_value in labels:
        if not raw_value:
            continue
        try:
            key, value = raw_key.decode(), raw_value.decode()
        except UnicodeDecodeError:
            return "", Fault(
                "labels", f"label {shown(raw_key)}={shown(raw_value)} is not valid UTF-8; labels are UTF-8 text: re-encode it"
            )
        fault = _label_fault(key, present)
        if fault is not None:
            return "", fault
        present[key] = value
    if not present:
        return "", None
    text = metric_text(metric, tuple(sorted(present.items())))
    size, limit = len(text.encode()), MAX_BYTES
    if size > limit:
        return "", Fault(
            "labels", f"metric with labels {shown(text)} has {size} bytes; at most {limit} are allowed: drop or shorten labels"
        )
    return labels_text(present.items()), None


def _label_fault(key: str, present: Mapping[str, str]) -> Fault | None:
    if not key or not _KEY_RESERVED.isdisjoint(key):
        return Fault("labels", f'label key {shown(key)} is empty or contains one of {{}}=",, which are reserved: rename it')
    if key in present:
        return Fault("labels", f"label key {shown(key)} appears twice; a key has one value: drop one")
    return text_fault(key, "labels")
