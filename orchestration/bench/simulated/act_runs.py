"""One incident from its explanation to the end of a run: planned, approved, carried out and judged by the product's rules.

Only who approves, the target and the clock are simulated.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.automation.fact_names import Facts, IncidentView
from aiops.automation.fact_values import callers_of, match_facts
from aiops.automation.judgement import judge
from aiops.automation.matching import matches
from aiops.automation.memory_ledger import MemoryRunLedger
from aiops.automation.plan import Plan
from aiops.automation.planner import PlanningGround, PlanQuestion, plan_of, planned_again
from aiops.automation.run import Approval
from aiops.automation.run_ledger import PlannedRun
from aiops.automation.runbook_text import VersionedRunbook
from aiops.automation.service_state import Judgement, ServiceState
from aiops.errors import ContractError, RunRefused
from aiops.simulator.simulate import Simulation
from data_contracts.values.moments import microseconds_of
from models.rca.grid import SeriesGrid
from models.rca.service_looks import LookedAt, service_state, well_services
from orchestration.bench.simulated.act_incidents import Explained
from orchestration.bench.simulated.rca_cases import lasting_loud
from orchestration.simulated_actions.acted_world import ActedWorld
from orchestration.simulated_actions.simulated_actions import simulated_actions
from serving.automation.runner.bounded_calls import DirectCalls
from serving.automation.runner.run_executor import ExecutorParts, RunExecutor

APPROVES_AFTER: Final = timedelta(seconds=120)
"""How long the simulated operator takes to say yes."""
OPERATOR: Final = "simulated operator"
_BEFORE: Final = timedelta(minutes=30)
_PAST: Final = timedelta(hours=9)
_LONGEST: Final = timedelta(hours=3)


class Clock:
    """A clock that stands until it is moved on."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


@dataclass(frozen=True, slots=True, eq=False)
class Proposed:
    """A plan for an explained incident: the runbook and the facts that it was made from, and how long making it took."""

    plan: Plan
    runbook: VersionedRunbook
    facts: Facts
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class Acted:
    """A run that has come to its end; `simulation` as it has become."""

    planned: PlannedRun
    simulation: Simulation


def proposed(
    explained: Explained, above: tuple[str, ...], runbooks: Sequence[VersionedRunbook], acted: ActedWorld
) -> Proposed | None:
    """Return the plan of the first runbook that fits and whose needs hold; None = there is none.

    `above`: callers of its cause that are the cause of an incident that opened before and goes on.
    """
    began = time.perf_counter()
    facts = match_facts(IncidentView(explained.incident, explained.report, explained.at, above))
    planners = {name: action.planner for name, action in simulated_actions(acted).items()}
    for match in matches(runbooks, facts):
        if not match.fits:
            continue
        ground = PlanningGround(planners, explained.ranker.graph, _state_now(explained, acted, match.service))
        try:
            plan = plan_of(PlanQuestion(match.runbook, facts, explained.at), ground)
        except ContractError:
            continue
        if plan.is_possible:
            return Proposed(plan, match.runbook, facts, time.perf_counter() - began)
    return None


def carried_out(proposal: Proposed, explained: Explained, acted: ActedWorld, clock: Clock, ledger: MemoryRunLedger) -> Acted:
    """Approve a plan after `APPROVES_AFTER`, carry it out, and judge it: to the end of its run."""
    planned = ledger.propose(proposal.plan)
    clock.now = explained.at + APPROVES_AFTER
    approved_at = clock.now
    approval = Approval(OPERATOR, clock.now, proposal.plan.fingerprint)
    try:
        planned = ledger.approve(planned.plan.plan_id, approval, "admin")
    except RunRefused:
        return Acted(ledger.get(planned.plan.plan_id), acted.simulation)
    actions = simulated_actions(acted)
    plans = _Plans(proposal, explained, acted)
    parts = ExecutorParts(ledger, actions, plans, _Looks(explained, acted), judge, clock, DirectCalls())
    executor = RunExecutor(parts)
    while not planned.run.has_ended and clock.now < approved_at + _LONGEST:
        advance = executor.advance(planned)
        planned = advance.planned
        if not advance.changed:
            clock.now = max(clock.now + timedelta(seconds=1), advance.until or clock.now)
    return Acted(planned, acted.simulation)


