"""What tier 1 says of chosen series, for other systems: taken in after stage 1's commit, sent and shown by a thread beside it.

At most once: what a consumer has not sent when it is killed is not sent later. Memory is bounded: samples that wait for a
receiver that is away give way to newer ones, and are counted.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from aiops.detection.worst_point import JudgedPoints
from serving.host.log_rate_limit import LineLimit
from serving.stream.consumer.export.exported_series import EngineExport, ExportedSeries, ExportRules, NewSample, Room, Sample
from serving.stream.consumer.export.exposition import exposition
from serving.stream.consumer.export.remote_writer import Answer, Outcome
from serving.stream.consumer.export.write_request import SeriesSamples, WrittenSeries, written_series

if TYPE_CHECKING:
    from serving.stream.consumer.export.export_metrics import ExportMetrics

WAITING_PER_SERIES: Final = 60
"""Samples that wait at most, a series of `max_series`."""
_REQUEST_SAMPLES: Final = 400
"""Samples of watched series in one request: five numbers each."""
_BACKOFF_S: Final = (1.0, 60.0)

_lines = LineLimit(logging.getLogger(__name__))


class _Engine(NamedTuple):
    partition: int
    tenant: str


@dataclass(frozen=True, slots=True)
class ExportParts:
    """What an export works with; `write` sends one request, None = only the page is wanted."""

    rules: ExportRules
    every_s: float
    metrics: "ExportMetrics"
    beat: Callable[[], None]
    stop: threading.Event
    write: Callable[[Sequence[WrittenSeries]], Answer] | None = None
    clock: Callable[[], float] = time.monotonic


class FindingsExport:
    """Sends what was offered every `every_s` in a thread of its own until stopped, once more at the end."""

    def __init__(self, parts: ExportParts) -> None:
        self._parts = parts
        self._room = Room(parts.rules.max_series)
        self._engines: dict[_Engine, EngineExport] = {}
        self._lock = threading.Lock()
        self._waiting: deque[NewSample] = deque()
        self._most_waiting = parts.rules.max_series * WAITING_PER_SERIES
        self._not_before = 0.0
        self._backoff_s = _BACKOFF_S[0]

    def offer(self, partition: int, tenant: str, judged: Sequence[JudgedPoints]) -> None:
        """Take in committed points of one engine; returns at once."""
        if self._parts.rules.max_series == 0:
            return
        engine = _Engine(partition, tenant)
        if engine not in self._engines:
            made = EngineExport(tenant, self._parts.rules, self._room)
            self._engines = {**self._engines, engine: made}
        for points in judged:
            self._engines[engine].picker.offer(points)

    def forget(self, partition: int) -> None:
        """Export nothing more of a partition, which another process has; its places are for others. By the thread that offers."""
        with self._lock:
            gone = [export for engine, export in self._engines.items() if engine.partition == partition]
            self._engines = {engine: export for engine, export in self._engines.items() if engine.partition != partition}
            self._room.free += sum(len(export.held) for export in gone)

    def run(self) -> None:
        """Send until stopped."""
        while not self._parts.stop.wait(self._parts.every_s):
            self.flush()

    def flush(self) -> bool:
        """Take in what was offered and send it; return whether nothing waits any more."""
        self._parts.beat()
        self._collect()
        if self._parts.write is None:
            self._waiting.clear()
            return True
        while self._waiting and self._parts.clock() >= self._not_before:
            self._send(self._parts.write)
            self._parts.beat()
        return not self._waiting

    def page(self) -> bytes:
        """Return the newest point of every exported series in Prometheus' text format. Thread-safe."""
        with self._lock:
            return exposition([series for engine in self._engines.values() for series in engine.held.values()])

    def _collect(self) -> None:
        metrics = self._parts.metrics
        with self._lock:
            for engine in self._engines.values():
                self._waiting.extend(engine.collect())
        overflowed = sum(engine.picker.take_overflowed() for engine in self._engines.values())
        while len(self._waiting) > self._most_waiting:
            self._waiting.popleft()
            overflowed += 1
        metrics.samples.labels("overflowed").inc(overflowed)
        metrics.series.labels("exported").set(sum(len(engine.held) for engine in self._engines.values()))
        metrics.series.labels("left out").set(sum(engine.left_out for engine in self._engines.values()))

    def _send(self, write: Callable[[Sequence[WrittenSeries]], Answer]) -> None:
        """Send the oldest samples; those that may work later stay where they are."""
        batch = list(islice(self._waiting, _REQUEST_SAMPLES))
        newer = _in_order(batch)
        kept = sum(len(samples) for samples in newer.values())
        watched = [SeriesSamples(series.labels, samples) for series, samples in newer.items()]
        answer = write(written_series(watched)) if newer else _NOTHING
        if answer.outcome is Outcome.RETRY:
            wait_s = self._backoff_s if answer.wait_s is None else max(answer.wait_s, _BACKOFF_S[0])
            self._backoff_s = min(2 * self._backoff_s, _BACKOFF_S[1])
            self._not_before = self._parts.clock() + wait_s
            _lines.warn("retry", f"findings not sent, {len(self._waiting)} wait, next try in {wait_s:g} s: {answer.detail}")
            return
        self._backoff_s = _BACKOFF_S[0]
        for _ in batch:
            self._waiting.popleft()
        for series, samples in newer.items():
            series.sent_ms = samples[-1].timestamp_ms
        self._parts.metrics.samples.labels(answer.outcome.value).inc(kept)
        self._parts.metrics.samples.labels("late").inc(len(batch) - kept)
        if answer.outcome is Outcome.REFUSED:
            _lines.warn("refused", f"findings refused by the receiver, {kept} samples are dropped: {answer.detail}")


_NOTHING: Final = Answer(Outcome.WRITTEN, "nothing to send")


def _in_order(batch: Sequence[NewSample]) -> dict[ExportedSeries, list[Sample]]:
    """Return the samples by series, ascending by time, without those that are not after what was sent: receivers refuse these."""
    by_series: dict[ExportedSeries, list[Sample]] = {}
    for new in batch:
        if new.sample.timestamp_ms > new.series.sent_ms:
            by_series.setdefault(new.series, []).append(new.sample)
    for series, samples in by_series.items():
        newest = {sample.timestamp_ms: sample for sample in samples}
        by_series[series] = [newest[time_ms] for time_ms in sorted(newest)]
    return by_series
