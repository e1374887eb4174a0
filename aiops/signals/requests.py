"""Spans and log lines → requests: what one service did for one call, and the patterns that it left.

A request is a span whose parent is of another service (or is not there) and all spans of the service below it. Its patterns: each
two log templates that follow each other, begin and end included; each service that it called; whether it failed. Lines find their
request by trace and span; a line repeated at the same time in the same span counts once; lines of no span are counted.
"""

from dataclasses import dataclass
from typing import Final, Literal, cast, get_args

import numpy as np
import pyarrow as pa

from aiops.signals.entry_kernels import entries_of, slots_of
from aiops.signals.id_kernels import key_pairs
from aiops.signals.span_rows import CLIENT, CONSUMER, UNKNOWN, Names, SpanColumns, SpanNames, read_spans
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.telemetry_schemas import TIMESTAMP

_LINE_TYPES: Final[dict[str, pa.DataType]] = {
    "timestamp": TIMESTAMP,
    "trace_id": pa.string(),
    "span_id": pa.string(),
    "template": pa.string(),
}
LOG_LINES: Final = pa.schema(_LINE_TYPES)
"""Log lines as requests need them."""
PatternKind = Literal["order", "call", "failure"]
KINDS: Final[tuple[PatternKind, ...]] = get_args(PatternKind)
EDGE: Final = "(begin or end)"
_BITS: Final = 30


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a request may show: for "order" two templates, the second after the first; for "call" the callee."""

    kind: PatternKind
    first: str
    second: str


@dataclass(frozen=True, slots=True, eq=False)
class Requests:
    """Requests (n,): code of service, operation and caller (-1 = none is known), start, seconds of its own (its length less
    that of its calls; NaN where these are longer) and between both ends of its call (NaN = only one is measured).

    `shown_by`, `shown` (m,): each pattern of each request once, as number of the request and of the pattern.
    """

    service: IntArray
    operation: IntArray
    caller: IntArray
    start_us: IntArray
    own_s: FloatArray
    gap_s: FloatArray
    shown_by: IntArray
    shown: IntArray
    patterns: tuple[Pattern, ...]
    names: SpanNames
    unplaced: int
    """Lines of no span that is there."""


@dataclass(frozen=True, slots=True, eq=False)
class _Lines:
    """Lines (n,) that have a request: its number, when, code of the template."""

    request: IntArray
    at_us: IntArray
    template: IntArray
    unplaced: int


def requests_of(spans: pa.Table, lines: pa.Table) -> Requests:
    """Return the requests of spans (`SPAN_ROWS`) and lines (`LOG_LINES`) that are all there. O((spans + lines) x log)."""
    names, templates = SpanNames(), Names(1 << 20)
    columns = read_spans(spans, names).columns
    trees = _Trees.of(columns)
    read = _placed(lines, columns.key, trees.request, templates)
    called, caller = trees.called, trees.request[trees.above[trees.called]]
    length_s = (columns.end_us - columns.start_us) / 1e6
    ends = trees.caller_end(columns)
    waited = np.bincount(caller, length_s[np.where(ends, trees.above[called], called)], len(trees.heads))
    own_s, gap_s = length_s[trees.heads] - waited, np.full(len(trees.heads), np.nan)
    gap = length_s[trees.above[called]] - length_s[called]
    gap_s[trees.request[called]] = np.where(ends & (gap >= 0), gap, np.nan)
    callers = np.full(len(trees.heads), -1, np.int64)
    callers[trees.request[called]] = columns.service[trees.above[called]]
    failures = np.unique(trees.request[columns.failed & (trees.request >= 0)])
    shown_by, shown, patterns = _distinct(
        [
            _ordered(read),
            _Shown.of(1, caller, columns.service[called]),
            _Shown.of(2, failures, np.zeros(len(failures), np.int64)),
        ],
        templates,
        names,
    )
    return Requests(
        columns.service[trees.heads].astype(np.int64),
        columns.operation[trees.heads].astype(np.int64),
        callers,
        columns.start_us[trees.heads],
        np.where(own_s >= 0, own_s, np.nan),
        gap_s,
        shown_by,
        shown,
        patterns,
        names,
        read.unplaced,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Trees:
    """Where spans (n,) hang: `above` = slot of the parent or -1, `request` = number of the request or -1 (a span repeated).

    `heads` = the first span of each request; `called` = those of them whose caller is there.
    """

    above: IntArray
    request: IntArray
    heads: IntArray
    called: IntArray

    @classmethod
    def of(cls, columns: SpanColumns) -> "_Trees":
        slots = np.arange(len(columns.key))
        above = slots_of(columns.key, columns.parent)
        entry = entries_of(above, columns.service.astype(np.int64))
        heads = np.flatnonzero((entry == slots) & (slots_of(columns.key, columns.key) == slots))
        number = np.full(len(slots), -1, np.int64)
        number[heads] = np.arange(len(heads))
        return cls(above, number[entry] if len(slots) else number, heads, heads[above[heads] >= 0])

    def caller_end(self, columns: SpanColumns) -> "np.typing.NDArray[np.bool_]":
        """Return of each called request whether its parent is the caller's end of this call alone."""
        above = self.above[self.called]
        alone = np.bincount(above, minlength=len(columns.key))[above] == 1
        client = (columns.kind[above] == UNKNOWN) | (columns.kind[above] == CLIENT)
        return cast("np.typing.NDArray[np.bool_]", client & (columns.kind[self.called] != CONSUMER) & alone)


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    """Patterns that requests show (m,): number of the request, kind, codes of both parts."""

    request: IntArray
    kind: int
    first: IntArray
    second: IntArray

    @classmethod
    def of(cls, kind: int, request: IntArray, first: "np.typing.NDArray[np.int32] | IntArray") -> "_Shown":
        return cls(request, kind, first.astype(np.int64), np.zeros(len(request), np.int64))


