"""A followed source published as it goes on: each step what is new, exactly once, whatever is killed.

Run by `python -m orchestration.pipeline.source_feed` where the source is followed. It begins a little before the end of the
history that was learned from, so that tier 1 has seen enough when the present begins; the lake has those points once all the
same.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from aiops.errors import SequenceConflict, SourceError, Unavailable
from aiops.settings.tree import Settings
from orchestration.pipeline.live_start import live_start
from orchestration.pipeline.producer_names import producer_id_of
from orchestration.workspace.source_choice import SourceChoice
from serving.ingest.producer import ProducerConfig, TelemetryProducer
from serving.ingest.pull.prometheus_live import LivePrometheus, Polled, PullCursor
from serving.ingest.pull.pull_progress import Progress, ProgressStore
from serving.ingest.source_watch import SourceWatch
from serving.stream.broker import open_streams

WARM: Final = timedelta(hours=2)
"""How long before the end of the history it begins: what tier 1 needs to know what is usual, and its longest window."""
RETRY_S: Final = 1.0
SOURCE_RETRY_S: Final = 5.0

log = logging.getLogger(__name__)


class LiveFeed:
    """Publishes what a server has, from where its cursor stands, until stopped."""

    def __init__(self, settings: Settings, choice: SourceChoice, stop: threading.Event) -> None:
        self._stop = stop
        self._tenant = settings.tenant
        self._source: LivePrometheus = choice.open_live()
        self._begin = live_start(settings.root, choice, self._source.step_s, datetime.now(UTC))
        broker, producer_id = open_streams(settings), producer_id_of(choice, settings.tenant)
        config = ProducerConfig(tenant=settings.tenant, lasting=True, future_tolerance_s=settings.telemetry.future_tolerance_s)
        self._producer = TelemetryProducer(broker, settings.broker.partitions, producer_id, config)
        self._store = ProgressStore(broker, producer_id)
        self._watch = SourceWatch.of(settings)
        self._waits_s = settings.telemetry.lateness_s
        self._wrong = ""
        self.points = 0

    def run(self) -> int:
        """Publish until stopped; return the points published."""
        watching = threading.Thread(target=self._watch.run, args=(self._stop,), name="sources")
        watching.start()
        progress = self._patiently(self._resumed)
        while progress is not None and not self._stop.is_set():
            progress = self._step(progress)
        watching.join()
        try:
            self._producer.ends()
        except Unavailable as error:
            log.warning("the broker was not told that this feed ends: %s", error)
        self._source.close()
        return self.points

    def _resumed(self) -> Progress:
        """Return where to go on; what was written down before the last end is sent again first, under its numbers."""
        progress = self._store.load()
        if progress is None:
            cursor = PullCursor.at(self._begin - WARM, self._source.step_s)
            return Progress(cursor, self._producer.unused())
        self._producer.resume_from()
        return self._published(progress)

    def _step(self, progress: Progress) -> Progress | None:
        """Wait for the next instant, ask, write down, publish; return the progress after it, None where it was stopped."""
        if self._stop.wait(max(0.0, self._source.due_at_s(progress.cursor) - time.time())):
            return None
        try:
            polled = self._source.poll(progress.cursor, time.time())
        except SourceError as error:
            self._note(str(error))
            self._stop.wait(SOURCE_RETRY_S)
            return progress
        self._note("")
        self._watch.answered(self._tenant, self._source.address)
        after = progress.after(polled.cursor, polled.tables)
        if self._patiently(lambda: self._kept(after)) is None:
            return None
        published = self._patiently(lambda: self._published(after))
        if polled.caught_up:
            self._seen(polled)
        return published

    def _kept(self, progress: Progress) -> Progress:
        self._store.save(progress)
        return progress

    def _published(self, progress: Progress) -> Progress:
        """Send the batches of a progress under their numbers; where one is another batch's, the rest gets numbers of its own."""
        available, last = self._available(progress.cursor), len(progress.batches) - 1
        for number, batch in enumerate(progress.batches):
            complete_us = self._complete_us(progress.cursor) if number == last else 0
            try:
                added = self._producer.publish(batch, progress.seq + number, available, complete_us)
            except SequenceConflict as error:
                log.warning("points are sent under other numbers, what came already is refused as repeated: %s", error)
                later = Progress(progress.cursor, self._producer.unused(), progress.batches[number:])
                self._store.save(later)
                return self._published(later)
            self.points += batch.num_rows if added else 0
        return progress

    def _complete_us(self, cursor: PullCursor) -> int:
        """Return the event time up to which the server has given what it has: the newest instant, and what its tick waits."""
        return (cursor.position_s - cursor.step_s + self._waits_s) * 1_000_000 + 1

    def _available(self, cursor: PullCursor) -> datetime:
        """Return when points became available: now; those of the history when they happened, as the lake has them."""
        now, asked = datetime.now(UTC), datetime.fromtimestamp(cursor.position_s, UTC)
        return min(now, asked) if asked <= self._begin else now

    def _seen(self, polled: Polled) -> None:
        for service, newest_us in polled.newest_us.items():
            if service:
                self._watch.saw(self._tenant, service, newest_us, self._source.address)

    def _note(self, wrong: str) -> None:
        """Say once when the source does not answer, and once when it does again."""
        if wrong and not self._wrong:
            log.warning("the source cannot be asked and is tried again: %s", wrong)
        if self._wrong and not wrong:
            log.info("the source answers again")
        self._wrong = wrong

    def _patiently(self, send: Callable[[], Progress]) -> Progress | None:
        """Call `send` until the broker takes it; None where stopped before."""
        while not self._stop.is_set():
            try:
                return send()
            except Unavailable as error:
                log.warning("waiting for the broker: %s", error)
                self._stop.wait(RETRY_S)
        return None
