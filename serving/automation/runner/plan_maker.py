"""Plans for incidents whose cause is decided: once a service of an incident, as soon as the analysis is stored.

An incident that was mitigated and opens again is planned for once more, from the first analysis of the time since. It follows the
events of the incident store, and at its start looks at what is open; what is planned for is a note of the store.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Final, Protocol

from aiops.automation.plan import Plan
from aiops.automation.run_ledger import RunLedger
from aiops.errors import AiopsError, ContractError, Unavailable
from aiops.incidents.incident import Incident, IncidentState
from aiops.incidents.root_cause import RootCause, RootCauseReport
from serving.automation.runner.automation_metrics import TenantMetrics
from serving.host.log_rate_limit import LineLimit
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentCase, IncidentFilter, PageRequest

PLANNED: Final = "automation_planned"
"""Note of the store: what is planned for, as [incident, service, when it opened last], the newest last."""
MOST_PLANNED: Final = 500
_EVENTS: Final = 500
_DECIDED: Final = "root_cause"
_ACTED_ON: Final = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
_PAGE: Final = 100

log = logging.getLogger(__name__)
_lines = LineLimit(log)


class Planning(Protocol):
    """Makes plans by reading only."""

    def plan(self, case: IncidentCase, at: datetime) -> Plan | None:
        """Return what the first runbook that fits would do for an incident; None where none fits.

        Raises:
            Unavailable: something that it reads does not answer.
            ContractError: a runbook fits and cannot be planned, for example because its target is not configured.
        """
        ...

    def anew(self, plan: Plan, at: datetime) -> Plan:
        """Return the plan as it would be made now.

        Raises:
            Unavailable: something that it reads does not answer.
            ContractError: it cannot be made any more, for example because its runbook is gone.
        """
        ...


@dataclass(frozen=True, slots=True)
class PlanMakerParts:
    """What plans are made with; causes that are not decided are planned for from `least_probability` on."""

    store: IncidentStore
    ledger: RunLedger
    planning: Planning
    least_probability: float
    now: Callable[[], datetime]
    metrics: TenantMetrics


class PlanMaker:
    """Plans for one tenant, in one thread. Memory: the newest `MOST_PLANNED` services planned for, and what is due.

    What is due stays so until it is handled, whatever fails meanwhile.
    """

    def __init__(self, parts: PlanMakerParts) -> None:
        self._parts = parts
        self._seq: int | None = None
        self._planned: list[tuple[str, ...]] = []
        self._due: dict[str, None] = {}
        self._looked_s = time.monotonic()

    def look(self) -> int:
        """Plan for what has been decided since the last look; return how many plans were made.

        Raises:
            Unavailable: the store does not answer; call it again.
        """
        began_s, self._looked_s = self._looked_s, time.monotonic()
        made = 0
        self._read_decided()
        for incident_id in list(self._due):
            outcome = self._plan_for(incident_id)
            if outcome is not _Outcome.LATER:
                del self._due[incident_id]
            if outcome is _Outcome.PLANNED:
                self._parts.metrics.planned(time.monotonic() - began_s)
                made += 1
        return made

    def _read_decided(self) -> None:
        """Note as due what has been explained since the last look, at first all that is open."""
        store = self._parts.store
        if self._seq is None:
            self._planned = [tuple(map(str, planned)) for planned in store.noted(PLANNED) or ()]
            seq = store.last_event_seq()
            self._due |= dict.fromkeys(self._open_ids())
            self._seq = seq
        while events := store.events_after(self._seq, _EVENTS):
            self._due |= dict.fromkeys(event.incident_id for event in events if event.kind == _DECIDED)
            self._seq = events[-1].seq

    def _open_ids(self) -> Iterator[str]:
        cursor = ""
        while True:
            page = self._parts.store.cases(IncidentFilter(states=_ACTED_ON), PageRequest(_PAGE, cursor))
            yield from (summary.incident_id for summary in page.items)
            if not page.next_cursor:
                return
            cursor = page.next_cursor

    def _plan_for(self, incident_id: str) -> "_Outcome":
        parts = self._parts
        try:
            case = parts.store.case(incident_id)
        except ContractError:  # retention has dropped it
            return _Outcome.NOTHING
        cause = cause_to_act_on(case, parts.least_probability)
        if cause is None:
            return _Outcome.NOTHING
        planned = (incident_id, cause.service, opened_last(case.incident).isoformat())
        if planned in self._planned:
            return _Outcome.NOTHING
        try:
            plan = parts.planning.plan(case, parts.now())
            if plan is None:
                return _Outcome.NOTHING
            parts.ledger.propose(plan)
        except Unavailable as error:
            _lines.warn(incident_id, f"incident {incident_id} is planned for later: {error}")
            parts.metrics.failed()
            return _Outcome.LATER
        except AiopsError as error:
            _lines.warn(incident_id, f"incident {incident_id} cannot be planned for: {error}")
            parts.metrics.failed()
            return _Outcome.NOTHING
        log.info("plan %s: %s, for incident %s", plan.plan_id, plan.title, incident_id)
        self._remember(planned)
        return _Outcome.PLANNED

    def _remember(self, planned: tuple[str, ...]) -> None:
        remembered = [*self._planned, planned][-MOST_PLANNED:]
        with self._parts.store.writing() as writer:
            writer.note(PLANNED, remembered)
        self._planned = remembered


class _Outcome(Enum):
    """What has come of planning for an incident."""

    PLANNED = auto()
    NOTHING = auto()
    LATER = auto()
    """something did not answer"""


def cause_to_act_on(case: IncidentCase, least_probability: float) -> RootCause | None:
    """Return the cause that is planned for: decided, or probable enough, of an incident that nobody has ended.

    Of an incident that opened again, what was found before that says nothing of it now.
    """
    report: RootCauseReport | None = case.report
    if report is None or not report.causes or case.incident.state not in _ACTED_ON:
        return None
    opened = opened_last(case.incident)
    if case.incident.opened_at < opened and report.made_at < opened:
        return None
    return report.causes[0] if report.decided or report.causes[0].probability >= least_probability else None


def opened_last(incident: Incident) -> datetime:
    """Return when an incident opened, or opened again after it was mitigated."""
    opened = (event.at for event in incident.timeline if event.became is IncidentState.OPEN)
    return max(opened, default=incident.opened_at)
