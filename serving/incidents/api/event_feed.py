"""Live events over HTTP (server-sent events): one poll of the store serves all who watch, none of them holds a thread.

A stream ends with the service; who comes back with `Last-Event-ID` goes on where it stood, without loss or repetition.

Source: WHATWG HTML, section 9.2, Server-sent events. An event without data dispatches nothing but moves the last id.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool

from aiops.errors import AiopsError
from serving.host.log_rate_limit import LineLimit
from serving.http.problem import Problem, ProblemError
from serving.incidents.api.ports import ApiLimits, TenantParts, WatchedStore
from serving.incidents.store.records import StoreEvent

_logger = logging.getLogger(__name__)
_lines = LineLimit(_logger)
_KEPT: Final = 4096
_PAGE: Final = 500
_RETRY_MS: Final = 2000


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events a stream sends: of one incident, of incidents that touch a service, of some kinds; "" and () = all."""

    incident_id: str = ""
    service: str = ""
    kinds: tuple[str, ...] = ()

    def may_match(self, event: StoreEvent) -> bool:
        """Return whether an event passes as far as the event itself says; services are those of its incident."""
        if self.incident_id and event.incident_id != self.incident_id:
            return False
        if self.kinds and event.kind not in self.kinds:
            return False
        return bool(event.incident_id) or not self.service