def _placed(lines: pa.Table, key: IntArray, request: IntArray, templates: Names) -> _Lines:
    slot = slots_of(key, key_pairs(lines["trace_id"], lines["span_id"]))
    at_us = np.asarray(lines["timestamp"].combine_chunks().cast(pa.int64()))
    place = np.where(slot >= 0, request[np.maximum(slot, 0)] if len(request) else -1, -1)
    kept = place >= 0
    code = templates.codes(lines["template"]).astype(np.int64)
    order = np.flatnonzero(kept)[np.lexsort((np.flatnonzero(kept), at_us[kept], place[kept]))]
    placed = _Lines(place[order], at_us[order], code[order], int((~kept).sum()))
    again = np.zeros(len(order), np.bool_)
    rows = np.lexsort((placed.template, placed.at_us, placed.request))
    same = [np.diff(column[rows]) == 0 for column in (placed.request, placed.at_us, placed.template)]
    again[rows[1:]] = np.logical_and.reduce(same) if len(rows) else same[0]
    return _Lines(placed.request[~again], placed.at_us[~again], placed.template[~again], placed.unplaced)


def _ordered(lines: _Lines) -> _Shown:
    """Return each two templates that follow each other in a request; its begin and end have code 0."""
    request, template = lines.request, lines.template
    starts = np.diff(request, prepend=-1) != 0
    ends = np.diff(request, append=-1) != 0
    before = np.where(starts, 0, np.roll(template, 1))
    after = np.concatenate([template, np.zeros(int(ends.sum()), np.int64)])
    return _Shown(np.concatenate([request, request[ends]]), 0, np.concatenate([before, template[ends]]), after)


def _distinct(parts: list[_Shown], templates: Names, names: SpanNames) -> tuple[IntArray, IntArray, tuple[Pattern, ...]]:
    """Return each pattern of each request once, and the patterns."""
    request = np.concatenate([part.request for part in parts])
    kind = np.concatenate([np.full(len(part.request), part.kind, np.int64) for part in parts])
    first, second = np.concatenate([part.first for part in parts]), np.concatenate([part.second for part in parts])
    codes, shown = np.unique((kind << 2 * _BITS) | (first << _BITS) | second, return_inverse=True)
    rows = np.unique(request * max(1, len(codes)) + shown)
    mask = (1 << _BITS) - 1
    texts = [EDGE, *templates.texts[1:]]
    patterns = []
    for code in codes.tolist():
        which, before, after = KINDS[code >> 2 * _BITS], code >> _BITS & mask, code & mask
        words = (
            (texts[before], texts[after]) if which == "order" else (names.services.texts[before] if which == "call" else "", "")
        )
        patterns.append(Pattern(which, *words))
    return rows // max(1, len(codes)), rows % max(1, len(codes)), tuple(patterns)
