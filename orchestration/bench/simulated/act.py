"""`aiops bench act`: simulated incidents that are acted on, beside doing nothing and one who knows cause and kind.

Alerts of a simple rule on the simulator's metrics; correlation, root cause, matching, planning, bounds, execution and judgement
are the product's, the runbooks its library. A simulated operator approves each plan after two minutes. Each true incident has its
own course; runs of one seed are counted together by one run log.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np

from aiops.automation.limits import SuiteLimits
from aiops.automation.memory_ledger import MemoryRunLedger
from aiops.automation.run import RunState, StepState
from aiops.automation.runbook_text import VersionedRunbook, read_runbook
from aiops.simulator.incident_course import Course
from aiops.simulator.simulate import Simulation
from aiops.simulator.simulated_action import SimulatedAction, SimulatedActionKind
from orchestration.bench.simulated.act_figures import (
    FAST_KINDS,
    NOTHING,
    ActFigures,
    IncidentResult,
    RunResult,
    bounds_exceeded,
    harm_ratio,
    kind_figures,
    ratio_of,
)
from orchestration.bench.simulated.act_incidents import OpenedIncident, course_at, explained, opened_incidents
from orchestration.bench.simulated.act_runs import APPROVES_AFTER, OPERATOR, Acted, Clock, Proposed, carried_out, proposed
from orchestration.bench.simulated.act_world import SimulatedWorld, world_of
from orchestration.simulated_actions.acted_world import ActedWorld

FIRST_SEED: Final = 4001
SEEDS: Final = 40
LOOKS_MIN: Final = (0, 2, 5, 10)
"""Minutes after it opened at which an incident is explained, until a runbook fits."""
_CURES: Final[dict[str, tuple[SimulatedActionKind, float]]] = {
    "memory_leak": ("restart", 1.0 / 3.0),
    "connection_exhaustion": ("recycle", 1.0),
    "disk_fill": ("free_disk", 0.9),
    "slow_dependency": ("weight", 0.0),
    "traffic_surge": ("replicas", 12.0),
}


@dataclass(slots=True)
class _Case:
    """A true incident, or a false alarm (`course` None), with the world as it has become through its runs."""

    course: Course | None
    alert_at: datetime
    acted: ActedWorld
    clock: Clock
    runs: list[RunResult] = field(default_factory=list)
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class ActConfig:
    """Seeds that are scored; nothing is fitted to any."""

    seeds: int = SEEDS
    first_seed: int = FIRST_SEED
    library: Path = Path("serving/automation/library")


def run(config: ActConfig, say: Callable[[str], None]) -> ActFigures:
    """Act on the incidents of each seed with the library's runbooks and return what came of it."""
    runbooks = [read_runbook(path.read_text(encoding="utf-8"), path.name) for path in sorted(config.library.glob("*.yaml"))]
    incidents: list[IncidentResult] = []
    runs: list[RunResult] = []
    repeated = 0
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        world = world_of(seed)
        cases = _SeedRuns(world, runbooks, opened_incidents(world), MemoryRunLedger(SuiteLimits())).cases()
        incidents += [_result(world, case) for case in cases if case.course is not None]
        incidents += _unalerted(world, cases)
        runs += [run for case in cases for run in case.runs]
        say(f"seed {seed}: {len(cases)} alarms, {sum(len(case.runs) for case in cases)} plans")
    del repeated
    return _figures(config, incidents, runs)


@dataclass(frozen=True, slots=True, eq=False)
class _SeedRuns:
    """All that happens to the incidents of one seed: one run log counts the bounds of all its runs."""

    world: SimulatedWorld
    runbooks: Sequence[VersionedRunbook]
    opened: tuple[OpenedIncident, ...]
    ledger: MemoryRunLedger

    def cases(self) -> list[_Case]:
        """Act on each incident in the order in which they opened and return what came of each true one."""
        cases: dict[object, _Case] = {}
        for incident in self.opened:
            course = course_at(self.world, incident.opened_at)
            key = incident.incident_id if course is None else (course.incident.starts_s, course.incident.service)
            if key not in cases:
                clock = Clock(incident.opened_at)
                cases[key] = _Case(course, incident.opened_at, ActedWorld(self.world.simulation, clock), clock)
            if not cases[key].is_over:  # what opened later would not have, had the first run cured it
                self._act(incident, cases[key])
        return list(cases.values())

    def _act(self, incident: OpenedIncident, case: _Case) -> None:
        """Explain an incident again and again until a runbook fits, and carry its plan out."""
        for wait_min in LOOKS_MIN:
            case.clock.now = incident.opened_at + timedelta(minutes=wait_min)
            known = explained(self.world, self.opened, incident, case.clock.now)
            proposal = None if known is None else proposed(known, self.runbooks, case.acted, self.world)
            if known is None or proposal is None:
                continue
            before = case.acted.simulation
            ended = carried_out(proposal, known, case.acted, case.clock, self.ledger)
            case.runs.append(_run_result(self.world, case, proposal, ended, before))
            case.is_over = ended.planned.run.state is RunState.CURED
            return


