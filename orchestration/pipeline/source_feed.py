"""A source published at its own pace: what a real application would send, from a simulator or a recording.

Run as `python -m orchestration.pipeline.source_feed --source simulate --speed 1`; `aiops up` starts it. Times are shifted so that
the replay begins now; a later start goes on where the last one ended and catches up with the clock first. At a speed above 1 the
story runs ahead of the wall clock: rows say themselves when they became available, and everything is judged by that.
"""

import argparse
import itertools
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from aiops.errors import AiopsError, SequenceConflict, Unavailable
from aiops.replay.history_split import of_replay
from aiops.settings.reading import read_settings
from aiops.settings.tree import Settings
from aiops.types import HistorySplit
from data_contracts.values.moments import moment_of_us
from orchestration.pipeline.live_feed import LiveFeed
from orchestration.pipeline.producer_names import producer_id_of
from orchestration.pipeline.request_feed import RequestFeed
from orchestration.pipeline.row_arrivals import arrival_times
from orchestration.pipeline.timeline import Timeline, shifted, timeline_of
from orchestration.workspace.source_choice import SourceChoice
from serving.host.full_disk import is_full
from serving.host.log_rate_limit import LineLimit
from serving.host.private_files import keep_private
from serving.ingest.producer import ProducerConfig, TelemetryProducer
from serving.ingest.signal_producer import SignalProducer
from serving.stream.broker import open_streams

RETRY_S = 1.0

log = logging.getLogger(__name__)
_lines = LineLimit(log)


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast: `speed` seconds of the source in one second, in batches of `every_s` seconds of wall time."""

    speed: float = 1.0
    every_s: float = 1.0

    @property
    def step(self) -> timedelta:
        """Return the time of the source that one batch covers, at least a millisecond."""
        return max(timedelta(seconds=self.every_s * self.speed), timedelta(milliseconds=1))


def slices(chunk: pa.Table, step: timedelta, fallback: datetime) -> Iterator[tuple[datetime, pa.Table]]:
    """Yield (end of the slice, its rows) of a chunk in time order; a chunk without readable times is due at `fallback`."""
    times = chunk["timestamp"]
    if not pa.types.is_timestamp(times.type) or times.null_count == len(times):
        yield fallback, chunk
        return
    step_us = step // timedelta(microseconds=1)
    slot = arrival_times(times) // step_us
    edges = np.flatnonzero(np.diff(slot, prepend=slot[:1] - 1))
    for begin, end in itertools.pairwise([*edges.tolist(), len(slot)]):
        yield moment_of_us(int(slot[begin] + 1) * step_us), chunk.slice(begin, end - begin)


class Feed:
    """Publishes the replay part of a source from where its timeline stands."""

    def __init__(self, settings: Settings, choice: SourceChoice, pace: Pace, stop: threading.Event) -> None:
        self._home = settings.root
        self._pace = pace
        self._stop = stop
        self._source = choice.open()
        self._split: HistorySplit = self._source.split()
        self._line = timeline_of(
            settings.root, " ".join(choice.arguments()), self._split, datetime.now(UTC), settings.telemetry.step_s
        )
        producer_id, broker = producer_id_of(choice, settings.tenant), open_streams(settings)
        config = ProducerConfig(tenant=settings.tenant, future_tolerance_s=settings.telemetry.future_tolerance_s)
        self._producer = TelemetryProducer(broker, settings.broker.partitions, producer_id, config)
        self._sequence = 0
        signals = SignalProducer(broker, settings.broker.partitions, f"{producer_id}-requests", settings.tenant)
        self._requests = RequestFeed(self._source, signals, self._split, self._line.position)
        self._anchor = (datetime.now(UTC), self._line.position)
        incidents = sorted(self._source.incidents().to_pylist(), key=lambda row: row["known_at"])
        self._incidents = [row for row in incidents if row["known_at"] >= self._line.position]
        self.points = 0

    @property
    def timeline(self) -> Timeline:
        """Return how far the source has been published."""
        return self._line

    def run(self) -> int:
        """Publish until the source ends or `stop` is set; return the points published."""
        begin = self._line.position
        behind = min(self._anchor[0], begin + self._line.replay_shift(self._split))
        self._anchor = (behind, begin)
        for chunk in self._source.batches(begin, self._split.replay_end):
            for end, rows in slices(of_replay(chunk, self._split), self._pace.step, self._line.position):
                if not self._wait_until_due(end):
                    return self.points
                self._publish(end, rows)
        return self.points

    def _wait_until_due(self, end: datetime) -> bool:
        wall, position = self._anchor
        due = wall + (end - position) / self._pace.speed
        return not self._stop.wait(max(0.0, (due - datetime.now(UTC)).total_seconds()))

    def _publish(self, end: datetime, rows: pa.Table) -> None:
        shift = self._line.replay_shift(self._split)
        available = max(datetime.now(UTC), end + shift, self._line.newest)
        while self._incidents and self._incidents[0]["known_at"] <= end:
            incident = self._incidents.pop(0)
            self._patiently(partial(self._producer.publish_incident, incident["service"], incident["known_at"] + shift))
        moved = shifted(rows, shift)
        self._patiently(lambda sequence: self._producer.publish(moved, sequence, available))
        self._patiently_requests(end, shift, available)
        self.points += rows.num_rows
        self._line = self._line.at(end, self._split)
        try:
            self._line.save(self._home)
        except OSError as error:
            if not is_full(error):
                raise
            _lines.warn("room", f"no room on the disk to note how far the story has come ({error.strerror}); it goes on")

    def _patiently_requests(self, end: datetime, shift: timedelta, available: datetime) -> None:
        while not self._stop.is_set():
            try:
                self._requests.publish(end, shift, available)
            except Unavailable as error:
                log.warning("log lines and spans wait for the broker: %s", error)
                self._stop.wait(RETRY_S)
                continue
            return

    def _patiently(self, send: Callable[[int], int]) -> None:
        """Call `send` with the next source offset until the broker takes it; the same offset twice counts once.

        A number left by a batch that was cut differently is passed over: rows that came already are refused as duplicates.
        """
        while not self._stop.is_set():
            try:
                self._sequence = self._sequence or self._producer.resume_from()
                send(self._sequence)
            except Unavailable as error:
                log.warning("waiting for the broker: %s", error)
                self._stop.wait(RETRY_S)
                continue
            except SequenceConflict as error:
                self._sequence = self._producer.unused()
                log.warning("the batch is sent as %d: %s", self._sequence, error)
                continue
            self._sequence += 1
            return


def main() -> None:
    """Feed until the source ends or SIGTERM."""
    keep_private()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="simulate")
    parser.add_argument("--path", type=Path, default=None)
    parser.add_argument("--set", action="append", default=[], dest="options")
    parser.add_argument("--speed", type=float, default=1.0)
    arguments = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    choice = SourceChoice(arguments.source, arguments.path, tuple(arguments.options))
    try:
        if choice.follows:
            LiveFeed(read_settings(), choice, stop).run()
            return
        feed = Feed(read_settings(), choice, Pace(arguments.speed), stop)
        log.info("from %s on, published as %s", feed.timeline.position, feed.timeline.newest)
        feed.run()
    except AiopsError as error:
        log.error("%s", error)
        sys.exit(error.exit_code)
    if not stop.is_set():
        log.info("the source has ended after %d points; nothing more comes", feed.points)
        stop.wait()


if __name__ == "__main__":
    main()
