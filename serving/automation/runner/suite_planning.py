"""Plans by the runbooks of a folder, for incidents of one tenant. Only halves of actions that read are at hand."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiops.automation.action import ActionPlanner
from aiops.automation.fact_names import Facts, IncidentView
from aiops.automation.fact_values import callers_of, match_facts
from aiops.automation.matching import matches
from aiops.automation.plan import Plan
from aiops.automation.planner import PlanningGround, PlanQuestion, plan_of, planned_again
from aiops.automation.runbook_text import VersionedRunbook
from aiops.automation.service_state import ServiceState
from aiops.errors import ContractError
from aiops.incidents.incident import Incident, IncidentState
from aiops.topology.graph import ServiceGraph
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentCase, IncidentFilter, PageRequest

GOING_ON: Final = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED, IncidentState.MITIGATED)
MOST_OTHERS: Final = 50
"""Newest incidents whose causes are looked at."""
_STATE_FACTS = ("service.error_excess", "service.latency_excess", "service.alerts_firing", "service.points")


@dataclass(frozen=True, slots=True)
class PlanningParts:
    """What planning reads; `state` says how a service of an incident is now, and is asked only where a runbook needs it."""

    store: IncidentStore
    runbooks: Callable[[], Sequence[VersionedRunbook]]
    planners: Mapping[str, ActionPlanner]
    graph_at: Callable[[datetime], ServiceGraph]
    state: Callable[[IncidentCase, str, datetime], ServiceState | None]


class SuitePlanning:
    """Makes plans by reading only. Thread-safe as what it reads is."""

    def __init__(self, parts: PlanningParts) -> None:
        self._parts = parts

    def plan(self, case: IncidentCase, at: datetime) -> Plan | None:
        """Return the plan of the first runbook that fits and whose needs hold, else of the first that fits; None where none does.

        Raises:
            Unavailable: a target does not answer.
            ContractError: a runbook fits, and its action cannot be planned.
        """
        runbooks = self._parts.runbooks()
        if not runbooks:
            return None
        facts = self._facts(case, at)
        impossible: Plan | None = None
        for match in matches(runbooks, facts):
            if not match.fits:
                break
            plan = plan_of(PlanQuestion(match.runbook, facts, at), self._ground(match.runbook, case, match.service, at))
            if plan.is_possible:
                return plan
            impossible = impossible or plan
        return impossible

    def anew(self, plan: Plan, at: datetime) -> Plan:
        """Return a plan as it would be made now.

        Raises:
            Unavailable: a target does not answer.
            ContractError: its runbook or its incident is gone, or an action cannot be planned any more.
        """
        runbook = next((known for known in self._parts.runbooks() if known.name == plan.runbook), None)
        if runbook is None:
            raise ContractError(f"runbook={plan.runbook!r} is gone since the plan was made; put it back, or plan another one")
        case = self._parts.store.case(plan.subject.incident_id)
        facts = self._facts(case, at)
        ground = self._ground(runbook, case, plan.subject.service, at)
        return planned_again(plan, PlanQuestion(runbook, facts, at, plan.requested_by), ground)

    def _facts(self, case: IncidentCase, at: datetime) -> Facts:
        report = case.report
        above = () if report is None or not report.causes else self._above(case.incident, report.causes[0].service, at)
        return match_facts(IncidentView(case.incident, report, at, above))

    def _above(self, incident: Incident, service: str, at: datetime) -> tuple[str, ...]:
        """Return the causes of incidents that opened before and go on, as far as they call a service, directly or not."""
        callers = callers_of(self._parts.graph_at(at), [service])
        if not callers:
            return ()
        earlier = IncidentFilter(states=GOING_ON, until=incident.opened_at)
        others = self._parts.store.cases(earlier, PageRequest(MOST_OTHERS)).items
        reports = [
            self._parts.store.case(other.incident_id).report for other in others if other.incident_id != incident.incident_id
        ]
        causes = {report.causes[0].service for report in reports if report is not None and report.causes}
        return tuple(name for name in callers if name in causes)

    def _ground(self, runbook: VersionedRunbook, case: IncidentCase, service: str, at: datetime) -> PlanningGround:
        parts = self._parts
        asked = any(fact in need.that for need in runbook.runbook.needs for fact in _STATE_FACTS)
        state = parts.state(case, service, at) if asked else None
        return PlanningGround(parts.planners, parts.graph_at(at), state)
