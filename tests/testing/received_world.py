"""A small world that receivers send: totals, gauges, classic and whole histograms of six services, with all their faults."""

import math
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import numpy as np

from aiops.errors import Unavailable
from aiops.settings.tree import Settings
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.values.moments import microseconds_of
from serving.ingest.producer_sequence import Appended, EncodedEntry, EntryBatch, ProducerSequence
from serving.stream import streams
from serving.stream.broker import connect
from serving.stream.partitioning import partitions_of
from tests.testing.raw_rows import (
    SECOND,
    STALE,
    Raw,
    Sample,
    classic,
    definition_entry,
    raw,
    received_entry,
)
from tests.testing.stream_harness import PRODUCER, SERVICES, START, Batch, PartitionEntries

STEP_S = 10
ROUNDS = 12
SPIKE_US = 80 * SECOND
"""Long enough to be an alarm: tier 1 does not take a moment for one."""
BOUNDS = (0.1, 1.0, math.inf)
WHOLE_BOUNDS = (1.0, 2.0, 4.0, 8.0)
_STRANGER = raw("nobody_defined_me", "value")


def received_batches(count: int, partitions: int, seed: int = 5) -> list[Batch]:
    """Return `count` batches of two minutes each, the last one the end; every series goes to its partition."""
    rng = np.random.default_rng(seed)
    series = _all_series()
    meeting = np.array([each.key.series_id if each.family is None else each.family for each in series], np.int64)
    placed = partitions_of(meeting, partitions).tolist()
    worlds = {
        number: _World(rng, [each for each, place in zip(series, placed, strict=True) if place == number])
        for number in range(partitions)
    }
    made = []
    for seq in range(1, count):
        first = START + timedelta(seconds=STEP_S * ROUNDS * (seq - 1))
        parts = tuple(PartitionEntries(number, tuple(world.entries(seq, first))) for number, world in worlds.items())
        made.append(Batch(seq, first + timedelta(seconds=STEP_S * ROUNDS), received=parts))
    until = made[-1].available_at + timedelta(hours=1)
    note = f'{{"until_us": {microseconds_of(until)}}}'.encode()
    close = (EncodedEntry(DEFAULT_TENANT, streams.KIND_CLOSE, note),)
    made.append(Batch(count, until, received=tuple(PartitionEntries(number, close) for number in worlds)))
    return made


def _all_series() -> list[Raw]:
    series: list[Raw] = []
    for service in SERVICES:
        series += [raw("requests_total", "total", service), raw("latency_p99_ms", "value", service)]
        series += [*classic("rpc_seconds", BOUNDS, service), raw("size_bytes", "histogram", service)]
    return series


class _World:
    """The series of a partition and the totals that they have reached."""

    def __init__(self, rng: np.random.Generator, series: Sequence[Raw]) -> None:
        self._rng = rng
        self._series = series
        self._reached: dict[int, float] = {}
        self._spike_ends: dict[int, int] = {}

    def entries(self, seq: int, first: datetime) -> Iterator[EncodedEntry]:
        """Yield the entries of one batch: definitions at first and now and then, values cut anywhere, whole histograms."""
        if seq % 16 == 1 and self._series:
            yield _encoded(definition_entry(1, self._series, 0))
        values, histograms = [], []
        for number in range(ROUNDS):
            time_us = microseconds_of(first) + number * STEP_S * SECOND
            for each in self._series:
                (histograms if each.role == "histogram" else values).append(self._sample(each, time_us))
        self._disturb(values)
        cut = int(self._rng.integers(1, max(2, len(values) - 1)))
        for samples in (values[:cut], values[cut:], histograms):
            if samples:
                yield _encoded(received_entry(1, samples, 0))

    def _sample(self, each: Raw, time_us: int) -> Sample:
        key, draw = each.key.series_id, self._rng.random()
        if each.role == "value":
            if draw < 0.003:
                self._spike_ends[key] = time_us + SPIKE_US
            high = time_us < self._spike_ends.get(key, 0)
            return Sample(each, time_us, 200.0 * ((1.8 if high else 1.0) + 0.05 * self._rng.standard_normal()))
        if draw < 0.002:
            return Sample(each, time_us, STALE)
        burst = 20.0 if draw > 0.996 else 1.0
        grown = self._reached.get(key, 0.0) * (draw > 0.003) + float(self._rng.integers(5, 15)) * burst
        self._reached[key] = grown
        if each.role != "histogram":
            share = 1.0 if each.bound is None else min(1.0, 0.5 + each.bound / 4)
            return Sample(each, time_us, math.floor(grown * share))
        return Sample(
            each, time_us, grown, upper=WHOLE_BOUNDS, counts=tuple(math.floor(grown * part) for part in (0.1, 0.5, 0.3, 0.1))
        )

    def _disturb(self, values: list[Sample]) -> None:
        """Swap some neighbours, send some again, some far too late, some of a series that nobody defined."""
        for at in np.flatnonzero(self._rng.random(len(values)) < 0.02).tolist():
            other = min(len(values) - 1, at + int(self._rng.integers(1, 20)))
            values[at], values[other] = values[other], values[at]
        for at in np.flatnonzero(self._rng.random(len(values)) < 0.01).tolist():
            values.append(values[at])
        if values and self._rng.random() < 0.2:
            values += [
                Sample(values[0].series, values[0].time_us - 7_200 * SECOND, 1.0),
                Sample(_STRANGER, values[0].time_us, 1.0),
            ]


def _encoded(entry: streams.Entry) -> EncodedEntry:
    return EncodedEntry(DEFAULT_TENANT, entry.kind, entry.payload)


def publish_received(settings: Settings, sent: Sequence[Batch], pause_s: float = 0.0) -> None:
    """Send everything as a receiver does, which appends the same batch again after an outage."""
    sequence = ProducerSequence(streams.Streams(connect(settings)), PRODUCER)
    at = 0
    while at < len(sent):
        try:
            if _append(sequence, sent[at], settings.consumer.max_backlog):
                at += 1
                time.sleep(pause_s)
                continue
        except Unavailable:
            pass
        time.sleep(0.1)


def _append(sequence: ProducerSequence, batch: Batch, max_backlog: int) -> bool:
    """Append a batch to all its partitions; False = there was no room."""
    available_us = microseconds_of(batch.available_at)
    for part in batch.received:
        if not part.entries:
            continue
        stream, counter = streams.telemetry(part.partition), streams.entries(part.partition)
        whole = EntryBatch(stream, counter, batch.seq, available_us, part.entries)
        if sequence.append_batch(whole, max_backlog).outcome not in (Appended.NEW, Appended.REPEATED):
            return False
    sequence.done(batch.seq)
    return True
