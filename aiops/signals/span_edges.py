"""Spans → calls between services, per step and operation: rate, errors, latency at both ends, and the gap between the ends.

A span whose parent belongs to another service is a call. The parent is the caller's end where it is a client span; the child is
the callee's. Their gap, client less server duration, is the network's and the queues' share; only lengths are compared, so two
clocks that disagree do not matter. What cannot be known is counted and left out, never guessed:

- a parent that does not come within `wait_s` of event time: an orphan, whatever the order of batches;
- messages (producer, consumer), and calls that outlive their caller's span: no gap, the caller did not wait;
- a caller's span that is no client's, or that has called before: no latency of the caller's end.

Spans of one service are no call. Each call counts as many times as its sampling threshold says.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import ContractError
from aiops.signals.edge_summary import EdgeSamples, summary_of
from aiops.signals.span_arena import Forgotten, Pairs, SpanArena
from aiops.signals.span_pairs import calls_of
from aiops.signals.span_rows import SpanNames, read_spans

_NEVER: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """`step_s` of the rows. Spans wait `wait_s` of event time for their partner, at most `most_waiting` of them."""

    step_s: int = 60
    wait_s: float = 60.0
    most_waiting: int = 1 << 20

    def __post_init__(self) -> None:
        if self.step_s < 1 or self.wait_s < 0 or self.most_waiting < 4:
            raise ContractError(
                f"step_s={self.step_s}, wait_s={self.wait_s}, most_waiting={self.most_waiting}: give at least 1, 0 and 4"
            )


@dataclass(slots=True)
class EdgeCounts:
    """Where spans went. Each is unusable, repeated, a root, within a service, in a call, or an orphan in the end.

    Of calls: `messages`, `detached` (the callee outlived the caller's span), `skewed` (clocks disagree; the gap holds),
    `without_client` (the caller's end is no client span), `shared` (the caller's span called before), `late` (their step was
    closed). `unanswered`: client spans without a callee's span. `crowded`: spans that left early because too many waited.
    """

    spans: int = 0
    unusable: int = 0
    repeated: int = 0
    within: int = 0
    calls: int = 0
    messages: int = 0
    detached: int = 0
    skewed: int = 0
    without_client: int = 0
    shared: int = 0
    late: int = 0
    forgotten: Forgotten = field(default_factory=Forgotten)


@dataclass(slots=True)
class SpanEdges:
    """Calls of a stream of spans. Memory: `most_waiting` spans and the calls of open steps."""

    config: EdgeConfig = field(default_factory=EdgeConfig)
    counts: EdgeCounts = field(default_factory=EdgeCounts)
    names: SpanNames = field(default_factory=SpanNames)
    _arena: SpanArena = field(init=False)
    _open: list[EdgeSamples] = field(default_factory=list)
    _watermark_us: int = _NEVER
    _closed_us: int = _NEVER
    _forgot_us: int = _NEVER

    def __post_init__(self) -> None:
        self._arena = SpanArena(self.config.most_waiting)

    def add(self, spans: pa.Table) -> pa.Table:
        """Take in spans (`SPAN_ROWS`) and return the rows (`SPAN_EDGES`) of steps that are over, in order of step and names."""
        read = read_spans(spans, self.names)
        self.counts.spans += spans.num_rows
        self.counts.unusable += read.unusable
        columns, at = read.columns, 0
        while at < len(columns.key):
            if self._arena.room < max(1, self.config.most_waiting // 8):
                self._arena.forget(self._horizon(), self.counts.forgotten)
            part = columns.between(at, at + self._arena.room)
            self._note(self._arena.add(part))
            self._watermark_us = max(self._watermark_us, int(part.start_us.max()))
            at += len(part.key)
        self.counts.repeated = self._arena.repeated
        if self._horizon() > self._forgot_us + self.config.step_s * 1_000_000:
            self._forgot_us = self._horizon()
            self._arena.forget(self._forgot_us, self.counts.forgotten)
        return self._rows_before(self._horizon())

    def finish(self) -> pa.Table:
        """Return the rows of all steps that are left; nothing more comes."""
        self._arena.forget(np.iinfo(np.int64).max, self.counts.forgotten)
        return self._rows_before(np.iinfo(np.int64).max)

    def _horizon(self) -> int:
        wait_us = int(self.config.wait_s * 1_000_000)
        return self._watermark_us - wait_us if self._watermark_us != _NEVER else _NEVER

    def _note(self, pairs: Pairs) -> None:
        """Keep the calls among pairs of spans."""
        spans, counts = self._arena.columns, self.counts
        calls = calls_of(spans, pairs)
        counts.within += len(pairs.child) - len(calls.child)
        counts.calls += len(calls.child)
        counts.messages += int(calls.message.sum())
        counts.detached += int(calls.detached.sum())
        counts.shared += int(calls.shared.sum())
        counts.skewed += int(calls.skewed.sum())
        counts.without_client += int(calls.without_client.sum())
        late = spans.start_us[calls.above] < self._closed_us
        counts.late += int(late.sum())
        samples = EdgeSamples(
            spans.start_us[calls.above] // (self.config.step_s * 1_000_000),
            spans.service[calls.above],
            spans.service[calls.child],
            spans.operation[calls.child],
            spans.weight[calls.child],
            calls.failed,
            calls.client_us,
            calls.server_us,
        )
        self._open.append(samples.where(~late))

    def _rows_before(self, horizon_us: int) -> pa.Table:
        """Return the rows of steps that end by the horizon, and forget their calls."""
        step_us = self.config.step_s * 1_000_000
        end = max(horizon_us // step_us, self._closed_us // step_us if self._closed_us != _NEVER else _NEVER)
        if not self._open or (self._closed_us != _NEVER and end * step_us <= self._closed_us):
            return summary_of(EdgeSamples.of([]), self.config.step_s, self.names)
        samples = EdgeSamples.of(self._open)
        over = samples.step < end
        self._open = [samples.where(~over)]
        self._closed_us = min(end * step_us, np.iinfo(np.int64).max)
        return summary_of(samples.where(over), self.config.step_s, self.names)


def edges_of(spans: pa.Table, config: EdgeConfig | None = None) -> pa.Table:
    """Return the calls (`SPAN_EDGES`) of spans (`SPAN_ROWS`) that are all there."""
    stream = SpanEdges(config or EdgeConfig(most_waiting=max(4, spans.num_rows + 1)))
    return pa.concat_tables([stream.add(spans), stream.finish()])
