"""The route of verdicts: what it would change, or what it changed."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from pydantic import Field
from starlette.responses import Response

from aiops.errors import ContractError
from aiops.incidents.feedback.verdict_effects import VerdictEffect, VerdictPreview
from aiops.incidents.verdict import Verdict, VerdictKind
from serving.http.auth import Role
from serving.http.guarded_route import By
from serving.http.operations import Operation, answer
from serving.http.problem import refused
from serving.incidents.api.incident_routes import case_of
from serving.incidents.api.request_fields import IncidentId, Sent, ShortText
from serving.incidents.api.tenant_parts import Parts
from serving.incidents.desk.verdict_draft import VerdictDraft

Preview = Annotated[bool, Query(description="only say what it would change, now and over the last days", examples=[True])]


class VerdictBody(Sent):
    """`right_cause` goes with wrong_cause, `duplicate_of` (an incident) with duplicate; `unrelated` services do not belong."""

    kind: VerdictKind
    """what the incident was"""
    right_cause: ShortText = Field("", examples=["payment-db"])
    """the service that began it; goes with wrong_cause"""
    duplicate_of: ShortText = ""
    """id of the incident that it repeats; goes with duplicate"""
    note: str = Field("", max_length=2000)
    """for people; it is kept with the verdict"""
    unrelated: list[ShortText] = Field([], max_length=200)
    """services of the incident that had nothing to do with it"""


@dataclass(frozen=True, slots=True)
class VerdictAnswer:
    """What a verdict changed (`applied`) or would change; `past` = what it would have changed over the last days."""

    applied: bool
    """whether it is in force now; false = only a preview"""
    verdict: Verdict
    """the verdict as it is kept, or would be"""
    effect: VerdictEffect
    """what it changes"""
    past: VerdictPreview | None
    """what it would have changed over the last days; null = no preview was asked for"""


class VerdictRoutes:
    """Takes verdicts on incidents."""

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        path, summary = "/incidents/{incident_id}/verdict", "Say what an incident was: labels, thresholds, priors follow"
        return (Operation("POST", path, self.judged, Role.OPERATOR, summary, VerdictAnswer, (404,)),)

    def judged(self, parts: Parts, incident_id: IncidentId, by: By, body: VerdictBody, preview: Preview = False) -> Response:
        """A later verdict on the same incident takes the place of the earlier one."""
        full_id = case_of(parts.store, incident_id).incident.incident_id
        words = (body.kind, body.right_cause, body.duplicate_of, body.note, tuple(body.unrelated))
        now = parts.now()
        try:
            verdict = parts.teaching.verdict(VerdictDraft(full_id, *words), now, by.subject)
            past = parts.teaching.preview(verdict, now) if preview else None
            effect = past.effect if past is not None else parts.teaching.apply(verdict)
        except ContractError as error:
            raise refused("body", "", str(error), "see /docs.json") from error
        return answer(VerdictAnswer(not preview, verdict, effect, past))
