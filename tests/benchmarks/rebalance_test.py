"""Consumers come, go, die and are stopped while telemetry flows; prints how long partitions stood still and what was counted.

`python -m tests.benchmarks.rebalance_test --batches 400`; ends with 1 if anything was lost or doubled, or if
the control doubled nothing.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from aiops.settings.tree import Settings
from serving.stream import streams
from serving.stream.ownership.lease_groups import INGEST, lease_group
from serving.stream.ownership.leases import look
from tests.benchmarks.kill_test import CONSUMER, left_alone
from tests.testing.partition_watch import PartitionWatch
from tests.testing.scoring_services import ScoringProcess
from tests.testing.stream_harness import (
    Batch,
    Fleet,
    Outcome,
    batches,
    differences,
    drained,
    outcome,
    publish_all,
    quick_settings,
    wait_until,
)

UNFENCED = ("-m", "tests.testing.unfenced_consumer")
PARTITIONS = 4
LEASE_S = 2.0


def settings_of(home: Path) -> Settings:
    """Return settings with several partitions and short leases."""
    made = quick_settings(home)
    consumer = made.consumer.model_copy(update={"lease_s": LEASE_S})
    return made.model_copy(update={"consumer": consumer, "broker": made.broker.model_copy(update={"partitions": PARTITIONS})})


@dataclass(slots=True)
class Herd:
    """Consumers of one home that share its partitions, by the order in which they were started; what was done, and when."""

    fleet: Fleet
    program: Sequence[str] = CONSUMER
    running: "list[subprocess.Popen[bytes]]" = field(default_factory=list)
    done: list[tuple[str, float]] = field(default_factory=list)

    def join(self) -> None:
        """Start one more, and wait until every consumer has its share."""
        self.running.append(self.fleet.consume(program=self.program))
        self._note("join")
        self.wait_for_shares()

    def kill(self) -> None:
        """End the one with most to do by kill -9, and wait until others have its partitions."""
        process = self._busiest()
        self.running.remove(process)
        process.kill()
        process.wait()
        self._note("kill")
        self.wait_for_shares()

    def leave(self) -> int:
        """Ask the one with most to do to end; return its exit code when the others have its partitions."""
        process = self._busiest()
        self.running.remove(process)
        self._note("leave")
        code = drained(process)
        self.wait_for_shares()
        return code

    def pause(self, for_s: float) -> None:
        """Stop the one with most to do for so long, and let it go on."""
        counted = self.fleet.points_in()
        wait_until(lambda: self.fleet.points_in() > counted, 2)
        process = self._busiest()
        process.send_signal(signal.SIGSTOP)
        self._note("pause")
        time.sleep(for_s)
        process.send_signal(signal.SIGCONT)
        self._note("continue")

    def wait_for_shares(self) -> None:
        """Wait until every partition has an owner, and all who run have about as many."""
        if not wait_until(self._shared, 60):
            raise SystemExit(f"the partitions were not shared out:\n{self.fleet.log()}")
        time.sleep(1.0)  # and until the stages have taken what was given to them

    def _owners(self) -> list[int]:
        """Return the process id of the owner of each partition, 0 where nobody has it."""
        view = look(self.fleet.remote, lease_group(self.fleet.settings, INGEST))
        pids = {member.member_id: member.pid for member in view.members}
        return [pids.get(lease.owner, 0) for lease in view.leases.values()]

    def _busiest(self) -> "subprocess.Popen[bytes]":
        """Return the consumer whose partitions have counted most."""
        counted: Counter[int] = Counter()
        for number, pid in enumerate(self._owners()):
            counted[pid] += int(self.fleet.remote.hash_all(streams.counts(number)).get("points_in", 0))
        return max(self.running, key=lambda process: counted[process.pid])

    def _shared(self) -> bool:
        owners = self._owners()
        shares = [owners.count(process.pid) for process in self.running]
        return sum(shares) == PARTITIONS and max(shares) - min(shares) <= 1

    def _note(self, what: str) -> None:
        self.done.append((what, time.monotonic()))


@dataclass(frozen=True, slots=True)
class Rebalanced:
    """What a run left behind, and how long partitions waited: by what was done last, seconds of each move."""

    outcome: Outcome
    idle_s: dict[str, list[float]]
    longest_wait_s: float
    exit_codes: list[int]
    log: str


Plan = Sequence[Callable[[Herd], int | None]]
"""Steps; one that lets a consumer leave returns its exit code."""


def paused(herd: Herd) -> None:
    """Stop a consumer for longer than a lease."""
    herd.pause(2.5 * LEASE_S)


def paused_and_back(herd: Herd) -> None:
    """Stop a consumer for longer than a lease, and wait until it has its share again."""
    paused(herd)
    herd.wait_for_shares()


EVERYTHING: Plan = (Herd.join, paused, Herd.join, Herd.kill, Herd.join, Herd.leave, paused)
STOPS: Plan = (Herd.join, *[paused_and_back] * 3)


class SharesOfSteps:
    """Gives out batches in as many shares as there are steps, and one for the end, each when the step before it is over.

    So telemetry begins to flow anew with each step and after the last one, however long they take: what a partition commits
    after a move, by which the move is known, never comes to an end before.
    """

    def __init__(self, batches_in_all: int, steps: int) -> None:
        self._share = -(-batches_in_all // (steps + 1))
        self._turn = threading.Condition()
        self._over = 0

    def wait_for(self, number: int) -> None:
        """Wait for the turn of a batch."""
        with self._turn:
            self._turn.wait_for(lambda: number < self._share * (self._over + 1))

    def step_is_over(self) -> None:
        """Give out the next share."""
        with self._turn:
            self._over += 1
            self._turn.notify_all()


def rebalanced(
    home: Path,
    sent: Sequence[Batch],
    plan: Plan = EVERYTHING,
    program: Sequence[str] = CONSUMER,
    pause_s: float = 0.12,
) -> Rebalanced:
    """Return what a run gives in which `plan` is carried out while `sent` is published, `pause_s` between batches."""
    settings = settings_of(home)
    with Fleet(settings, ScoringProcess(settings)) as fleet, PartitionWatch(fleet) as watch:
        herd = Herd(fleet, program)
        herd.join()
        shares, codes = SharesOfSteps(len(sent), len(plan)), list[int]()
        producer = threading.Thread(target=publish_all, args=(settings, sent, pause_s, shares.wait_for), daemon=True)
        producer.start()
        for step in plan:
            code = step(herd)
            codes += [] if code is None else [code]
            shares.step_is_over()
        producer.join()
        settles = wait_until(lambda: fleet.settled(len(sent)), 120 if program == CONSUMER else 5)
        if not settles and program == CONSUMER:
            raise SystemExit(f"the rebalanced run did not end:\n{fleet.log()}")
        codes += [drained(process) for process in herd.running]
        return Rebalanced(outcome(fleet), _idle(watch, herd), watch.longest_wait_s(), codes, fleet.log())


def _idle(watch: PartitionWatch, herd: Herd) -> dict[str, list[float]]:
    idle: dict[str, list[float]] = {}
    for move in watch.moves():
        causes = [what for what, at_s in herd.done if at_s <= move.taken_s]
        if causes:
            idle.setdefault(causes[-1], []).append(round(move.idle_s, 2))
    return idle


def undisturbed(home: Path, sent: Sequence[Batch]) -> Outcome:
    """Return the outcome of one consumer that nobody disturbs."""
    return left_alone(settings_of(home), sent)


def figures(kind: str, run: Rebalanced, reference: Outcome) -> str:
    """Return one JSON line about a run."""
    line = {
        "run": kind,
        "points_in": run.outcome.counts["points_in"],
        "points_in_reference": reference.counts["points_in"],
        "duplicates": run.outcome.duplicates,
        "state_equal": run.outcome.state == reference.state,
        "differs_in": differences(reference, run.outcome),
        "lease_s": LEASE_S,
        "idle_s": {
            what: {"moves": len(all_s), "median": median(all_s), "most": max(all_s)} for what, all_s in run.idle_s.items()
        },
        "longest_wait_s": round(run.longest_wait_s, 2),
        "dropped_as_fenced": run.log.count("is dropped by"),
    }
    return json.dumps(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it once, and the control."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--pause", type=float, default=0.12, help="seconds between batches")
    options = parser.parse_args(arguments)
    sent = batches(options.batches)
    with tempfile.TemporaryDirectory() as folder:
        reference = undisturbed(Path(folder) / "reference", sent)
        run = rebalanced(Path(folder) / "rebalanced", sent, pause_s=options.pause)
        print(figures("leases and epochs", run, reference), flush=True)
        control = rebalanced(Path(folder) / "control", sent, STOPS, UNFENCED, options.pause)
        print(figures("control: leases alone", control, reference), flush=True)
    return 1 if differences(reference, run.outcome) or not control.outcome.duplicates else 0


if __name__ == "__main__":
    sys.exit(main())
