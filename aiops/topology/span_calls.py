"""Spans of traces → calls between services: a span whose parent belongs to another service is a call, counted with its times.

Columnar and in bounded memory: spans come in blocks, and a parent is looked for in its child's block, the one before and the one
after. What then has no parent is an orphan: its parent was not sampled, not exported, or lies further away.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import IntArray
from data_contracts.schemas.telemetry_schemas import TIMESTAMP

_TEXTS: Final = ("trace_id", "span_id", "parent_id", "service", "peer")
_SPAN_TYPES: Final[dict[str, pa.DataType]] = {**dict.fromkeys(_TEXTS, pa.string()), "at": TIMESTAMP}
SPANS: Final = pa.schema(_SPAN_TYPES)
"""Spans as they are looked through; no parent = a root. `peer` names whom a span called, where it says; `at` = its start."""
_SEEN_TYPES: Final[dict[str, pa.DataType]] = {
    "caller": pa.string(),
    "callee": pa.string(),
    "weight": pa.float64(),
    "first_at": TIMESTAMP,
    "last_at": TIMESTAMP,
}
_SEEN: Final = pa.schema(_SEEN_TYPES)
_NO_TIME: Final = np.iinfo(np.int64).min
_LATEST: Final = np.iinfo(np.int64).max
_ABSENT: Final = -1
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class SpanCounts:
    """Spans, and why some are no call: without an id or a service, repeated in a block, roots, orphans, within one service."""

    spans: int = 0
    unnamed: int = 0
    repeated: int = 0
    roots: int = 0
    orphans: int = 0
    within: int = 0
    calls: int = 0
    peers: int = 0


@dataclass(frozen=True, slots=True)
class TraceCalls:
    """Calls found: `seen` = caller, callee, weight (spans), first_at, last_at (null where no span has a time), by name."""

    seen: pa.Table
    counts: SpanCounts

    @property
    def last(self) -> datetime | None:
        """Return the time of the newest call; None where no span has a time."""
        return cast(datetime | None, pc.call_function("max", [self.seen["last_at"]]).as_py())


def calls_in(blocks: Iterable[pa.Table]) -> TraceCalls:
    """Return the calls among the spans of `blocks` (`SPANS`). Memory: two blocks and the calls.

    A span with a `peer` that no other service answered (a database, a service without tracing) is a call to that name.
    """
    finder = _CallFinder()
    for block in blocks:
        finder.add(block)
    return finder.finish()


@dataclass(frozen=True, slots=True)
class _Block:
    """Spans of one block. `waiting` = the parent is not known yet; `answered` = another service's span has it as parent."""

    key: "pa.Array[Any]"
    parent: "pa.Array[Any]"
    service: IntArray
    peer: IntArray
    at_us: IntArray
    waiting: Mask
    answered: Mask


