"""Tenants folded into services (`tenant/service`) and labels into metrics (`name{k="v",…}`, keys sorted), once a distinct set.

Rules of labels: those of names, and a key holds none of `{}=",`, no key comes twice, at most `MAX_LABELS` a row, and the folded
metric keeps within `max_bytes`. A null map and a null label value mean absent. Quotes and backslashes in values are escaped.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from data_contracts.coerce import AnyArray, Codes, SchemaError, nulls, read_codes
from data_contracts.kernels import BRACE, Int32s, Int64s, distinct
from data_contracts.names import Fault, Names, max_bytes, shown, text_fault

MAX_LABELS: Final = 64
"""Labels a row may carry."""

_KEY_RESERVED: Final = frozenset('{}=",')


def fold_tenants(services: Names, tenants: Names) -> Names:
    """Return names `tenant/service`; rows without a tenant keep the service's own name."""
    owners = tenants.values.to_pylist()
    none = np.array([*(not owner and code not in tenants.faults for code, owner in enumerate(owners)), True])
    tenant_codes = np.where(none[tenants.codes], np.int64(-1), tenants.codes.astype(np.int64))
    if (tenant_codes < 0).all():
        return services
    width = len(services.values) + 1
    codes, firsts = distinct(np.ascontiguousarray((tenant_codes + 1) * width + services.codes + 1))
    texts = services.values.to_pylist()
    table = _Table()
    for row in firsts.tolist():
        tenant, service = int(tenant_codes[row]), int(services.codes[row])
        fault = services.faults.get(service) or (tenants.faults.get(tenant) if tenant >= 0 else None)
        text = None if service < 0 else texts[service] if tenant < 0 else f"{owners[tenant]}/{texts[service]}"
        table.add(text, fault)
    return table.names(codes)


class _Table:
    """Collects names in order of first sight; equal texts share a code."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._code_of: dict[str, int] = {}
        self._faults: dict[int, Fault] = {}
        self._remap: list[int] = []

    def add(self, text: str | None, fault: Fault | None) -> None:
        if text is None:
            self._remap.append(-1)
        elif fault is not None:
            self._faults[len(self._texts)] = fault
            self._remap.append(len(self._texts))
            self._texts.append("")
        else:
            code = self._code_of.setdefault(text, len(self._texts))
            if code == len(self._texts):
                self._texts.append(text)
            self._remap.append(code)

    def names(self, codes: Int32s) -> Names:
        remap = np.asarray(self._remap, np.int32)
        braced = np.fromiter((BRACE if "{" in text else 0 for text in self._texts), np.uint8, len(self._texts))
        return Names(np.ascontiguousarray(remap[codes]), pa.array(self._texts, pa.string()), braced, self._faults)


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


def fold_labels(metrics: Names, labels: LabelSets) -> Names:
    """Return names `metric{key="value",…}`, keys sorted; each distinct set of labels is put in words once.

    Complexity: one hash pass a label position over the rows that have so many; then O(distinct sets) text.
    """
    crowded = labels.ends - labels.starts > MAX_LABELS
    codes, firsts = distinct(_label_nodes(metrics, labels, crowded))
    table = _Table()
    texts = [text or "" for text in metrics.values.to_pylist()]
    keys, items = [*labels.keys.values.to_pylist(), b""], [*labels.items.values.to_pylist(), None]  # code -1 reads the last
    for row in firsts.tolist():
        code = int(metrics.codes[row])
        span = slice(int(labels.starts[row]), int(labels.ends[row]))
        if code < 0 or code in metrics.faults:
            table.add(None if code < 0 else "", metrics.faults.get(code))
        elif crowded[row]:
            count = span.stop - span.start
            table.add(
                "", Fault("labels", f"metric {texts[code]!r} has {count} labels; at most {MAX_LABELS} are allowed: drop some")
            )
        else:
            cells = zip(labels.keys.codes[span].tolist(), labels.items.codes[span].tolist(), strict=True)
            table.add(*_folded(texts[code], [(keys[key], items[item]) for key, item in cells]))
    return table.names(codes)


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


def _folded(metric: str, labels: list[tuple[bytes, bytes | None]]) -> tuple[str, Fault | None]:
    present: dict[str, str] = {}
    for raw_key, raw_value in labels:
        if raw_value is None:
            continue
        try:
            key, value = raw_key.decode(), raw_value.decode()
        except UnicodeDecodeError:
            return "", Fault(
                "labels", f"label {shown(raw_key)}={shown(raw_value)} is not valid UTF-8; labels are UTF-8 text: re-encode it"
            )
        fault = _label_fault(key, value, present)
        if fault is not None:
            return "", fault
        present[key] = value
    if not present:
        return metric, None
    inner = ",".join(f'{key}="{_escaped(present[key])}"' for key in sorted(present))
    text = f"{metric}{{{inner}}}"
    size, limit = len(text.encode()), max_bytes("metric")
    if size > limit:
        return "", Fault(
            "labels", f"metric with labels {shown(text)} has {size} bytes; at most {limit} are allowed: drop or shorten labels"
        )
    return text, None


def _label_fault(key: str, value: str, present: Mapping[str, str]) -> Fault | None:
    if not key or not _KEY_RESERVED.isdisjoint(key):
        return Fault(
            "labels", f'label key {shown(key)} is empty or contains one of {{}}=",; it cannot be folded into a name: rename it'
        )
    if key in present:
        return Fault("labels", f"label key {shown(key)} appears twice; a key has one value: drop one")
    return text_fault(key, "labels") or text_fault(value, "labels")


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')
