"""A process that carries out runs on targets in files, made to be killed at any moment, and what is wrong with what it left.

A target is a file of lines, one an effect, so that its state and how often it was changed are one thing. It does what it is told
whatever its state is: only who calls it can keep an effect from happening twice.
"""

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Protocol

from aiops.automation.action import Action, ActionRequest, Outcome, PlannedStep, Risk
from aiops.automation.limits import SuiteLimits
from aiops.automation.moves import Act, Probe
from aiops.automation.plan import Plan, PlanSubject, RunTerms, fingerprint_of, plan_id_of
from aiops.automation.run import Approval, RunState, StepState
from aiops.automation.run_ledger import PlannedRun, RunChange
from aiops.automation.runbook import Approve, Escalate, Limits, Verify
from aiops.automation.service_state import Finding, Judgement, Verdict
from aiops.automation.step_tries import planned_step, step_run
from serving.automation.ledger.run_records import LedgerRules, RunFilter
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.automation.runner.run_executor import Advance, ExecutorParts, RunExecutor
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import PageRequest
from tests.testing.automation_world import LOOKS, FixedLooks, SamePlan

KIND: Final = "slow.file"
AT_ONCE: Final = 4
"""Runs that may act at once; one more is tried now and then, so that the bound has something to refuse."""
SERVICES: Final = 100
TIMEOUT_S: Final = 1.0
SLOW_S: Final = (0.005, 0.04)
"""How long an effect takes to come, and then its answer."""


