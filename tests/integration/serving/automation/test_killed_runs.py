"""Runs in real processes that are killed at random moments: nothing is done twice, and the log says in which state all is."""

import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

from aiops.automation.run import RunState, StepState
from serving.incidents.store.incident_store import IncidentStore
from tests.testing.deadlines import within
from tests.testing.dying_runs import FileTargets, all_runs, carry_out, faults_of, ledger_of

RUNS = {"sqlite": 200, "postgresql": 60}
CONTROL = 50
"""Runs of the control: what it does wrong shows in the first few kills."""
SHORTEST_S, LONGEST_S = 0.02, 0.8


@dataclass(frozen=True, slots=True)
class Left:
    """What processes left: faults by name, kills, runs by state, and how often a kill fell between an intent and its outcome."""

    faults: Counter[str]
    kills: int
    states: Counter[RunState]
    in_flight: int
    unknown: int


@pytest.fixture(scope="module")
def forks() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.testing.dying_runs"])
    return context


def killed_until_done(url: str, folder: Path, forks: ForkServerContext, count: int, repeats: bool) -> Left:
    """Carry out runs in processes that are killed one after another until one comes to the end."""
    seed = random.SystemRandom().randrange(1 << 32)
    print(f"seed of the kills: {seed}")
    moments, kills, in_flight = random.Random(seed), 0, 0
    folder.mkdir()
    deadline = time.monotonic() + within(240)
    with IncidentStore.open(url, "default") as store:
        ledger = ledger_of(store)
        while True:
            receiver, sender = forks.Pipe(duplex=False)
            process = forks.Process(target=carry_out, args=(url, folder, count, repeats, sender))
            process.start()
            sender.close()
            assert receiver.poll(within(60)), "the process did not begin"
            receiver.close()
            process.join(within(moments.uniform(SHORTEST_S, LONGEST_S)))
            if process.exitcode is None:
                assert process.pid is not None
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                kills += process.exitcode == -signal.SIGKILL
            if process.exitcode == 0:
                break
            assert process.exitcode == -signal.SIGKILL
            assert time.monotonic() < deadline, f"not done after {kills} kills"
            steps = [step for planned in ledger.open_runs() for step in planned.run.steps]
            in_flight += any(step.state in (StepState.INTENDED, StepState.UNDO_INTENDED) for step in steps)
        runs = list(all_runs(ledger))
        assert store.verify_audit().intact
    states = Counter(planned.run.state for planned in runs)
    unknown = sum(step.state is StepState.UNKNOWN for planned in runs for step in planned.run.steps)
    return Left(faults_of(runs, FileTargets(folder)), kills, states, in_flight, unknown)


@pytest.mark.slow
def test_no_kill_makes_a_run_act_twice_or_the_log_say_what_is_not(
    url: str, tmp_path: Path, forks: ForkServerContext, request: pytest.FixtureRequest
) -> None:
    count = RUNS[url.partition(":")[0]]
    left = killed_until_done(url, tmp_path / "targets", forks, count, repeats=False)
    print(left)
    assert left.faults == {}
    ended = sum(number for state, number in left.states.items() if state not in (RunState.REFUSED, RunState.EXPIRED))
    assert ended >= count
    assert left.states[RunState.CURED] + left.states[RunState.UNDONE] >= count / 2
    assert left.states[RunState.UNDONE] > 0
    assert left.in_flight >= count / 20, "kills that hit nothing prove nothing"


@pytest.mark.slow
def test_what_repeats_after_a_kill_is_detected(tmp_path: Path, forks: ForkServerContext, migrated_file: Path) -> None:
    database = tmp_path / "incidents.db"
    database.write_bytes(migrated_file.read_bytes())
    left = killed_until_done(f"sqlite:///{database}", tmp_path / "targets", forks, CONTROL, repeats=True)
    print(left)
    assert left.faults["applied twice"] > 0
