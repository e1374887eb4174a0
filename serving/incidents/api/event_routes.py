"""The route of live events."""

from typing import Annotated, Final

from fastapi import Header, Query
from pydantic import Field
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from serving.http.auth import Role
from serving.http.operations import Operation
from serving.incidents.api.event_feed import EventFeed, EventFeeds, EventFilter
from serving.incidents.api.request_fields import Sent, ShortText
from serving.incidents.api.tenant_parts import Parts

EVENT_STREAM: Final = "text/event-stream"
_ID: Final = r"^[0-9]{0,18}$"


class Watch(Sent):
    """Which events; filters add up."""

    incident: ShortText = Field("", description="only events of this incident (its whole id)", examples=["inc-2c26b46b68ffc68f"])
    service: ShortText = Field("", description="only events of incidents that touch this service", examples=["cart"])
    kind: list[ShortText] = Field([], max_length=20, description="only these kinds; repeat it", examples=[["opened"]])
    after: str = Field(
        "", pattern=_ID, description="events after this id, like Last-Event-ID; none = from now on", examples=["17"]
    )


LastEventId = Annotated[
    str, Header(alias="last-event-id", pattern=_ID, description="id of the last event that was seen", examples=["17"])
]


class EventStream(StreamingResponse):
    """One client's stream; gives its place back whatever ends it."""

    def __init__(self, feed: EventFeed, after: int | None, event_filter: EventFilter) -> None:
        super().__init__(feed.stream(after, event_filter), media_type=EVENT_STREAM, headers={"x-accel-buffering": "no"})
        self._feed = feed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client leaves or the service stops."""
        self._feed.admit()
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._feed.leave()


class EventRoutes:
    """Lets clients watch what changes at their tenant."""

    def __init__(self, feeds: EventFeeds) -> None:
        self._feeds = feeds

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        summary = "What changes, live (server-sent events)"
        return (Operation("GET", "/events", self.watched, Role.VIEWER, summary, media=EVENT_STREAM),)

    async def watched(self, parts: Parts, watch: Annotated[Watch, Query()], last_event_id: LastEventId = "") -> EventStream:
        """Each event has an id, a kind and JSON; who comes back with the last id misses nothing and sees nothing twice."""
        last_id = last_event_id or watch.after
        event_filter = EventFilter(watch.incident, watch.service, tuple(watch.kind))
        return EventStream(self._feeds.of(parts), int(last_id) if last_id else None, event_filter)