class EventFeed:
    """The newest events of a tenant, for all its streams. Lives in one event loop; only `close` may be called from elsewhere."""

    def __init__(self, store: WatchedStore, limits: ApiLimits, watching: Callable[[], int] | None = None) -> None:
        """`watching` counts the streams that share the limit, None = this feed's."""
        self._store = store
        self._limits = limits
        self._ring: deque[StoreEvent] = deque(maxlen=_KEPT)
        self._touched: dict[str, tuple[int, frozenset[str]]] = {}
        self._head = -1
        self._news = asyncio.Event()
        self._watchers = 0
        self._watching = watching or (lambda: self.watchers)
        self._poller: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    @property
    def watchers(self) -> int:
        """Return how many streams are open."""
        return self._watchers

    def close(self) -> None:
        """End all streams; may be called from any thread, and more than once."""
        self._closed = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def admit(self) -> None:
        """Take in one more stream; `leave` gives its place back.

        Raises:
            ProblemError: 503, as many as may are there already, or the service is stopping.
        """
        most = self._limits.watchers
        if self._closed or self._watching() >= most:
            why = "the service is stopping" if self._closed else f"{most} watch already"
            raise ProblemError(
                Problem(503, "no-stream", f"events: {why}.", rule=f"at most {most} streams", fix="try again later")
            )
        self._watchers += 1

    def leave(self) -> None:
        """Give the place of a stream back."""
        self._watchers -= 1

    async def ended(self) -> None:
        """Wait until nobody asks the store any more; after `close`."""
        if self._poller is not None:
            await asyncio.wait({self._poller})

    async def stream(self, after: int | None, event_filter: EventFilter) -> AsyncIterator[bytes]:
        """Yield the frames of a stream: the events after `after` (None = from now on) that pass the filter, then as they come.

        An event "reset" says that what happened in between is not known any more: the events after the position are dropped
        already, or the store has not come so far (it is another one than before).
        """
        await self._follow()
        position = self._head if after is None else after
        yield f"retry: {_RETRY_MS}\nid: {position}\n\n".encode()
        if position > self._head and position > await run_in_threadpool(self._store.last_event_seq):
            position = self._head
            yield _reset(position)
        spoke = time.monotonic()
        while self._going():
            news = self._news
            events = await self._after(position)
            if events:
                if events[0].seq != position + 1:
                    yield _reset(events[0].seq - 1)
                position = events[-1].seq
                frames = b"".join([frame_of(event) for event in events if await self._wants(event_filter, event)])
                if frames:
                    spoke = time.monotonic()
                    yield frames
                continue
            silent_s = spoke + self._limits.heartbeat_s - time.monotonic()
            if silent_s <= 0:
                spoke = time.monotonic()
                yield f": alive\nid: {position}\n\n".encode()
                continue
            await _wait(news, silent_s)

    async def _after(self, position: int) -> list[StoreEvent]:
        """Return events after a position: from memory where it reaches back so far, else a page of the store."""
        if position >= self._head:
            return []
        if self._ring and position >= self._ring[0].seq - 1:
            start = position + 1 - self._ring[0].seq
            return list(islice(self._ring, start, start + _PAGE))
        return list(await run_in_threadpool(self._store.events_after, position, _PAGE))

    async def _wants(self, event_filter: EventFilter, event: StoreEvent) -> bool:
        if not event_filter.may_match(event):
            return False
        return not event_filter.service or event_filter.service in await self._services(event)

    async def _services(self, event: StoreEvent) -> frozenset[str]:
        """Return the services of an event's incident, as of the event or later; those last asked for are kept."""
        kept = self._touched.get(event.incident_id)
        if kept is not None and kept[0] >= event.seq:
            return kept[1]
        head = self._head
        try:
            case = await run_in_threadpool(self._store.case, event.incident_id)
        except AiopsError:
            return frozenset()
        self._touched.pop(event.incident_id, None)
        self._touched[event.incident_id] = (max(head, event.seq), frozenset(case.incident.services))
        if len(self._touched) > _KEPT:
            del self._touched[next(iter(self._touched))]
        return frozenset(case.incident.services)

    async def _follow(self) -> None:
        """Begin to ask the store, where nobody does yet."""
        if not self._going():
            self._loop = asyncio.get_running_loop()
            head = await run_in_threadpool(self._store.last_event_seq)
            if not self._going():
                self._ring.clear()
                self._head = head
                self._poller = asyncio.create_task(self._poll(), name="event feed")

    async def _poll(self) -> None:
        while self._watchers and not self._closed:
            try:
                events = await run_in_threadpool(self._store.events_after, self._head, _PAGE)
            except AiopsError as error:
                _lines.warn("store", f"events: {error}")
                events = ()
            if events:
                self._ring.extend(events)
                self._head = events[-1].seq
                self._wake()
            else:
                await asyncio.sleep(self._limits.poll_s)

    def _going(self) -> bool:
        return not self._closed and self._poller is not None and not self._poller.done()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class EventFeeds:
    """The feeds of all tenants that somebody has watched. Lives in one event loop; `close` and `watchers` from anywhere."""

    def __init__(self, limits: ApiLimits) -> None:
        self._limits = limits
        self._feeds: dict[str, EventFeed] = {}
        self._closed = False

    @property
    def watchers(self) -> int:
        """Return how many streams are open."""
        return sum(feed.watchers for feed in tuple(self._feeds.values()))

    def of(self, parts: TenantParts) -> EventFeed:
        """Return the feed of a tenant."""
        feed = self._feeds.get(parts.tenant)
        if feed is None:
            feed = self._feeds[parts.tenant] = EventFeed(parts.store, self._limits, lambda: self.watchers)
            if self._closed:
                feed.close()
        return feed

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for feed in tuple(self._feeds.values()):
            feed.close()

    async def ended(self) -> None:
        """Wait until nobody asks a store any more; after `close`."""
        for feed in tuple(self._feeds.values()):
            await feed.ended()


def frame_of(event: StoreEvent) -> bytes:
    """Return an event as it goes over the wire."""
    fields = {"at": event.at, "incident_id": event.incident_id, **event.data}
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.seq, event.kind.encode(), msgspec.json.encode(fields))


def _reset(position: int) -> bytes:
    return f"id: {position}\nevent: reset\ndata: {{}}\n\n".encode()


async def _wait(news: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(news.wait(), seconds)
    except TimeoutError:
        return
