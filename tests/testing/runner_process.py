"""`python -m tests.testing.runner_process DATABASE PORT SEED KIND`: runs carried out by processes that are killed in turn.

Each process is forked from this one and killed at a random moment; the last of them ends by itself when no run is open.
KIND: "suite" = the suite's executor; naive ones: "repeats" what it does not know, "late" commits after the effect.
"""

import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Final

from aiops.automation.action import Action, ActionRequest, Outcome, PlannedStep, Risk
from aiops.automation.limits import SuiteLimits
from aiops.automation.plan import Plan
from aiops.automation.run_ledger import PlannedRun
from aiops.automation.service_state import Finding, Verdict
from aiops.automation.step_tries import intent, planned_step
from aiops.errors import StepRefused, Unavailable
from serving.automation.ledger.run_records import LedgerRules
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.automation.runner.bounded_calls import DirectCalls
from serving.automation.runner.run_executor import Advance, ExecutorParts, RunExecutor
from serving.incidents.store.incident_store import IncidentStore
from tests.testing.automation_world import LOOKS
from tests.testing.truth_server import asked

KIND: Final = "truth"
TIMEOUT_S: Final = 0.4
_LONGEST_LIFE_S: Final = 0.6
_UNLIMITED: Final = SuiteLimits(per_hour=100_000, per_day=100_000, application_share=1.0)


def ledger_of(store: IncidentStore) -> StoreRunLedger:
    """Return a run log that lets many runs act at once."""
    return StoreRunLedger(store, LedgerRules(_UNLIMITED))


class TruthAction:
    """Both halves of an action on a target of the truth server. Bringing it into effect compares nothing: each order counts."""

    kind = KIND
    risk = Risk.LOW

    def __init__(self, port: int) -> None:
        self._port = port

    def plan(self, request: ActionRequest) -> PlannedStep:
        """Not used: the test makes its plans."""
        raise NotImplementedError

    def probe(self, step: PlannedStep) -> Outcome:
        """Read the truth."""
        truth = self._asked({"do": "read", "target": step.target})
        return {step.before["value"]: Outcome.OLD, step.after["value"]: Outcome.NEW}.get(truth, Outcome.OTHER)

    def apply(self, step: PlannedStep, key: str) -> None:
        """Order the new state."""
        self._order(step, str(step.after["value"]), "")

    def undo(self, step: PlannedStep, key: str) -> None:
        """Order the old state, where the new one is there."""
        self._order(step, str(step.before["value"]), str(step.after["value"]))

    def _order(self, step: PlannedStep, becomes: str, expects: str) -> None:
        order = {"do": "set", "target": step.target, "becomes": becomes, "expects": expects, "pid": os.getpid()}
        if self._asked(order) == "refused":
            raise StepRefused(f"{step.target} is not {expects}")

    def _asked(self, order: dict[str, object]) -> str:
        try:
            return asked(self._port, order, TIMEOUT_S)
        except OSError as error:
            raise Unavailable(str(error)) from error


class SamePlans:
    """Plans are as they were."""

    def anew(self, plan: Plan, at: datetime) -> Plan:
        """Return the plan."""
        return plan


class SameLooks:
    """Services look as their run is to find them: the runbook's name says it."""

    def of(self, planned: PlannedRun, at: datetime) -> object:
        """Return three looks."""
        return LOOKS


class RepeatingExecutor(RunExecutor):
    """A naive one: what it does not know it does again."""

    def _probe(self, planned: PlannedRun, number: int) -> Advance:
        known = self._calls  # a call of this very process is waited for
        if not known:
            step = planned_step(planned, number)
            undo = planned.run.state.value == "undoing"
            with suppress(StepRefused):
                self._work(planned, number, undo, "again")()
            del step
        return super()._probe(planned, number)


class LateExecutor(RunExecutor):
    """A naive one: it commits an intent when the effect is there."""

    def _act(self, planned: PlannedRun, number: int, undo: bool) -> Advance:
        with suppress(StepRefused):
            self._work(planned, number, undo, "late")()
        change = intent(planned, number, undo, self._parts.now())
        return Advance(self._parts.ledger.change(planned, change), changed=True)


EXECUTORS: Final = {"suite": RunExecutor, "repeats": RepeatingExecutor, "late": LateExecutor}


def carry_out(database: str, port: int, kind: str, seed: int, ready: Callable[[], None]) -> None:
    """Carry out all open runs, in random order, until there are none."""
    draw = random.Random(seed)
    with IncidentStore.open(database, "default") as store:
        ledger = ledger_of(store)
        ledger.open_runs()
        ready()
        action = TruthAction(port)
        parts = ExecutorParts(
            ledger,
            {KIND: Action(action, action)},
            SamePlans(),
            SameLooks(),  # type: ignore[arg-type]
            lambda verify, looks: Finding(Verdict.BETTER, "so"),
            lambda: datetime.now(UTC),
            DirectCalls(),
        )
        bad = ExecutorParts(
            parts.ledger,
            parts.actions,
            parts.plans,
            parts.looks,
            lambda verify, looks: Finding(Verdict.WORSE, "so"),
            parts.now,
            parts.calls,
        )
        good_runs, bad_runs = EXECUTORS[kind](parts), EXECUTORS[kind](bad)
        while runs := list(ledger.open_runs()):
            draw.shuffle(runs)
            for planned in runs[:20]:
                advance = Advance(planned, changed=True)
                worse = planned.plan.runbook == "worse" and planned.run.state.value != "checking"
                executor = bad_runs if worse else good_runs
                for _ in range(draw.randint(1, 6)):
                    if not advance.changed or advance.planned.run.has_ended:
                        break
                    advance = executor.advance(advance.planned)
            time.sleep(0.001)


def main(arguments: list[str]) -> int:
    """Fork processes and kill them until one ends by itself; print how many were killed here."""
    database, port, seed, kind = arguments[0], int(arguments[1]), int(arguments[2]), arguments[3]
    draw, killed = random.Random(seed), 0
    while True:
        heard, said = os.pipe()
        pid = os.fork()
        if pid == 0:
            carry_out(database, port, kind, seed + killed, partial(os.close, said))
            os._exit(0)
        os.close(said)
        os.read(heard, 1)  # until it is ready, or dead
        os.close(heard)
        status = _ended(pid, draw.uniform(0.0, _LONGEST_LIFE_S))
        if os.WIFEXITED(status):
            sys.stdout.write(f"{killed}\n")
            return os.WEXITSTATUS(status)
        killed += 1


def _ended(pid: int, life_s: float) -> int:
    """Return how a process ended; after `life_s` it is killed."""
    until = time.monotonic() + life_s
    while time.monotonic() < until:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.002)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