class _Plans:
    """Makes the plan anew from the same facts and what the world says now."""

    def __init__(self, proposal: Proposed, explained: Explained, acted: ActedWorld) -> None:
        self._proposal = proposal
        self._explained = explained
        self._acted = acted

    def anew(self, plan: Plan, at: datetime) -> Plan:
        """Return the plan as it would be made now."""
        planners = {name: action.planner for name, action in simulated_actions(self._acted).items()}
        graph = self._explained.ranker.graph
        ground = PlanningGround(planners, graph, _state_now(self._explained, self._acted, plan.subject.service))
        question = PlanQuestion(self._proposal.runbook, self._proposal.facts, at, plan.requested_by)
        return planned_again(plan, question, ground)


class _Looks:
    """Sees how services are, from the telemetry of the world as it has become."""

    def __init__(self, explained: Explained, acted: ActedWorld) -> None:
        self._explained = explained
        self._acted = acted

    def of(self, planned: PlannedRun, at: datetime) -> Judgement:
        """Return three looks at the services of a run."""
        explained, subject = self._explained, planned.plan.subject
        began = min(subject.began_at, explained.incident.opened_at)
        steps = [step.at for step in planned.run.steps if step.at is not None]
        acted_at = min(steps, default=at)
        settled = max(steps, default=at) + timedelta(seconds=planned.plan.terms.verify.settle)
        grid = grid_of(self._acted.simulation, began - _BEFORE, at)
        looked_at = LookedAt((subject.service, subject.symptom))
        before = service_state(_part(grid, began - _BEFORE, began - timedelta(minutes=10)), explained.ranker, looked_at)
        peak_window = _part(grid, began - timedelta(minutes=10), acted_at)
        firing = _firing(explained, explained.at)
        peak = service_state(peak_window, explained.ranker, replace(looked_at, alerts_firing=firing))
        well = well_services(peak_window, explained.ranker)
        now = firing_at(self._acted.simulation, at)
        own = {(entry.service, entry.name) for entry in explained.incident.alerts}
        spreads_to = callers_of(explained.ranker.graph, planned.plan.services)
        new = (frozenset(service for service, _ in now - own) & well).difference(explained.incident.services, spreads_to)
        after_window = _part(grid, settled, at + timedelta(seconds=1))
        after = service_state(after_window, explained.ranker, replace(looked_at, well=new, alerts_firing=len(now & own)))
        return Judgement(before, peak, after)


def _firing(explained: Explained, at: datetime) -> int:
    return sum(not entry.ended for entry in explained.incident.alerts if entry.first_seen <= at)


def firing_at(simulation: Simulation, at: datetime) -> frozenset[tuple[str, str]]:
    """Return the series (service, metric) whose alert fires at a time."""
    grid = grid_of(simulation, at - _PAST, at)
    firing = lasting_loud(grid)[-3:].any(axis=0)  # not quiet for three minutes since
    return frozenset(grid.series[column] for column in np.flatnonzero(firing).tolist())


def grid_of(simulation: Simulation, start: datetime, end: datetime) -> SeriesGrid:
    """Return the telemetry of a simulation from a time up to another, that time included."""
    return SeriesGrid.of(pa.concat_tables(list(simulation.telemetry(start, end + timedelta(seconds=1)))), 60)


def _part(grid: SeriesGrid, start: datetime, end: datetime) -> SeriesGrid:
    return grid.between(microseconds_of(start), microseconds_of(end))


def _state_now(explained: Explained, acted: ActedWorld, service: str) -> ServiceState:
    """Return how the service is now: by its last minutes."""
    at = explained.at
    window = grid_of(acted.simulation, at - timedelta(minutes=5), at)
    return service_state(window, explained.ranker, LookedAt((service,), (), _firing(explained, at)))
