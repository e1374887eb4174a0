"""One run in a small world, carried out to its end through any number of dying processes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from aiops.automation.run import Approval
from aiops.automation.run_ledger import PlannedRun
from aiops.automation.runbook import Verify
from aiops.automation.service_state import Finding
from serving.automation.runner.bounded_calls import Calls, DirectCalls
from serving.automation.runner.run_executor import ExecutorParts, RunExecutor
from tests.testing.automation_world import (
    NOON,
    FakeActions,
    FakeLedger,
    FakeTarget,
    FixedLooks,
    ProcessDied,
    SamePlan,
    plan_of,
    step_of,
)
from tests.testing.clocks import MovedClock

ROUNDS: Final = 200


@dataclass(slots=True)
class RunWorld:
    """A plan, its targets and how they behave."""

    targets: dict[int, FakeTarget]
    undoable: list[bool]
    retries: int
    verdicts: list[Finding]
    deaths: list[bool] = field(default_factory=list)
    ledger: FakeLedger = field(default_factory=FakeLedger)
    clock: MovedClock = field(default_factory=lambda: MovedClock(NOON))
    plans: SamePlan = field(default_factory=SamePlan)
    calls: Calls = field(default_factory=DirectCalls)

    def executor(self) -> RunExecutor:
        """Return a process that carries out runs."""
        self.ledger.dies = lambda: bool(self.deaths) and self.deaths.pop(0)
        verdicts = self.verdicts
        parts = ExecutorParts(
            self.ledger,
            {"fake": FakeActions(self.targets).action},
            self.plans,
            FixedLooks(),
            lambda verify, looks: verdicts[0] if len(verdicts) == 1 else verdicts.pop(0),
            self.clock,
            self.calls,
        )
        return RunExecutor(parts)

    def approved(self, verify: Verify | None = None) -> PlannedRun:
        """Return an approved run."""
        steps = [step_of(number, self.undoable[number - 1], self.retries) for number in sorted(self.targets)]
        planned = self.ledger.propose(plan_of(steps, verify))
        return self.ledger.approve(planned.plan.plan_id, Approval("alice", self.clock(), planned.plan.fingerprint), "operator")


def driven(world: RunWorld, planned: PlannedRun) -> Iterator[PlannedRun]:
    """Yield a run after each move until nothing more is to be done; processes that die are followed by new ones."""
    executor = world.executor()
    for _ in range(ROUNDS):
        try:
            advance = executor.advance(planned)
        except ProcessDied:
            executor, planned = world.executor(), world.ledger.get(planned.run.run_id)
            continue
        planned = advance.planned
        yield planned
        if planned.run.has_ended or (not advance.changed and advance.until is None):
            return
        if not advance.changed and advance.until is not None:
            world.clock.now = max(world.clock.now + timedelta(seconds=0.2), advance.until)
    raise AssertionError(f"the run goes on for ever: {planned.run}")
