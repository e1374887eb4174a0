"""Carries out runs, one move at a time: every intent is committed before its effect, every outcome when it is known.

Between two moves nothing is held that a following process would need: after kill -9 at any point another one goes on from the
run log. What a process alone knows (that a call came back, or still hangs) only makes it more careful.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from aiops.automation.action import Action, Outcome, PlannedStep
from aiops.automation.moves import Act, Become, Begin, Judge, Move, Probe, Wait
from aiops.automation.plan import Plan
from aiops.automation.progress import Conditions, judged, next_move
from aiops.automation.questions import is_question, with_answers
from aiops.automation.run import Run, RunState
from aiops.automation.run_ledger import PlannedRun, RunChange, RunLedger
from aiops.automation.runbook import Verify
from aiops.automation.service_state import Finding, Judgement, Verdict
from aiops.automation.step_tries import Call, TryReading, before_undo, intent, learned, planned_step, step_run
from aiops.errors import AiopsError, ContractError, FencedError, RunRefused, StepRefused, Unavailable, legible
from serving.automation.runner.bounded_calls import CallResult, Calls, RunningCall, ThreadedCalls, probed

POLL: Final = timedelta(seconds=1)
"""How often a target is read whose state is not settled."""
AGAIN: Final = timedelta(seconds=5)
"""How soon that is tried again which did not answer."""
GRACE: Final = timedelta(minutes=2)
"""How long after its last look telemetry that is late is waited for."""

log = logging.getLogger(__name__)


class Plans(Protocol):
    """Makes plans anew."""

    def anew(self, plan: Plan, at: datetime) -> Plan:
        """Return the plan as it would be made now.

        Raises:
            Unavailable: something that it reads does not answer.
            ContractError: it cannot be made any more, for example because its runbook is gone.
        """
        ...


class Looks(Protocol):
    """Sees how services are."""

    def of(self, planned: PlannedRun, at: datetime) -> Judgement:
        """Return the services of a run before the trouble, at its peak and after its steps, by what is known at `at`.

        Raises:
            AiopsError: it cannot be said now.
        """
        ...


@dataclass(frozen=True, slots=True)
class ExecutorParts:
    """What runs are carried out with; `judge` says what the conditions of a runbook find in three looks."""

    ledger: RunLedger
    actions: Mapping[str, Action]
    plans: Plans
    looks: Looks
    judge: Callable[[Verify, Judgement], Finding]
    now: Callable[[], datetime]
    calls: Calls = field(default_factory=ThreadedCalls)
    telemetry_lag: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Advance:
    """A run after a move; `until` = nothing is to be done before it, None = before somebody changes something."""

    planned: PlannedRun
    changed: bool
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _TryKey:
    """One try of a step of a run."""

    run_id: str
    number: int
    tries: int


class RunExecutor:
    """Carries out runs of one tenant. Not thread-safe. Memory: one entry for each call whose outcome is not known."""

    def __init__(self, parts: ExecutorParts) -> None:
        self._parts = parts
        self._calls: dict[_TryKey, RunningCall] = {}

    def move(self, planned: PlannedRun) -> Move:
        """Return what is to be done next; reads the switch, changes nothing."""
        parts = self._parts
        return next_move(planned, parts.now(), Conditions(parts.ledger.switch(), parts.telemetry_lag))

    def advance(self, planned: PlannedRun, move: Move | None = None) -> Advance:
        """Carry out one move: `move` is what `RunExecutor.move` has just said of this run, None = it is asked here.

        Where another process has changed the run, it is read again and nothing else is done.

        Raises:
            Unavailable: the run log does not answer; call it again.
        """
        try:
            return self._carry_out(planned, move or self.move(planned))
        except FencedError as error:
            log.info("run %s: %s", planned.run.run_id, error)
            return Advance(self._parts.ledger.get(planned.run.run_id), changed=True)

    def _carry_out(self, planned: PlannedRun, move: Move) -> Advance:
        match move:
            case Wait(until):
                return Advance(planned, changed=False, until=until)
            case Begin():
                return self._begin(planned)
            case Act(number, undo):
                return self._undo(planned, number) if undo else self._act(planned, number, undo=False)
            case Probe(number):
                return self._probe(planned, number)
            case Judge(last, until):
                return self._judge(planned, last, until)
            case Become(change):
                return self._become(planned, change)

    def _become(self, planned: PlannedRun, change: RunChange) -> Advance:
        return Advance(self._parts.ledger.change(planned, change), changed=True)

    def _begin(self, planned: PlannedRun) -> Advance:
        parts, at = self._parts, self._parts.now()
        try:
            fresh = parts.plans.anew(planned.plan, at)
        except Unavailable as error:
            log.warning("run %s begins later: %s", planned.run.run_id, error)
            return Advance(planned, changed=False, until=at + AGAIN)
        except ContractError as error:
            return self._become(planned, RunChange(RunState.REFUSED, at, (), f"refused: {legible(error)}"))
        try:
            return Advance(parts.ledger.begin(fresh, planned, parts.now()), changed=True)
        except RunRefused as error:
            log.warning("run %s may not begin: %s", planned.run.run_id, error)
            if fresh.fingerprint != planned.plan.fingerprint and fresh.is_possible:
                parts.ledger.propose(fresh)  # what it would do now waits for its own approval
            return Advance(parts.ledger.get(planned.run.run_id), changed=True)

    def _act(self, planned: PlannedRun, number: int, undo: bool) -> Advance:
        """Commit the intent, then call; not where the process was held up in between: another one may have read the intent."""
        parts, intended_at = self._parts, self._parts.now()
        planned = parts.ledger.change(planned, intent(planned, number, undo, intended_at))
        step = planned_step(planned, number)
        if is_question(planned, number):  # the run log asks, and a person's answer is stored there
            return Advance(planned, changed=True)
        if parts.now() - intended_at < timedelta(seconds=step.timeout_s / 2):
            key = _key_of_step(planned, number) + ("-undo" if undo else "")
            call = parts.calls.begin(self._work(planned, number, undo, key))
            self._calls[_key(planned, number)] = call
            call.result(min(step.timeout_s, POLL.total_seconds()))
        return Advance(planned, changed=True)

    def _work(self, planned: PlannedRun, number: int, undo: bool, key: str) -> Callable[[], None]:
        step = planned_step(planned, number)
        action = self._parts.actions.get(step.action)
        runner = None if action is None else action.runner

        def work() -> None:
            if runner is None:
                raise StepRefused(f"action={step.action!r} can be planned only; configure what carries it out")
            (runner.undo if undo else runner.apply)(_answered(step, planned.run), key)

        return work

    def _undo(self, planned: PlannedRun, number: int) -> Advance:
        at = self._parts.now()
        follows = before_undo(planned, number, self._target(planned, number), at)
        if follows is None:
            return self._act(planned, number, undo=True)
        if isinstance(follows, Become):
            return self._become(planned, follows.change)
        return Advance(planned, changed=False, until=_soon(at, follows.until))

    def _probe(self, planned: PlannedRun, number: int) -> Advance:
        running = self._calls.get(_key(planned, number))
        result = CallResult(Call.UNSEEN) if running is None else running.result(0.0)
        target = self._target(planned, number)
        at = self._parts.now()
        follows = learned(planned, number, TryReading(result.call, target, result.why), at)
        if isinstance(follows, Wait):
            return Advance(planned, changed=False, until=_soon(at, follows.until))
        advance = self._become(planned, follows.change)
        self._calls.pop(_key(planned, number), None)
        return advance

    def _target(self, planned: PlannedRun, number: int) -> Outcome:
        step = planned_step(planned, number)
        action = self._parts.actions.get(step.action)
        if action is None:
            return Outcome.UNKNOWN
        return probed(self._parts.calls, action.planner, step, _key_of_step(planned, number))

    def _judge(self, planned: PlannedRun, last: bool, until: datetime) -> Advance:
        at = self._parts.now()
        finding = self._finding(planned, at)
        if last and not finding.known and at < until + GRACE:
            return Advance(planned, changed=False, until=at + AGAIN)
        follows = judged(planned, finding, at, last)
        return Advance(planned, changed=False, until=until) if follows is None else self._become(planned, follows.change)

    def _finding(self, planned: PlannedRun, at: datetime) -> Finding:
        parts = self._parts
        try:
            return parts.judge(planned.plan.terms.verify, parts.looks.of(planned, at))
        except AiopsError as error:
            log.warning("run %s: how the services are cannot be said: %s", planned.run.run_id, error)
            return Finding(Verdict.UNCLEAR, f"how the services are cannot be said: {legible(error)}", known=False)


def _answered(step: PlannedStep, run: Run) -> PlannedStep:
    """Return a step with the answers that its texts hold.

    Raises:
        StepRefused: one was not given.
    """
    try:
        return with_answers(step, run)
    except ContractError as error:
        raise StepRefused(f"step {step.number}: {error}") from error


def _key(planned: PlannedRun, number: int) -> _TryKey:
    return _TryKey(planned.run.run_id, number, step_run(planned.run, number).tries)


def _key_of_step(planned: PlannedRun, number: int) -> str:
    """Return what is the same for each try of a step, and for no other step."""
    return f"{planned.run.run_id}-{number}"


def _soon(at: datetime, until: datetime | None) -> datetime:
    """Return when a target is read next."""
    return at + POLL if until is None else min(until, at + POLL)