@dataclass(frozen=True, slots=True)
class FileTargets:
    """Both halves of the action on the files of a folder."""

    folder: Path
    kind: str = KIND
    risk: Risk = Risk.LOW

    def plan(self, request: ActionRequest) -> PlannedStep:
        """Return the step that turns a target from old to new."""
        target = str(request.parameters["target"])
        states = ({"value": "old"}, {"value": "new"})
        words = (f"{target}: old → new", self.risk, "sets it back", 1.0, TIMEOUT_S, 1)
        return PlannedStep(0, KIND, request.service, target, request.parameters, *states, *words)

    def probe(self, step: PlannedStep, key: str = "") -> Outcome:
        """Return in which state a target is."""
        return Outcome.NEW if self.state(step.target) == "new" else Outcome.OLD

    def apply(self, step: PlannedStep, key: str) -> None:
        """Bring it from old to new, whatever it is."""
        self._write(step.target, f"new {key}")

    def undo(self, step: PlannedStep, key: str) -> None:
        """Bring it from new to old, whatever it is."""
        self._write(step.target, f"old {key}")

    def effects(self, target: str) -> list[str]:
        """Return what was done to a target: the state that each effect left, and its key."""
        path = self.folder / target
        return path.read_text().splitlines() if path.exists() else []

    def state(self, target: str) -> str:
        """Return the state of a target."""
        effects = self.effects(target)
        return effects[-1].partition(" ")[0] if effects else "old"

    def _write(self, target: str, line: str) -> None:
        time.sleep(random.uniform(*SLOW_S))
        file = os.open(self.folder / target, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(file, f"{line}\n".encode())
        finally:
            os.close(file)
        time.sleep(random.uniform(*SLOW_S))


def plan_number(number: int, targets: FileTargets, at: datetime) -> Plan:
    """Return the plan of a number: one or two steps on a service of its own."""
    service = f"service-{number % SERVICES}"
    names = [f"target-{number}-{part}" for part in range(1 + number % 2)]
    steps = [
        replace(targets.plan(ActionRequest(KIND, service, {"target": name})), number=part) for part, name in enumerate(names, 1)
    ]
    subject = PlanSubject(f"inc-{number}", service, service, at - timedelta(minutes=5), 0.9)
    limits = Limits(replica_share=1.0, per_hour=1000, per_day=10_000, cool_down=0.0)
    terms = RunTerms(limits, Verify(settle=0.0, window=0.0), Approve(), None, Escalate())
    fingerprint = fingerprint_of("v1", subject, steps, ())
    plan_id = plan_id_of(f"inc-{number}", "slow", fingerprint, at)
    words = ("slow", "v1", "Write files slowly")
    return Plan(plan_id, *words, subject, at, "suite", tuple(steps), (), (), "it heals", terms, fingerprint)


def is_harmful(planned: PlannedRun) -> bool:
    """Return whether things get worse by a run: a third of them."""
    return int(planned.plan.fingerprint[:4], 16) % 3 == 0


class Executor(Protocol):
    """Carries out one move of a run."""

    def advance(self, planned: PlannedRun) -> Advance:
        """Return the run after it."""
        ...


class RepeatingExecutor:
    """The control: what was begun by a process that has died it does once more, as a queue of jobs would."""

    def __init__(self, parts: ExecutorParts) -> None:
        self._parts = parts
        self._executor = RunExecutor(parts)
        self._own: set[object] = set()

    def advance(self, planned: PlannedRun) -> Advance:
        """Carry out one move."""
        move = self._executor.move(planned)
        if isinstance(move, Probe) and (planned.run.run_id, move.number) not in self._own:
            return self._repeat(planned, move.number)
        if isinstance(move, Act):
            self._own.add((planned.run.run_id, move.number))
        return self._executor.advance(planned, move)

    def _repeat(self, planned: PlannedRun, number: int) -> Advance:
        step, run = planned_step(planned, number), step_run(planned.run, number)
        runner = self._parts.actions[step.action].runner
        assert runner is not None
        undo = run.state is StepState.UNDO_INTENDED
        (runner.undo if undo else runner.apply)(step, "again")
        done = replace(run, state=StepState.UNDONE if undo else StepState.DONE)
        change = RunChange(planned.run.state, self._parts.now(), (done,), "done once more")
        return Advance(self._parts.ledger.change(planned, change), changed=True)


def ledger_of(store: IncidentStore) -> StoreRunLedger:
    """Return the run log: all services are one application, of which `AT_ONCE` may be acted on."""
    services = frozenset(f"service-{number}" for number in range(SERVICES))
    return StoreRunLedger(store, LedgerRules(SuiteLimits(100_000, 100_000, AT_ONCE / SERVICES), lambda _: services))


def executor_parts(ledger: StoreRunLedger, targets: FileTargets, judge: "Judge") -> ExecutorParts:
    """Return what runs are carried out with."""
    actions = {KIND: Action(targets, targets)}
    return ExecutorParts(ledger, actions, SamePlan(), FixedLooks(), judge.of, _now)


class Judge:
    """Says of the run that is carried out whether it helped."""

    def __init__(self) -> None:
        self.planned: PlannedRun | None = None

    def of(self, verify: Verify, looks: Judgement) -> Finding:
        """Return what is found."""
        del verify
        assert looks == LOOKS
        assert self.planned is not None
        worse = self.planned.run.state is RunState.SETTLING and is_harmful(self.planned)
        return Finding(Verdict.WORSE if worse else Verdict.BETTER, "by its fingerprint")


def carry_out(url: str, folder: Path, count: int, repeats: bool, ready: Connection) -> None:
    """Carry out runs until `count` have acted and ended; plans are made and approved as there is room."""
    with IncidentStore.open(url, "default") as store:
        ledger, targets, judge = ledger_of(store), FileTargets(folder), Judge()
        parts = executor_parts(ledger, targets, judge)
        executor: Executor = RepeatingExecutor(parts) if repeats else RunExecutor(parts)
        plans = list(all_runs(ledger))
        made, acted = len(plans), sum(planned.run.began_at is not None and planned.run.has_ended for planned in plans)
        ready.send("ready")
        while True:
            open_runs = list(ledger.open_runs())
            if not open_runs and acted >= count:
                return
            if acted + len(open_runs) < count and len(open_runs) < AT_ONCE + (random.random() < 0.3):
                open_runs.append(ledger.propose(plan_number(made, targets, _now())))
                made += 1
            moved = [_moved(executor, ledger, judge, planned) for planned in open_runs]
            acted += sum(advance.planned.run.has_ended and advance.planned.run.began_at is not None for advance in moved)
            if not any(advance.changed for advance in moved):
                time.sleep(0.01)


def _moved(executor: Executor, ledger: StoreRunLedger, judge: Judge, planned: PlannedRun) -> Advance:
    """Return a run after its next move, which is its approval where it waits."""
    judge.planned = planned
    if planned.run.state is not RunState.WAITING:
        return executor.advance(planned)
    approval = Approval("ann", _now(), planned.plan.fingerprint)
    return Advance(ledger.approve(planned.plan.plan_id, approval, "operator"), changed=True)


def all_runs(ledger: StoreRunLedger) -> Iterator[PlannedRun]:
    """Yield all plans with their runs."""
    cursor = ""
    while True:
        page = ledger.runs(RunFilter(), PageRequest(500, cursor))
        yield from page.items
        cursor = page.next_cursor
        if not cursor:
            return


def _now() -> datetime:
    return datetime.now(UTC)


def faults_of(runs: Sequence[PlannedRun], targets: FileTargets) -> Counter[str]:
    """Return what is wrong with targets and log, by its name, once no process acts any more."""
    faults: Counter[str] = Counter()
    for planned in runs:
        faults["has not ended"] += not planned.run.has_ended
        for step in planned.run.steps:
            target = planned_step(planned, step.number).target
            faults.update(_faults_of_step(planned, step.state, step.tries, targets.effects(target)))
    faults["bounds exceeded"] += sum(_acting(runs, planned.run.began_at) > AT_ONCE for planned in runs if planned.run.began_at)
    return +faults


_STATES: Final[dict[StepState, Callable[[str], bool]]] = {
    StepState.PENDING: lambda state: state == "old",
    StepState.REFUSED: lambda state: state == "old",
    StepState.UNDONE: lambda state: state == "old",
    StepState.DONE: lambda state: state == "new",
}
"""What the log says by a state of a step; of others it says that nobody can tell."""


def _faults_of_step(planned: PlannedRun, state: StepState, tries: int, effects: Sequence[str]) -> Iterator[str]:
    states = [effect.partition(" ")[0] for effect in effects]
    now = states[-1] if states else "old"
    approval = planned.run.approval
    checks = {
        "applied twice": states not in ([], ["new"], ["new", "old"]),
        "not as the log says": not _STATES.get(state, lambda _: True)(now),
        "acted without an intent": bool(effects) and not tries,
        "acted although refused": bool(effects) and (planned.run.began_at is None or state is StepState.REFUSED),
        "acted without an approval": bool(effects) and (approval is None or approval.fingerprint != planned.plan.fingerprint),
        "the log does not end": state in (StepState.INTENDED, StepState.UNDO_INTENDED),
    }
    return (name for name, wrong in checks.items() if wrong)


def _acting(runs: Sequence[PlannedRun], at: datetime) -> int:
    """Return how many runs acted at a moment."""
    begun = [planned.run for planned in runs if planned.run.began_at is not None and planned.run.began_at <= at]
    return sum(not run.has_ended or run.changed_at > at for run in begun)