def _run_result(world: SimulatedWorld, case: _Case, proposal: Proposed, ended: Acted, before: Simulation) -> RunResult:
    steps = [step for step in ended.planned.run.steps if step.state is not StepState.PENDING]
    root = "" if case.course is None else world.simulation.services[case.course.incident.service]
    added = _harm_min(ended.simulation, case) - _harm_min(before, case)
    return RunResult(
        NOTHING if case.course is None else case.course.incident.kind,
        proposal.plan.runbook,
        ended.planned.run.state,
        bool(steps),
        proposal.plan.subject.service != root,
        added,
        len(ended.simulation.actions) - len(before.actions),
        len(steps) + sum(step.state in (StepState.UNDONE, StepState.UNDO_FAILED) for step in steps),
        proposal.seconds,
        world.simulation.config.seed,
        proposal.plan.subject.service,
        next((event.at for event in ended.planned.run.events if event.state is RunState.ACTING), None),
        proposal.plan.terms.limits,
        _is_approved(ended),
    )


def _is_approved(ended: Acted) -> bool:
    """Return whether a person approved just this plan."""
    approval = ended.planned.run.approval
    return approval is not None and approval.by == OPERATOR and approval.fingerprint == ended.planned.plan.fingerprint


def _course_in(simulation: Simulation, course: Course) -> Course:
    return next(known for known in simulation.courses() if known.incident == course.incident)


def _harm_min(simulation: Simulation, case: _Case) -> float:
    if case.course is None:
        return 0.0
    return sum(harm.end_s - harm.start_s for harm in _course_in(simulation, case.course).harms()) / 60.0


def _result(world: SimulatedWorld, case: _Case) -> IncidentResult:
    assert case.course is not None
    start = world.simulation.config.start
    alert_s = (case.alert_at - start).total_seconds()
    alone = _after_alert(case.course, alert_s)
    acted = _after_alert(_course_in(case.acted.simulation, case.course), alert_s)
    oracle = _after_alert(_oracle(world, case), alert_s)
    cured = any(run.state is RunState.CURED and not run.wrong for run in case.runs)
    harm_alone = _harm_after(case.course, alert_s)
    harm_acted = _harm_after(_course_in(case.acted.simulation, case.course), alert_s)
    return IncidentResult(case.course.incident.kind, alone > 0, alone, acted, oracle, harm_alone, harm_acted, cured)


def _harm_after(course: Course, alert_s: float) -> float:
    return sum(max(0.0, harm.end_s - max(harm.start_s, alert_s)) for harm in course.harms()) / 60.0


def _after_alert(course: Course, alert_s: float) -> float:
    """Return the minutes from the alert to the last end of harm; 0 where there is none after it."""
    return max((harm.end_s - alert_s for harm in course.harms()), default=0.0) / 60.0 if course.harms() else 0.0


def _oracle(world: SimulatedWorld, case: _Case) -> Course:
    """Return the course under one who knows cause and kind, and needs as long for the approval."""
    assert case.course is not None
    incident, simulation = case.course.incident, world.simulation
    service, at = simulation.services[incident.service], case.alert_at + APPROVES_AFTER
    if incident.kind == "bad_deployment":
        cure: tuple[SimulatedActionKind, float] = ("version", simulation.standing(service, at).version - 1.0)
    else:
        cure = _CURES[incident.kind]
    return _course_in(simulation.after([SimulatedAction(at, service, *cure)]), case.course)


def _unalerted(world: SimulatedWorld, cases: Sequence[_Case]) -> list[IncidentResult]:
    known = {case.course.incident for case in cases if case.course is not None}
    missed = [course for course in world.simulation.courses() if not course.incident.is_gray and course.incident not in known]
    return [IncidentResult(course.incident.kind, False, 0.0, 0.0, 0.0, 0.0, 0.0, False) for course in missed]


def _figures(config: ActConfig, incidents: Sequence[IncidentResult], runs: Sequence[RunResult]) -> ActFigures:
    acted = [run for run in runs if run.acted]
    wrong = [run for run in acted if run.wrong]
    fast = [result for result in incidents if result.kind in FAST_KINDS and result.alerted]
    harmless = (RunState.UNDONE,)
    return ActFigures(
        len(incidents),
        sum(result.cured for result in incidents),
        _median([ratio_of(result) for result in fast]),
        _median([result.oracle_min / result.alone_min for result in fast]),
        harm_ratio(fast),
        round(len(wrong) / max(1, len(acted)), 4),
        sum(run.state not in harmless and run.harm_min > 0 for run in wrong),
        bounds_exceeded(runs),
        sum(not run.approved for run in acted),
        sum(run.actions > run.steps_ran for run in runs),
        round(float(np.quantile([run.plan_s for run in runs], 0.99)), 3) if runs else float("nan"),
        APPROVES_AFTER.total_seconds(),
        f"simulator seeds {config.first_seed} to {config.first_seed + config.seeds - 1}, 72 h each",
        kind_figures(incidents, runs),
    )


def _median(values: Sequence[float]) -> float:
    return round(float(np.median(values)), 3) if values else float("nan")
