"""What became of plans in a rehearsal: as lines to be read while it happens, and as a record for JSON and the report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from aiops.automation.run import RunState
from aiops.automation.run_ledger import PlannedRun


@dataclass(frozen=True, slots=True)
class ActedLine:
    """A line of the run log, in event time; `by` = who, "suite" = the suite itself."""

    at: datetime
    state: RunState
    what: str
    by: str


@dataclass(frozen=True, slots=True)
class ActedRun:
    """One plan and what became of it; `approved_by` "" = nobody approved it, `steps` = what each step was to change."""

    run_id: str
    incident_id: str
    service: str
    runbook: str
    title: str
    state: RunState
    approved_by: str
    steps: tuple[str, ...]
    lines: tuple[ActedLine, ...]

    @classmethod
    def of(cls, planned: PlannedRun) -> "ActedRun":
        """Return the record of a run as the run log has it."""
        plan, run = planned.plan, planned.run
        return cls(
            run.run_id,
            plan.subject.incident_id,
            plan.subject.service,
            plan.runbook,
            plan.title,
            run.state,
            "" if run.approval is None else run.approval.by,
            tuple(step.difference for step in plan.steps),
            tuple(ActedLine(event.at, event.state, event.what, event.by) for event in run.events),
        )

    @property
    def sentence(self) -> str:
        """Return in one sentence what became of it and why, in the words of the run log."""
        why = self.lines[-1].what if self.lines else "nothing is logged"
        if self.state is RunState.UNDONE:
            why = f"{next((line.what for line in self.lines if line.state is RunState.UNDOING), '')}; then {why}"
        approved = f"approved by {self.approved_by}" if self.approved_by else "not approved"
        return f"{self.runbook} on {self.service}, {approved}: {'; '.join(self.steps)}. {why} (`aiops runs show {self.run_id}`)"


def plan_lines(planned: PlannedRun) -> Iterator[str]:
    """Yield what a person reads before the decision: whom and what it is for, each step with its way back, who is touched."""
    plan, subject = planned.plan, planned.plan.subject
    cause = f"{subject.service} is the cause ({subject.probability:.0%}), it shows at {subject.symptom}"
    yield f"incident {subject.incident_id}: {cause}"
    yield f"plan {plan.plan_id}: {plan.title}"
    for step in plan.steps:
        yield f"  step {step.number}, {step.action}: {step.difference}; undo: {step.undo or 'none'}"
    yield f"  called by: {', '.join(plan.reach) or 'nobody'}; expected: {plan.expected}"


def missing_ends(runs: Sequence[ActedRun], expected: Sequence[RunState]) -> str:
    """Return which ends a rehearsal was to show and has not, and how the runs ended instead; "" = it has shown them all."""
    missing = [state for state in expected if state not in {run.state for run in runs}]
    if not missing:
        return ""
    ends = "; ".join(f"{run.runbook} on {run.service} is {run.state}: {run.sentence}" for run in runs)
    instead = f"What happened instead: {ends}" if runs else "No plan was made: no cause had a runbook that fits."
    return f"no run was {' and none was '.join(missing)}, which the story is to show. {instead}"
