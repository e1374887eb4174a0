"""Routes that read incidents, their alerts, analyses and timelines, and what was held back."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from aiops.errors import ContractError
from aiops.incidents.alert import Severity
from aiops.incidents.incident import IncidentState
from serving.http.auth import Role
from serving.http.operations import Operation, answer
from serving.http.problem import not_found, refused
from serving.incidents.api.ports import CaseReader
from serving.incidents.api.request_fields import EXAMPLE, PLAIN, Cursor, IncidentId, Limit, Moment, Sent, ShortText
from serving.incidents.api.response_making import alerts_of_page, held_back_of, lines_of, timeline_of, view_of
from serving.incidents.api.response_types import (
    AlertPage,
    HeldBackList,
    IncidentPage,
    IncidentView,
    ReportList,
    SeverityName,
    Timeline,
)
from serving.incidents.api.tenant_parts import Parts
from serving.incidents.store.records import MOST_ITEMS, IncidentCase, IncidentFilter, PageRequest


class Listing(Sent):
    """Filters of a list of incidents; they add up. [since, until) is about the time of opening."""

    state: list[IncidentState] = Field(
        [], max_length=len(IncidentState), description="repeat it for several", examples=[["open"]]
    )
    service: list[ShortText] = Field([], max_length=50, description="touching one of these; repeat it", examples=[["cart"]])
    severity: SeverityName | None = Field(None, description="this severity or worse", examples=["warning"])
    since: Moment | None = Field(None, description="opened from this time on", examples=[EXAMPLE])
    until: Moment | None = Field(None, description="opened before this time", examples=[EXAMPLE])
    text: ShortText = Field("", description="part of an id, a service or an alert's name", examples=["latency"])
    limit: int = Field(50, ge=1, le=MOST_ITEMS, description="items of one page at most", examples=[50])
    cursor: str = Field("", max_length=500, pattern=PLAIN, description="`next_cursor` of the page before", examples=[""])

    def chosen(self) -> IncidentFilter:
        """Return the filter."""
        least = None if self.severity is None else Severity[self.severity.upper()]
        return IncidentFilter(tuple(self.state), tuple(self.service), least, self.since, self.until, self.text)


class IncidentRoutes:
    """Reads incidents of the tenant that asks."""

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        path = "/incidents/{incident_id}"
        see = Role.VIEWER
        return (
            Operation("GET", "/incidents", self.listed, see, "Incidents that fit all filters, the newest first", IncidentPage),
            Operation("GET", path, self.shown, see, "One incident with its newest analysis and verdicts", IncidentView, (404,)),
            Operation("GET", f"{path}/alerts", self.alerts, see, "Alerts of an incident, the newest first", AlertPage, (404,)),
            Operation("GET", f"{path}/root_cause", self.reports, see, "All analyses of an incident", ReportList, (404,)),
            Operation("GET", f"{path}/timeline", self.timeline, see, "What happened to an incident", Timeline, (404,)),
            Operation("GET", "/held-back", self.held_back, see, "Incidents whose page waits, the worst first", HeldBackList),
        )

    def listed(self, parts: Parts, listing: Annotated[Listing, Query()]) -> Response:
        """Pages stay complete while incidents are added: a cursor goes on after the last one shown."""
        incident_filter = listing.chosen()
        with good_cursor(listing.cursor):
            page = parts.store.cases(incident_filter, PageRequest(listing.limit, listing.cursor))
            glances = parts.store.glances([incident.incident_id for incident in page.items])
            return answer(lines_of(page, parts.store.case_count(incident_filter), glances))

    def shown(self, parts: Parts, incident_id: IncidentId) -> Response:
        """Everything that is known of it, but its single alerts."""
        return answer(view_of(case_of(parts.store, incident_id)))

    def alerts(self, parts: Parts, incident_id: IncidentId, limit: Limit = 50, cursor: Cursor = "") -> Response:
        """Each alert as it arrived, repetitions too."""
        full_id = case_of(parts.store, incident_id).incident.incident_id
        with good_cursor(cursor):
            return answer(alerts_of_page(parts.store.alerts(full_id, PageRequest(limit, cursor))))

    def reports(self, parts: Parts, incident_id: IncidentId) -> Response:
        """The newest first; none = it was not analysed yet."""
        full_id = case_of(parts.store, incident_id).incident.incident_id
        return answer(ReportList(parts.store.reports(full_id)[::-1]))

    def timeline(self, parts: Parts, incident_id: IncidentId) -> Response:
        """Changes of state, pages, analyses and verdicts in order of time."""
        case = case_of(parts.store, incident_id)
        return answer(timeline_of(case, parts.store.reports(case.incident.incident_id)))

    def held_back(self, parts: Parts) -> Response:
        """The hour's page budget is used up, or it is but a warning in a storm."""
        return answer(held_back_of(parts.store.held_back()))


def case_of(store: CaseReader, incident_id: str) -> IncidentCase:
    """Return an incident by its id or the unique beginning of it.

    Raises:
        ProblemError: 404, no incident or several begin like this.
    """
    try:
        return store.case(incident_id)
    except ContractError as error:
        raise not_found("incident_id", incident_id, "list them at /incidents", str(error)) from error


@contextmanager
def good_cursor(cursor: str) -> Iterator[None]:
    """Turn a cursor that the store does not know into a problem."""
    try:
        yield
    except ContractError as error:
        raise refused("cursor", cursor, "is not one that a page gave", "send next_cursor as it came, or none") from error
