"""A plan is a value: what a runbook would do for an incident, made by reading only, and the fingerprint that is approved."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from aiops.automation.action import PlannedStep
from aiops.automation.runbook import Approve, Earn, Escalate, Limits, Verify


@dataclass(frozen=True, slots=True)
class NeedCheck:
    """What a runbook needs, whether it held when the plan was made, and why it must."""

    that: str
    holds: bool
    why: str


@dataclass(frozen=True, slots=True)
class PlanSubject:
    """What a plan is for: `service` is acted on, ill since `began_at`; `probability` that the service is its cause."""

    incident_id: str
    service: str
    symptom: str
    began_at: datetime
    probability: float


@dataclass(frozen=True, slots=True)
class RunTerms:
    """What a runbook says of its runs, as it stood when the plan was made."""

    limits: Limits
    verify: Verify
    approve: Approve
    earn: Earn | None
    escalate: Escalate


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done. `reach`: services that call those acted on, directly or not; `expected`: the effect in words.

    `requested_by` asked for it: "suite", or a person. `plan_id` names this plan, `fingerprint` its content with the observed
    state: what is approved is the fingerprint.
    """

    plan_id: str
    runbook: str
    version: str
    title: str
    subject: PlanSubject
    made_at: datetime
    requested_by: str
    steps: tuple[PlannedStep, ...]
    needs: tuple[NeedCheck, ...]
    reach: tuple[str, ...]
    expected: str
    terms: RunTerms
    fingerprint: str

    @property
    def services(self) -> tuple[str, ...]:
        """Return the services acted on, sorted."""
        return tuple(sorted({step.service for step in self.steps}))

    @property
    def targets(self) -> tuple[str, ...]:
        """Return what is touched, sorted."""
        return tuple(sorted({step.target for step in self.steps}))

    @property
    def expires_at(self) -> datetime:
        """Return until when it may be approved."""
        return self.made_at + timedelta(seconds=self.terms.approve.expires)

    @property
    def is_possible(self) -> bool:
        """Return whether all that it needs held."""
        return all(need.holds for need in self.needs)


def fingerprint_of(version: str, subject: PlanSubject, steps: Sequence[PlannedStep], needs: Sequence[NeedCheck]) -> str:
    """Return 64 hexadecimal digits of what a plan would do and of the state that it was made from; not of when it was made."""
    return hashlib.sha256(msgspec.json.encode([version, subject, steps, needs], order="deterministic")).hexdigest()


def plan_id_of(incident_id: str, runbook: str, fingerprint: str, made_at: datetime) -> str:
    """Return the id of a plan: 20 hexadecimal digits."""
    content = "\x1f".join((incident_id, runbook, fingerprint, made_at.isoformat()))
    return hashlib.sha256(content.encode()).hexdigest()[:20]
