"""kill -9 at random points of 200 runs: every target is in the old or the new state, the run log says which, nothing twice.

Two naive runners must fail the same check: one that repeats what it does not know, one that commits after the effect.
"""

import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.automation.action import PlannedStep, Risk
from aiops.automation.plan import Plan, PlanSubject, RunTerms, fingerprint_of, plan_id_of
from aiops.automation.run import Approval, RunState, StepState
from aiops.automation.run_ledger import PlannedRun
from aiops.automation.runbook import Approve, Escalate, Limits, Verify
from tests.testing.deadlines import within
from tests.testing.empty_store import empty_store
from tests.testing.runner_process import KIND, TIMEOUT_S, ledger_of
from tests.testing.truth_server import OLD, TruthServer

STEPS = 2
NEW = "new"


def plan_of(number: int, at: datetime) -> Plan:
    runbook = "worse" if number % 3 == 0 else "better"
    steps = tuple(
        PlannedStep(
            step,
            KIND,
            f"service-{number}",
            f"target-{number}-{step}",
            {},
            {"value": OLD},
            {"value": NEW},
            "old → new",
            Risk.LOW,
            "back to old",
            1.0,
            TIMEOUT_S,
            3,
        )
        for step in range(1, STEPS + 1)
    )
    subject = PlanSubject("inc-1", f"service-{number}", f"service-{number}", at - timedelta(minutes=5), 0.9)
    verify = Verify(settle=0.0, window=0.0)
    limits = Limits(per_hour=1000, per_day=10_000, cool_down=0.0, replica_share=1.0)
    terms = RunTerms(limits, verify, Approve(expires=86_400.0), None, Escalate(after=86_400.0))
    fingerprint = fingerprint_of("v1", subject, steps, ())
    plan_id = plan_id_of("inc-1", runbook, fingerprint, at)
    return Plan(plan_id, runbook, "v1", "Test", subject, at, "suite", steps, (), (), "heals", terms, fingerprint)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a round of runs came to: runs as they ended, faults that the check finds, processes killed."""

    runs: list[PlannedRun]
    faults: list[str]
    kills: int


def carried_out(folder: Path, kind: str, count: int, seed: int) -> Outcome:
    at = datetime.now(UTC)
    with empty_store(folder) as store, TruthServer(seed, kill_share=0.3) as server:
        ledger = ledger_of(store)
        plans = [plan_of(number, at) for number in range(count)]
        for plan in plans:
            ledger.propose(plan)
            ledger.approve(plan.plan_id, Approval("alice", at, plan.fingerprint), "operator")
        command = [sys.executable, "-m", "tests.testing.runner_process"]
        arguments = [f"sqlite:///{folder / 'incidents.db'}", str(server.port), str(seed), kind]
        process = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=within(300), check=False)
        assert process.returncode == 0, process.stderr[-2000:]
        runs = [ledger.get(plan.plan_id) for plan in plans]
        faults = [fault for planned in runs for fault in faults_of(planned, server)]
        return Outcome(runs, faults, int(process.stdout))


def faults_of(planned: PlannedRun, server: TruthServer) -> list[str]:
    faults = []
    for step, done in zip(planned.plan.steps, planned.run.steps, strict=True):
        truth, effects = server.truth(step.target), server.effects[step.target]
        says = NEW if done.state is StepState.DONE else OLD
        if truth not in (OLD, NEW) or done.state in (StepState.UNKNOWN, StepState.UNDO_FAILED) or truth != says:
            faults.append(f"{step.target}: the log says {done.state}, it is {truth}")
        if max(Counter(effects).values(), default=0) > 1:
            faults.append(f"{step.target}: {effects}")
    return faults


def test_killed_runners_leave_every_target_as_the_log_says(tmp_path: Path) -> None:
    outcome = carried_out(tmp_path, "suite", 200, seed=1)
    assert outcome.faults == []
    ends = Counter(planned.run.state for planned in outcome.runs)
    assert set(ends) <= {RunState.CURED, RunState.UNDONE, RunState.FAILED}
    assert ends[RunState.CURED] > 100
    assert ends[RunState.UNDONE] > 40
    assert outcome.kills > 50


@pytest.mark.parametrize("kind", ["repeats", "late"])
def test_a_naive_runner_fails_the_same_check(tmp_path: Path, kind: str) -> None:
    assert carried_out(tmp_path, kind, 40, seed=2).faults != []
