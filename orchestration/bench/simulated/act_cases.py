"""What becomes of one simulated incident that is acted on: its harm alone, as acted on, and under one who knows all."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from aiops.automation.run import RunState, StepState
from aiops.simulator.incident_course import Course
from aiops.simulator.simulate import Simulation
from aiops.simulator.simulated_action import SimulatedAction, SimulatedActionKind
from orchestration.bench.simulated.act_figures import NOTHING, IncidentResult, RunResult
from orchestration.bench.simulated.act_runs import APPROVES_AFTER, OPERATOR, Acted, Clock, Proposed
from orchestration.simulated_actions.acted_world import ActedWorld

_CURES: Final[dict[str, tuple[SimulatedActionKind, float]]] = {
    "memory_leak": ("restart", 1.0 / 3.0),
    "connection_exhaustion": ("recycle", 1.0),
    "disk_fill": ("free_disk", 0.9),
    "slow_dependency": ("weight", 0.0),
    "traffic_surge": ("replicas", 12.0),
}


@dataclass(slots=True)
class ActCase:
    """A true incident, or a false alarm (`course` None), with the world as it has become through its runs."""

    simulation: Simulation
    course: Course | None
    alert_at: datetime
    acted: ActedWorld
    clock: Clock
    runs: list[RunResult] = field(default_factory=list)
    is_over: bool = False

    @property
    def root(self) -> str:
        """Return the service that began it, "" for a false alarm."""
        return "" if self.course is None else self.simulation.services[self.course.incident.service]

    def note(self, proposal: Proposed, ended: Acted, before: Simulation) -> None:
        """Take in a run that has ended; `before` = the world when it began."""
        run = ended.planned.run
        steps = [step for step in run.steps if step.state is not StepState.PENDING]
        undone = sum(step.state in (StepState.UNDONE, StepState.UNDO_FAILED) for step in steps)
        service = proposal.plan.subject.service
        self.runs.append(
            RunResult(
                kind=NOTHING if self.course is None else self.course.incident.kind,
                runbook=proposal.plan.runbook,
                state=run.state,
                acted=bool(steps),
                wrong=service != self.root,
                harm_min=self._harm_min(ended.simulation) - self._harm_min(before),
                actions=len(ended.simulation.actions) - len(before.actions),
                steps_ran=len(steps) + undone,
                plan_s=proposal.seconds,
                seed=self.simulation.config.seed,
                service=service,
                began_at=next((event.at for event in run.events if event.state is RunState.ACTING), None),
                limits=proposal.plan.terms.limits,
                approved=_is_approved(ended),
            )
        )
        self.is_over = run.state is RunState.CURED

    def result(self) -> IncidentResult:
        """Return what became of a true incident."""
        assert self.course is not None
        alert_s = (self.alert_at - self.simulation.config.start).total_seconds()
        acted = self._course_in(self.acted.simulation)
        return IncidentResult(
            kind=self.course.incident.kind,
            alerted=_ends_min(self.course, alert_s) > 0,
            alone_min=_ends_min(self.course, alert_s),
            acted_min=_ends_min(acted, alert_s),
            oracle_min=_ends_min(self._oracle(), alert_s),
            harm_alone_min=_harm_after(self.course, alert_s),
            harm_acted_min=_harm_after(acted, alert_s),
            cured=any(run.state is RunState.CURED and not run.wrong for run in self.runs),
        )

    def _course_in(self, simulation: Simulation) -> Course:
        assert self.course is not None
        return next(known for known in simulation.courses() if known.incident == self.course.incident)

    def _harm_min(self, simulation: Simulation) -> float:
        if self.course is None:
            return 0.0
        return sum(harm.end_s - harm.start_s for harm in self._course_in(simulation).harms()) / 60.0

    def _oracle(self) -> Course:
        """Return the course under one who knows cause and kind, and needs as long for the approval."""
        assert self.course is not None
        incident, at = self.course.incident, self.alert_at + APPROVES_AFTER
        if incident.kind == "bad_deployment":
            cure: tuple[SimulatedActionKind, float] = ("version", self.simulation.standing(self.root, at).version - 1.0)
        else:
            cure = _CURES[incident.kind]
        return self._course_in(self.simulation.after([SimulatedAction(at, self.root, *cure)]))


def _is_approved(ended: Acted) -> bool:
    """Return whether a person approved just this plan."""
    approval = ended.planned.run.approval
    return approval is not None and approval.by == OPERATOR and approval.fingerprint == ended.planned.plan.fingerprint


def _harm_after(course: Course, alert_s: float) -> float:
    return sum(max(0.0, harm.end_s - max(harm.start_s, alert_s)) for harm in course.harms()) / 60.0


def _ends_min(course: Course, alert_s: float) -> float:
    """Return the minutes from the alert to the last end of harm; 0 where there is none after it."""
    return max([0.0, *(harm.end_s - alert_s for harm in course.harms())]) / 60.0
