"""Random kill -9 of the processes of a run, and how long it takes until points are committed again."""

import random
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from tests.testing.deadlines import Deadline
from tests.testing.kafka_broker import KafkaBroker
from tests.testing.stream_harness import Batch, Fleet


@dataclass(slots=True)
class Recoveries:
    """Seconds from each kill to the next commit of points, by what was killed; a kill after which nothing came has none."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    _pending: "list[tuple[str, int, float]]" = field(default_factory=list)

    def killed(self, what: str, points: int, at_s: float) -> None:
        """Note a kill and the points committed before it."""
        self._pending.append((what, points, at_s))

    def see(self, points: int, at_s: float) -> None:
        """Note the points committed now, 0 = not known."""
        for what, before, since_s in self._pending:
            if points > before:
                self.seconds.setdefault(what, []).append(at_s - since_s)
        self._pending = [kill for kill in self._pending if points <= kill[1]]

    def figures(self) -> dict[str, dict[str, float]]:
        """Return how many recoveries there were, their median and the longest (s), by what was killed."""
        return {
            what: {"recoveries": len(all_s), "median_s": round(median(all_s), 2), "most_s": round(max(all_s), 2)}
            for what, all_s in sorted(self.seconds.items())
        }


class KillBudget(NamedTuple):
    """How often each process is killed."""

    consumer: int
    broker: int
    service: int
    kafka: int = 0


@dataclass(slots=True)
class Kills:
    """Random kill -9 of consumer, broker, scoring service and Kafka broker while a run goes on."""

    fleet: Fleet
    seed: int
    program: tuple[str, ...] = ("-m", "serving.stream.consumer")
    scored: bool = True
    consumer: int = 0
    broker: int = 0
    service: int = 0
    kafka: int = 0
    log: KafkaBroker | None = None
    recoveries: Recoveries = field(default_factory=Recoveries)

    def run(self, sent: Sequence[Batch], budget: KillBudget, timeout_s: float) -> "subprocess.Popen[bytes]":
        """Kill as often as `budget` says, at random points of progress; return the last consumer."""
        rng = random.Random(self.seed)
        plan = ["consumer"] * budget.consumer + ["broker"] * budget.broker + ["service"] * budget.service
        plan += ["kafka"] * budget.kafka
        rng.shuffle(plan)
        points = sum(batch.points for batch in sent)
        places = sorted(rng.uniform(0.05, 0.9) * points for _ in plan)
        process = self.fleet.consume(program=self.program)
        deadline = Deadline(timeout_s)
        while not deadline.passed and (plan or not self.fleet.settled(len(sent), self.scored)):
            time.sleep(0.02)
            if process.poll() is not None:
                process = self.fleet.consume(program=self.program)
            counted = self.fleet.points_in()
            self.recoveries.see(counted, time.monotonic())
            if plan and counted > places[0]:
                places.pop(0)
                if plan[-1] != "service":  # stage 1 goes on without it
                    self.recoveries.killed(plan[-1], counted, time.monotonic())
                process = self._kill(plan.pop(), process)
        return process

    def _kill(self, what: str, process: "subprocess.Popen[bytes]") -> "subprocess.Popen[bytes]":
        setattr(self, what, getattr(self, what) + 1)
        if what == "consumer":
            process.kill()
            process.wait()
            return self.fleet.consume(program=self.program)
        if what == "broker":
            self.fleet.broker.kill()
            time.sleep(0.2)
            self.fleet.broker.start()
            return process
        if what == "kafka":
            assert self.log is not None
            self.log.kill()
            self.log.start()
        elif self.fleet.service is not None:
            self.fleet.service.kill()
            time.sleep(1.0)
            self.fleet.service.start()
        return process
