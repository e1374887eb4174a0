"""Routes by which people act on incidents: acknowledge, mitigate, resolve, merge."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Body
from pydantic import Field
from starlette.responses import Response

from aiops.errors import ContractError
from aiops.incidents.incident import Incident, IncidentState
from serving.http.auth import Caller, Role
from serving.http.guarded_route import By
from serving.http.operations import Operation, answer
from serving.http.problem import conflict
from serving.incidents.api.incident_routes import case_of
from serving.incidents.api.ports import TenantParts
from serving.incidents.api.request_fields import PLAIN, IncidentId, Sent
from serving.incidents.api.response_making import view_of
from serving.incidents.api.response_types import IncidentView
from serving.incidents.api.tenant_parts import Parts


class Note(Sent):
    """Words that go with a change."""

    note: str = Field("", max_length=2000, description="goes into the audit log", examples=["rolled back cart 2.3.1"])


class MergeInto(Sent):
    """Where an incident goes on."""

    into: str = Field(min_length=1, max_length=80, pattern=PLAIN, description="id of the incident that it repeats")


NoteBody = Annotated[Note, Body(default_factory=Note)]


class IncidentActionRoutes:
    """Changes incidents of the tenant by a person's word."""

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        path = "/incidents/{incident_id}"
        return (
            _post(f"{path}/acknowledge", self.acknowledged, "Somebody works on it: it does not escalate any more"),
            _post(f"{path}/mitigate", self.mitigated, "Users are well again; the incident opens again when its alerts do"),
            _post(f"{path}/resolve", self.resolved, "It is over; what comes now opens another incident"),
            _post(f"{path}/merge", self.merged, "It repeats another incident and goes on there; that one is returned"),
        )

    def acknowledged(self, parts: Parts, incident_id: IncidentId, by: By, body: NoteBody) -> Response:
        """Return the incident as it is now."""
        return self._changed(parts, incident_id, IncidentState.ACKNOWLEDGED, by, body.note)

    def mitigated(self, parts: Parts, incident_id: IncidentId, by: By, body: NoteBody) -> Response:
        """Return the incident as it is now."""
        return self._changed(parts, incident_id, IncidentState.MITIGATED, by, body.note)

    def resolved(self, parts: Parts, incident_id: IncidentId, by: By, body: NoteBody) -> Response:
        """Return the incident as it is now."""
        return self._changed(parts, incident_id, IncidentState.RESOLVED, by, body.note)

    def merged(self, parts: Parts, incident_id: IncidentId, by: By, body: MergeInto) -> Response:
        """Return the incident that goes on."""
        other = case_of(parts.store, incident_id).incident
        into = case_of(parts.store, body.into).incident
        try:
            changed = parts.desk.merge(into.incident_id, other.incident_id, parts.now(), by.subject)
        except ContractError as error:
            raise conflict("into", body.into, str(error), "merge open incidents") from error
        return self._answer(parts, changed)

    def _changed(self, parts: TenantParts, incident_id: str, state: IncidentState, by: Caller, note: str) -> Response:
        current = case_of(parts.store, incident_id).incident
        try:
            changed = parts.desk.change(current.incident_id, state, parts.now(), by.subject, note)
        except ContractError as error:
            raise conflict("state", state, str(error), "look at the incident: somebody was faster") from error
        return self._answer(parts, changed)

    def _answer(self, parts: TenantParts, changed: Incident) -> Response:
        return answer(view_of(parts.store.case(changed.incident_id)))


def _post(path: str, endpoint: Callable[..., Response], summary: str) -> Operation:
    return Operation("POST", path, endpoint, Role.OPERATOR, summary, IncidentView, (404, 409))