@dataclass(slots=True)
class _CallFinder:
    counts: SpanCounts = field(default_factory=SpanCounts)
    _codes: dict[str, int] = field(default_factory=dict)
    _calls: dict[tuple[int, int], list[int]] = field(default_factory=dict)
    _before: _Block | None = None

    def add(self, spans: pa.Table) -> None:
        """Look through one block more."""
        current = self._read(spans)
        self._resolve(current, current)
        if self._before is not None:
            self._resolve(current, self._before)
            self._resolve(self._before, current)
            self._close(self._before)
        self._before = current

    def finish(self) -> TraceCalls:
        """Return what was found."""
        if self._before is not None:
            self._close(self._before)
            self._before = None
        names = list(self._codes)
        rows = [
            {
                "caller": names[caller],
                "callee": names[callee],
                "weight": float(count),
                "first_at": None if last == _NO_TIME else first,
                "last_at": None if last == _NO_TIME else last,
            }
            for (caller, callee), (count, first, last) in self._calls.items()
        ]
        rows.sort(key=lambda row: (row["caller"], row["callee"]))
        return TraceCalls(pa.Table.from_pylist(rows, _SEEN), self.counts)

    def _read(self, spans: pa.Table) -> _Block:
        """Return the block of those spans that have ids and a service, each once."""
        self.counts.spans += spans.num_rows
        columns = {name: _text(spans[name]) for name in _TEXTS}
        named = _all([_filled(columns[name]) for name in ("trace_id", "span_id", "service")])
        key = _joined(columns["trace_id"], columns["span_id"])
        first = np.asarray(pc.index_in(key, value_set=key)) == np.arange(len(key))
        kept = named & first
        self.counts.unnamed += int((~named).sum())
        self.counts.repeated += int((named & ~first).sum())
        chosen = pa.array(kept)
        child = _filled(columns["parent_id"])[kept]
        self.counts.roots += int((~child).sum())
        at = spans["at"].combine_chunks().cast(pa.int64()).fill_null(_NO_TIME)
        parent = _joined(columns["trace_id"], columns["parent_id"]).filter(chosen)
        service, peer = (self._coded(columns[name].filter(chosen)) for name in ("service", "peer"))
        return _Block(key.filter(chosen), parent, service, peer, np.asarray(at)[kept], child, np.zeros(len(child), np.bool_))

    def _coded(self, names: "pa.Array[Any]") -> IntArray:
        encoded: Any = names.dictionary_encode()
        codes = [self._codes.setdefault(name, len(self._codes)) if name else _ABSENT for name in encoded.dictionary.to_pylist()]
        table = np.array([*codes, _ABSENT], np.int64)
        return cast(IntArray, table[np.asarray(encoded.indices.cast(pa.int64()).fill_null(len(codes)))])

    def _resolve(self, child: _Block, parent: _Block) -> None:
        """Find parents of waiting spans in a block and count those of another service."""
        rows = np.flatnonzero(child.waiting)
        if not len(rows):
            return
        parent_rows = pc.index_in(child.parent.take(rows), value_set=parent.key).cast(pa.int64()).fill_null(_ABSENT)
        above: IntArray = np.asarray(parent_rows)
        rows, above = rows[above != _ABSENT], above[above != _ABSENT]
        child.waiting[rows] = False
        crossing = parent.service[above] != child.service[rows]
        self.counts.within += int((~crossing).sum())
        self.counts.calls += int(crossing.sum())
        rows, above = rows[crossing], above[crossing]
        parent.answered[above] = True
        self._count(parent.service[above], child.service[rows], child.at_us[rows])

    def _close(self, block: _Block) -> None:
        """Give up on parents that did not come, and take the word of spans that nobody answered."""
        self.counts.orphans += int(block.waiting.sum())
        alone = ~block.answered & (block.peer != _ABSENT) & (block.peer != block.service)
        self.counts.peers += int(alone.sum())
        self._count(block.service[alone], block.peer[alone], block.at_us[alone])

    def _count(self, caller: IntArray, callee: IntArray, at_us: IntArray) -> None:
        pairs, place, counts = np.unique(caller << 32 | callee, return_inverse=True, return_counts=True)
        first, last = np.full(len(pairs), _LATEST), np.full(len(pairs), _NO_TIME)
        np.minimum.at(first, place, np.where(at_us == _NO_TIME, _LATEST, at_us))
        np.maximum.at(last, place, at_us)
        for pair, count, begin, end in zip(pairs.tolist(), counts.tolist(), first.tolist(), last.tolist(), strict=True):
            known = self._calls.setdefault((pair >> 32, pair & 0xFFFFFFFF), [0, _LATEST, _NO_TIME])
            known[:] = [known[0] + count, min(known[1], begin), max(known[2], end)]


def _text(column: "pa.ChunkedArray[Any]") -> "pa.Array[Any]":
    return column.combine_chunks().cast(pa.string())


def _joined(trace: "pa.Array[Any]", span: "pa.Array[Any]") -> "pa.Array[Any]":
    """Return one key a span; null where either id is."""
    return cast("pa.Array[Any]", pc.call_function("binary_join_element_wise", [trace, span, pa.scalar("/")]))


def _filled(column: "pa.Array[Any]") -> Mask:
    """Return (n,) bool: neither null nor empty."""
    return np.asarray(pc.call_function("binary_length", [column]).fill_null(0)) > 0


def _all(masks: list[Mask]) -> Mask:
    return cast(Mask, np.logical_and.reduce(masks))
