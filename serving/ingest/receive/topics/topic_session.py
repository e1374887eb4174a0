"""The share of one topic that this process reads, while the topic has a fixed number of partitions."""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aiops.errors import FencedError, Unavailable
from aiops.settings.topic_settings import TopicSettings
from serving.host.log_rate_limit import LineLimit
from serving.ingest.receive.topics.read_place import ReadPlace
from serving.ingest.receive.topics.topic_client import TopicClient
from serving.ingest.receive.topics.topic_intake import RunIntake
from serving.ingest.receive.topics.topic_messages import TopicFault
from serving.ingest.receive.topics.topic_metrics import TopicMetrics
from serving.ingest.topic_positions import TopicPlace, TopicPositions
from serving.stream.ownership.holdings import Holder, Holdings
from serving.stream.ownership.ownership import LeasedOwnership

POLLED: Final = 512
_IDLE_S: Final = 0.1
_BUSY_S: Final = 0.005
_RETRY_S: Final = 0.5
_LOOK_S: Final = 30.0
"""How often it is looked whether the topic has more partitions."""
_NOTE_S: Final = 2.0
_DRAIN_S: Final = 10.0
_STAGE: Final = "topic"

log = logging.getLogger(__name__)
_lines = LineLimit(log)


@dataclass(frozen=True, slots=True)
class TopicParts:
    """What a reader stands on. `share` says who shares so many partitions of the topic with this process; `finish` sends what a
    producer that may be dead left unsent up to a number of its own."""

    topic: TopicSettings
    client: TopicClient
    positions: TopicPositions
    intake: RunIntake
    metrics: TopicMetrics
    share: Callable[[str, int], LeasedOwnership]
    loop: asyncio.AbstractEventLoop
    finish: Callable[[str, int], None] = lambda _producer_id, _seq: None


class TopicSession:
    """Reads what `ownership` assigns; one thread has it."""

    def __init__(self, parts: TopicParts, ownership: LeasedOwnership) -> None:
        self._parts = parts
        self._ownership = ownership
        self._labels = (parts.topic.tenant, parts.topic.topic)
        self._holdings: Holdings[ReadPlace] = Holdings(ownership, Holder(_STAGE, self._take, self._give_up, self._forget))
        self._fetching: dict[int, ReadPlace] = {}

    def run(self, stop: threading.Event, grown: Callable[[], bool]) -> None:
        """Read until stopped, or until `grown`, which is asked now and then; then finish what is being taken."""
        looked = time.monotonic()
        while not stop.is_set():
            if time.monotonic() - looked >= _LOOK_S:
                looked = time.monotonic()
                if grown():
                    break
            self._round(stop)
        deadline = time.monotonic() + _DRAIN_S
        while any(place.busy for place in self._holdings.all_held()) and time.monotonic() < deadline:
            with suppress(Unavailable):
                self._holdings.work(self._settled)
            time.sleep(_BUSY_S)
        for place in self._holdings.all_held():
            self._forget(place.place.partition, place)
        self._holdings.end()

    def _round(self, stop: threading.Event) -> None:
        try:
            self._holdings.follow()
            self._fetch()
            self._holdings.work(self._advanced)
        except Unavailable as error:
            _lines.warn(self._parts.topic.topic, f"topic {self._parts.topic.topic} waits: {error}")
            stop.wait(_RETRY_S)

    def _fetch(self) -> None:
        """Fetch from the partitions that are ours, but of those that hold much no more for now."""
        places, client = self._holdings.items, self._parts.client
        if places != self._fetching:
            client.read_from({number: place.fetched_to for number, place in places.items()})
            self._fetching = dict(places)
        client.hold([number for number, place in places.items() if place.held])
        busy = any(place.busy for place in places.values())
        for message in client.poll(POLLED, _BUSY_S if busy else _IDLE_S):
            if isinstance(message, TopicFault):
                self._fault(message)
            elif message.partition in places:
                places[message.partition].add(message)

    def _advanced(self, place: ReadPlace) -> bool:
        """See to one partition: what became of its run, the next one, and where it stands."""
        self._settled(place)
        place.start(self._parts.intake, self._parts.loop)
        if time.monotonic() - place.noted_at >= _NOTE_S:
            self._note(place)
        return True

    def _settled(self, place: ReadPlace) -> bool:
        was_busy = place.busy
        taken = place.settle(self._parts.positions)
        if taken is not None:
            for outcome, count in zip(("read", "unreadable"), taken, strict=True):
                self._parts.metrics.messages.labels(*self._labels, outcome).inc(count)
        elif was_busy and not place.busy:
            self._parts.metrics.retries.labels(*self._labels).inc()
            _lines.warn(f"{place.place.topic} again", f"{place.place}: taken again soon: {place.problem}")
        return True

    def _note(self, place: ReadPlace) -> None:
        place.noted_at = time.monotonic()
        number = place.place.partition
        place.high = max(place.next_offset, self._parts.client.high(number))
        labels = (*self._labels, str(number))
        self._parts.metrics.lag.labels(*labels).set(place.high - place.next_offset)
        self._parts.metrics.held.labels(*labels).set(place.held)
        self._parts.positions.note(place.place, place.token, place.high)

    def _take(self, number: int) -> ReadPlace:
        """Take a partition over: from now on nobody else moves its position."""
        topic, positions, token = self._parts.topic, self._parts.positions, secrets.token_hex(8)
        place = TopicPlace(topic.topic, number)
        known, producer_id, seq = positions.claim(place, token, topic.tenant)
        if producer_id:
            self._parts.finish(producer_id, seq)
        low, high = self._parts.client.bounds(number)
        first = low if topic.start == "earliest" else high
        offset = first if known is None else self._reachable(place, known, low, high)
        try:
            if offset != known:
                positions.move(place, token, offset)
            positions.note(place, token, high)
        except FencedError as error:
            self._ownership.lose(number)
            raise Unavailable(f"{place}: another process took it meanwhile") from error
        log.info("%s is read from offset %d", place, offset)
        return ReadPlace(place, token, offset)

    def _reachable(self, place: TopicPlace, offset: int, low: int, high: int) -> int:
        """Return where to read on, where that is no longer there: what is lost is counted and said."""
        if low <= offset <= high:
            return offset
        if offset < low:
            self._parts.metrics.gone.labels(*self._labels).inc(low - offset)
            text = (
                f"{low - offset} messages from offset {offset} were removed before they were read; let the topic keep them longer"
            )
        else:
            text = f"offset {offset} lies beyond its end, {high}: the topic was made anew, and is read from its beginning"
        log.error("%s: %s", place, text)
        return low

    def _give_up(self, number: int, place: ReadPlace) -> bool:
        """Let a partition go once nothing of it is being taken."""
        with suppress(FencedError):
            self._settled(place)
            if place.busy:
                return False
        self._forget(number, place)
        return True

    def _forget(self, number: int, place: ReadPlace) -> None:
        for gauge in (self._parts.metrics.lag, self._parts.metrics.held):
            with suppress(KeyError):
                gauge.remove(*self._labels, str(number))

    def _fault(self, fault: TopicFault) -> None:
        place = self._holdings.items.get(fault.partition)
        if fault.gone and place is not None:
            place.fetched_to = self._reachable(place.place, place.fetched_to, *self._parts.client.bounds(fault.partition))
            self._fetching = {}
            return
        self._parts.metrics.faults.labels(*self._labels).inc()
        _lines.warn(f"{self._parts.topic.topic} fault", f"topic {self._parts.topic.topic}: the cluster says: {fault.text}")
