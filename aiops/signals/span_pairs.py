"""Which pairs of spans are calls between services, and what of each call can be known."""

from dataclasses import dataclass

import numpy as np

from aiops.signals.span_arena import Pairs, Slots
from aiops.signals.span_rows import CLIENT, CONSUMER, PRODUCER, UNKNOWN, Mask, SpanColumns
from aiops.types import IntArray


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """Calls (n,): slots of the caller's and the callee's span, whether it failed, and which of these hold of it.

    `client_us` = length of the caller's end where that is known (`timed`), else -1; `server_us` of the callee's.
    `message`: producer or consumer. `detached`: the callee outlived the caller's span. `shared`: the caller's span called before.
    `skewed`: clocks disagree, lengths hold. `without_client`: the caller's end is no client span.
    """

    above: Slots
    child: Slots
    failed: Mask
    client_us: IntArray
    server_us: IntArray
    message: Mask
    detached: Mask
    shared: Mask
    skewed: Mask
    without_client: Mask

    @property
    def timed(self) -> Mask:
        """Return which calls are measured at both ends."""
        return self.client_us >= 0


def calls_of(spans: SpanColumns, pairs: Pairs) -> Calls:
    """Return the calls among pairs of spans; spans of one service are none."""
    crossing = spans.service[pairs.parent] != spans.service[pairs.child]
    above, child, order = pairs.parent[crossing], pairs.child[crossing], pairs.order[crossing]
    length, inner = (spans.end_us[slot] - spans.start_us[slot] for slot in (above, child))
    message = (spans.kind[child] == CONSUMER) | (spans.kind[above] == PRODUCER)
    caller_end = np.isin(spans.kind[above], (CLIENT, UNKNOWN)) & ~message
    outside = (spans.start_us[child] < spans.start_us[above]) | (spans.end_us[child] > spans.end_us[above])
    detached = caller_end & ((inner > length) | (spans.start_us[child] > spans.end_us[above]))
    shared = caller_end & ~detached & (order > 0)
    timed = caller_end & ~detached & ~shared
    return Calls(
        above,
        child,
        spans.failed[child] | (timed & spans.failed[above]),
        np.where(timed, length, -1),
        inner,
        message,
        detached,
        shared,
        timed & outside,
        ~caller_end & ~message,
    )
