"""Ends of spans that minutes count: servers' ends, and calls between services, in the order in which they were known."""

from dataclasses import dataclass

import numpy as np

from aiops.signals.span_arena import Pairs
from aiops.signals.span_pairs import calls_of
from aiops.signals.span_rows import CONSUMER, INTERNAL, SERVER, UNKNOWN, Mask, SpanColumns
from aiops.types import IntArray

_NONE = -1


@dataclass(frozen=True, slots=True, eq=False)
class SpanEnds:
    """Ends (n,): slot of the server's span, and of the caller's where it is a call (-1 = it is a server's end), whether it
    failed, length of both ends (-1 = not known), µs."""

    slot: IntArray
    above: IntArray
    failed: Mask
    client_us: IntArray
    server_us: IntArray

    def where(self, rows: "IntArray | Mask") -> "SpanEnds":
        """Return those at these rows."""
        return SpanEnds(self.slot[rows], self.above[rows], self.failed[rows], self.client_us[rows], self.server_us[rows])


def ends_of(spans: SpanColumns, first: int, pairs: Pairs, used: int) -> SpanEnds:
    """Return what spans `first` to `used` and the pairs that they complete give, in the order of the spans that completed it."""
    calls = calls_of(spans, pairs)
    unsaid = (spans.kind[:used] == UNKNOWN) | (spans.kind[:used] == INTERNAL)
    serving = (spans.kind[:used] == SERVER) | (spans.kind[:used] == CONSUMER) | (unsaid & (spans.parent[:used] == 0))
    arrived = first + np.flatnonzero(serving[first:] & (spans.key[first:used] != 0))
    called = unsaid[calls.child]
    child = calls.child.astype(np.int64)
    slot = np.concatenate([arrived, child[called], child])
    completed = np.maximum(calls.above, calls.child).astype(np.int64)
    order = np.argsort(np.concatenate([arrived, completed[called], completed]), kind="stable")
    lone = len(arrived) + int(called.sum())
    return SpanEnds(
        slot,
        np.concatenate([np.full(lone, _NONE, np.int64), calls.above.astype(np.int64)]),
        np.concatenate([spans.failed[slot[:lone]], calls.failed]),
        np.concatenate([np.full(lone, _NONE, np.int64), calls.client_us]),
        spans.end_us[slot] - spans.start_us[slot],
    ).where(order)
