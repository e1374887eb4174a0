"""What the run log takes and gives beside plans and runs: plain values, no SQL."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from aiops.automation.limits import SuiteLimits
from aiops.automation.memory_ledger import Application, unknown_application
from aiops.automation.run import RunState
from aiops.automation.run_ledger import PlannedRun
from aiops.incidents.incident import Incident
from serving.incidents.store.records import OutboxMessage


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which plans: all conditions that are given; `began` True = only those that have acted."""

    states: tuple[RunState, ...] = ()
    incident_id: str = ""
    runbook: str = ""
    service: str = ""
    began: bool = False


@dataclass(frozen=True, slots=True)
class LinkUse:
    """A link for an approval that is used: its id, for which plan and which fingerprint, and until when it holds."""

    link_id: str
    plan_id: str
    fingerprint: str
    expires_at: datetime


class PlanNotices(Protocol):
    """Says who is notified of what; it is asked in the transaction of the change. Pure."""

    def waiting(self, planned: PlannedRun, incident: Incident | None) -> Sequence[OutboxMessage]:
        """Return the notifications of a plan that waits for its approval, those of its escalation too."""
        ...


class NoNotices:
    """Notifies nobody."""

    def waiting(self, planned: PlannedRun, incident: Incident | None) -> Sequence[OutboxMessage]:
        """Return nothing."""
        del planned, incident
        return ()


@dataclass(frozen=True, slots=True)
class LedgerRules:
    """What a run log goes by: bounds of all runbooks together, the applications of services, who is notified."""

    limits: SuiteLimits
    application: Application = unknown_application
    notices: PlanNotices = field(default_factory=NoNotices)
