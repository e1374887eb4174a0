"""Tests of runbooks: each is matched, planned, approved, carried out and judged by what the suite itself does it with.

Only the incident, the targets, the telemetry and the clock are made up. A trial is the same each time, reads nothing and reaches
nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from aiops.automation.fact_names import Facts
from aiops.automation.judgement import judge
from aiops.automation.limits import SuiteLimits
from aiops.automation.matching import match_of
from aiops.automation.memory_ledger import MemoryRunLedger
from aiops.automation.plan import Plan
from aiops.automation.planner import PlanningGround, PlanQuestion, plan_of, planned_again
from aiops.automation.run import Approval, RunState, StepState
from aiops.automation.run_ledger import PlannedRun
from aiops.automation.runbook import RunbookTest
from aiops.automation.runbook_text import VersionedRunbook
from aiops.automation.service_state import Judgement
from aiops.automation.step_tries import planned_step
from aiops.automation.trial.example_incident import GRAPH, example_facts
from aiops.automation.trial.memory_targets import MemoryKind, MemoryTargets, ProcessKilled, memory_actions
from aiops.automation.trial.trial_looks import looks_of
from aiops.errors import ContractError, RunRefused
from serving.automation.runner.bounded_calls import DirectCalls
from serving.automation.runner.run_executor import Advance, ExecutorParts, RunExecutor

START: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)
MOST_MOVES: Final = 2000
_APPROVER: Final = "somebody"
_CAME: Final = {
    RunState.CURED: "cured",
    RunState.UNDONE: "undone",
    RunState.REFUSED: "refused",
    RunState.UNCLEAR: "paged",
    RunState.UNDO_FAILED: "paged",
}


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came of one test of a runbook: `came` is one of the words of `expect`, or another one that none expects.

    `story`: what was done, or why nothing was, a line each.
    """

    runbook: str
    test: str
    case: str
    expected: str
    came: str
    passed: bool
    story: tuple[str, ...] = ()


def tried(runbook: VersionedRunbook, test: RunbookTest, kinds: Mapping[str, MemoryKind]) -> TrialResult:
    """Return what comes of a test; `kinds` = the actions that there are, as they behave in memory."""
    trial = _Trial(runbook, test, example_facts(test.facts), kinds)
    end = trial.run()
    return TrialResult(runbook.name, test.name, test.case, test.expect, end.came, end.came == test.expect, end.story)


@dataclass(frozen=True, slots=True)
class _End:
    came: str
    story: tuple[str, ...]


@dataclass(slots=True)
class _Trial:
    """One incident, from the match to the end of the run."""

    runbook: VersionedRunbook
    test: RunbookTest
    facts: Facts
    kinds: Mapping[str, MemoryKind]
    targets: MemoryTargets = field(default_factory=MemoryTargets)
    now: datetime = START

    def run(self) -> _End:
        """Return what came of it."""
        match = match_of(self.runbook, self.facts)
        if not match.fits:
            return _End("no-plan", tuple(part.sentence for part in match.failed))
        try:
            plan = plan_of(PlanQuestion(self.runbook, self.facts, self.now), self._ground())
        except ContractError as error:
            return _End("no-plan", (str(error),))
        if self.test.case == "no-match":
            return _End("planned", (f"it fits and would act on {', '.join(plan.services)}",))
        if not plan.is_possible:
            return _End("refused", tuple(f"{need.that}: {need.why}" for need in plan.needs if not need.holds))
        return self._carried_out(plan)

    def _carried_out(self, plan: Plan) -> _End:
        ledger = MemoryRunLedger(SuiteLimits())
        planned = ledger.propose(plan)
        approval = Approval(_APPROVER, self.now, plan.fingerprint, bound=True)
        try:
            planned = ledger.approve(plan.plan_id, approval, plan.terms.approve.role)
        except RunRefused as error:
            return _End("refused", (str(error),))
        if self.test.case == "changed":
            self.targets.disturb(plan.steps[0].target)
        self.targets.kills = self.test.case == "killed"
        planned = self._to_its_end(ledger, planned)
        return self._end(planned)

    def _to_its_end(self, ledger: MemoryRunLedger, planned: PlannedRun) -> PlannedRun:
        executor = self._executor(ledger)
        for _ in range(MOST_MOVES):
            try:
                advance = executor.advance(planned)
            except ProcessKilled:
                executor, advance = self._executor(ledger), Advance(ledger.get(planned.run.run_id), changed=True)
            planned = advance.planned
            if planned.run.has_ended:
                break
            if not advance.changed:
                self.now = max(self.now + timedelta(seconds=1), advance.until or self.now)
        return planned

    def _executor(self, ledger: MemoryRunLedger) -> RunExecutor:
        """Return a process that carries out runs; one that is killed is followed by another."""
        actions = memory_actions(self.kinds, self.targets)
        return RunExecutor(ExecutorParts(ledger, actions, self, self, judge, lambda: self.now, DirectCalls()))

    def anew(self, plan: Plan, at: datetime) -> Plan:
        """Return the plan as it would be made now."""
        return planned_again(plan, PlanQuestion(self.runbook, self.facts, at, plan.requested_by), self._ground())

    def of(self, planned: PlannedRun, at: datetime) -> Judgement:
        """Return how the services look in this case."""
        del at
        return looks_of(self.test.case, taken_back=planned.run.state is RunState.CHECKING)

    def _ground(self) -> PlanningGround:
        planners = {kind: action.planner for kind, action in memory_actions(self.kinds, self.targets).items()}
        return PlanningGround(planners, GRAPH)

    def _end(self, planned: PlannedRun) -> _End:
        story = tuple(event.what for event in planned.run.events)
        if not planned.run.has_ended:
            return _End("endless", story)
        wrong = tuple(self._wrong(planned))
        return _End("untrue" if wrong else _CAME.get(planned.run.state, str(planned.run.state)), (*story, *wrong))

    def _wrong(self, planned: PlannedRun) -> list[str]:
        """Return what the targets say against the run log: a step that ran twice, or is not as the log has it."""
        wanted = {StepState.DONE: 1, StepState.UNDONE: 2}
        counts = [(step, self.targets.changes.get(planned_step(planned, step.number).target, 0)) for step in planned.run.steps]
        return [
            f"step {step.number} is {step.state}, and its target was changed {count} times"
            for step, count in counts
            if step.state is not StepState.UNDO_FAILED and count != wanted.get(step.state, 0)
        ]
