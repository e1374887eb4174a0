"""Routes of the call graph, as it is or was, and of what was done to services."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from aiops.errors import ContractError
from aiops.incidents.root_cause import ChangeEvent
from aiops.topology.graph import ServiceGraph
from serving.http.auth import Role
from serving.http.content import JSON
from serving.http.guarded_route import By
from serving.http.operations import Operation, answer
from serving.http.problem import refused
from serving.incidents.api.ports import TenantParts
from serving.incidents.api.request_fields import EXAMPLE, MOST_LISTED, Moment, Sent, ShortText
from serving.incidents.api.tenant_parts import Parts
from serving.ingest.pull.change_payload import changes_of_json

_RECENT: Final = timedelta(days=7)
_CHANGE: Final = {"service": "cart", "kind": "deployment", "what": "2.3.1", "at": EXAMPLE}
_CHANGES_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "One change, an array of them, or an event of GitHub's deployment webhooks.",
    "content": {
        JSON: {
            "schema": {
                "oneOf": [{"type": "object"}, {"type": "array", "items": {"type": "object"}}],
                "description": "service, and optionally at (RFC 3339; now), kind (deployment), what, source, change_id",
            },
            "examples": {"one": {"value": _CHANGE}},
        }
    },
}
At = Annotated[Moment | None, Query(description="as it was then; none = as it is", examples=[EXAMPLE])]
Learned = Annotated[bool, Query(description="with calls that were only learned from series that move together", examples=[False])]


@dataclass(frozen=True, slots=True)
class CallView:
    """One call. `origin` is the most trusted that says so: configuration, table, traces or learned."""

    caller: str
    """the service that calls"""
    callee: str
    """the service that is called"""
    origin: str | None
    """the most trusted that names the call: configuration, table, traces or learned; null = unknown"""
    weight: float | None
    """weight by its origin: calls seen, or strength of a learned call; null = not given"""


@dataclass(frozen=True, slots=True)
class GraphView:
    """The call graph at a time; `at` null = now."""

    at: datetime | None
    """the time of which it is; null = now"""
    services: tuple[str, ...]
    """names of all services"""
    calls: tuple[CallView, ...]
    """calls between them"""


@dataclass(frozen=True, slots=True)
class ChangeList:
    """What was done to services, the newest first; of one moment all. `more`: ask again with `until` = the time of the last."""

    items: tuple[ChangeEvent, ...]
    """the changes, the newest first"""
    more: bool
    """whether there are earlier ones: ask again with `until` = the time of the last"""


@dataclass(frozen=True, slots=True)
class RefusedChange:
    """Why the change with this number, from 1, was not taken."""

    number: int
    """place of the change in the request, from 1"""
    reason: str
    """why it was not taken, in words"""


@dataclass(frozen=True, slots=True)
class ChangesTaken:
    """How many changes were taken (one that is sent twice counts once), and which were refused while the others were taken."""

    accepted: int
    """changes that were taken"""
    change_ids: tuple[str, ...]
    """their ids, in order of the request"""
    refused: tuple[RefusedChange, ...]
    """changes that were not taken"""


class ChangeListing(Sent):
    """Which changes: [since, until), by default the last seven days."""

    service: list[ShortText] = Field([], max_length=50, description="of one of these; repeat it", examples=[["cart"]])
    since: Moment | None = Field(None, description="from this time on; none = seven days before until", examples=[EXAMPLE])
    until: Moment | None = Field(None, description="before this time; none = now", examples=[EXAMPLE])
    limit: int = Field(50, ge=1, le=MOST_LISTED, description="changes at most, but for more of the same moment", examples=[50])


class GraphRoutes:
    """Shows the call graph."""

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        return (Operation("GET", "/graph", self.graph, Role.VIEWER, "The call graph, as it is or was", GraphView),)

    def graph(self, parts: Parts, at: At = None, learned: Learned = True) -> Response:
        """Calls by caller and callee."""
        return answer(_graph_view(parts.graphs.graph(at, learned), at))


class ChangeRoutes:
    """What was done to services: deployments, configuration, scaling."""

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        summary = "Report changes: evidence for root causes"
        return (
            Operation("GET", "/changes", self.listed, Role.VIEWER, "What was done to services, the newest first", ChangeList),
            Operation("POST", "/changes", self.reported, Role.OPERATOR, summary, ChangesTaken, status=201, body=_CHANGES_BODY),
        )

    def listed(self, parts: Parts, listing: Annotated[ChangeListing, Query()]) -> Response:
        """Deployments, configuration, scaling and whatever else was reported."""
        until = listing.until or parts.now()
        since = listing.since or until - _RECENT
        if since >= until:
            raise refused("since", since.isoformat(), f"must be before until = {until.isoformat()}", "give an earlier time")
        events = parts.changes.read(tuple(listing.service) or None, since, until - timedelta(microseconds=1))
        least = events[-listing.limit :][0].at if events else until
        newest = tuple(event for event in events[::-1] if event.at >= least)
        return answer(ChangeList(newest, len(events) > len(newest)))

    async def reported(self, parts: Parts, request: Request, by: By) -> Response:
        """One that was reported before counts once; `at` is the time of arrival where it is not given."""
        body = await request.body()
        return await run_in_threadpool(self._kept, parts, body, by.subject)

    def _kept(self, parts: TenantParts, body: bytes, by: str) -> Response:
        try:
            read = changes_of_json(body, parts.now(), by)
        except ContractError as error:
            raise refused("body", "", str(error), "see /docs.json") from error
        wrong = tuple(RefusedChange(row.number, row.reason) for row in read.refused)
        if wrong and not read.events:
            raise refused("body", "", f"change {wrong[0].number}: {wrong[0].reason}", "see /docs.json")
        parts.changes.write(read.events)
        return answer(ChangesTaken(len(read.events), tuple(event.change_id for event in read.events), wrong), 201)


def _graph_view(graph: ServiceGraph, at: datetime | None) -> GraphView:
    calls = (CallView(*pair, graph.origin_of(*pair), graph.weight_of(*pair)) for pair in graph.calls())
    return GraphView(at, graph.services, tuple(calls))
