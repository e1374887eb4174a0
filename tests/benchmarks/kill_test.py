"""The large kill test: many random kill -9, several seeds; prints counts and recovery times as JSON lines; 1 if anything differs.

`python -m tests.benchmarks.kill_test --rounds 3 --consumer 10 --broker 3 --service 3`; the service is the real BentoML one.
"""

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from aiops.settings.tree import Settings
from tests.testing.kafka_broker import KafkaBroker
from tests.testing.kills import KillBudget, Kills
from tests.testing.scoring_services import RealScoring, ScoringProcess
from tests.testing.stream_harness import (
    NAIVE,
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

CONSUMER = ("-m", "serving.stream.consumer")


@dataclass(frozen=True, slots=True)
class Round:
    """One disturbed run: kills of (consumer, broker, service) while `sent` is published with a pause after each batch."""

    sent: Sequence[Batch]
    budget: KillBudget
    seed: int
    program: tuple[str, ...] = CONSUMER
    scoring: type[ScoringProcess] = ScoringProcess
    pause_s: float = 0.03
    timeout_s: float = 300.0
    kafka: KafkaBroker | None = None
    """Where telemetry lies; None = on the state store like the rest."""
    publish: Callable[[Settings, Sequence[Batch], float], None] = publish_all


def undisturbed(
    home: Path,
    sent: Sequence[Batch],
    scoring: type[ScoringProcess] = ScoringProcess,
    publish: Callable[[Settings, Sequence[Batch], float], None] = publish_all,
) -> Outcome:
    """Return the outcome of a run in which nothing is killed."""
    return left_alone(quick_settings(home), sent, scoring, publish)


def left_alone(
    settings: Settings,
    sent: Sequence[Batch],
    scoring: type[ScoringProcess] = ScoringProcess,
    publish: Callable[[Settings, Sequence[Batch], float], None] = publish_all,
) -> Outcome:
    """Return the outcome of a run of these settings with a consumer that nobody disturbs."""
    with Fleet(settings, scoring(settings)) as fleet:
        publish(settings, sent, 0.0)
        process = fleet.consume()
        if not wait_until(lambda: fleet.settled(len(sent)), 120) or drained(process) != 0:
            raise SystemExit(f"the undisturbed run did not end:\n{fleet.log()}")
        return outcome(fleet)


def disturbed(home: Path, plan: Round) -> tuple[Outcome, Kills]:
    """Return the outcome of a run with kills, and the kills."""
    settings = quick_settings(home, plan.kafka.url if plan.kafka else None)
    with Fleet(settings, plan.scoring(settings)) as fleet:
        producer = threading.Thread(target=plan.publish, args=(settings, plan.sent, plan.pause_s))
        producer.start()
        kills = Kills(fleet, plan.seed, plan.program, scored=plan.program != NAIVE, log=plan.kafka)
        process = kills.run(plan.sent, plan.budget, plan.timeout_s)
        producer.join()
        if drained(process) != 0:
            raise SystemExit(f"the disturbed run did not end in order:\n{fleet.log()}")
        return outcome(fleet), kills


def figures(kind: str, killed: Outcome, reference: Outcome, kills: Kills) -> str:
    """Return one JSON line about a disturbed run."""
    line = {
        "run": kind,
        "kills": {"consumer": kills.consumer, "broker": kills.broker, "service": kills.service, "kafka": kills.kafka},
        "recovery": kills.recoveries.figures(),
        "points_in": killed.counts["points_in"],
        "points_in_reference": reference.counts["points_in"],
        "detections": len(killed.detections),
        "predictions": len(killed.predictions),
        "feature_rows": sum(map(len, killed.features.values())),
        "duplicates": killed.duplicates,
        "state_equal": killed.state == reference.state,
        "differs_in": differences(reference, killed),
    }
    return json.dumps(line)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the rounds and the control."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batches", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--stand-in", action="store_true", help="a small process in place of the BentoML service")
    for what, default in (("consumer", 10), ("broker", 3), ("service", 3)):
        parser.add_argument(f"--{what}", type=int, default=default, help=f"kills of the {what} a round")
    options = parser.parse_args(arguments)
    sent = batches(options.batches)
    budget = KillBudget(options.consumer, options.broker, options.service)
    scoring = ScoringProcess if options.stand_in else RealScoring
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        reference = undisturbed(Path(folder) / "reference", sent, scoring)
        for seed in range(options.seed, options.seed + options.rounds):
            killed, kills = disturbed(Path(folder) / f"round-{seed}", Round(sent, budget, seed, scoring=scoring))
            failed = failed or bool(killed.duplicates or differences(reference, killed))
            print(figures(f"exactly once, seed {seed}", killed, reference, kills), flush=True)
        naive, kills = disturbed(Path(folder) / "naive", Round(sent, KillBudget(options.consumer, 0, 0), 0, NAIVE, scoring))
        print(figures("control: at least once", naive, reference, kills), flush=True)
    return 1 if failed or not naive.duplicates else 0


if __name__ == "__main__":
    sys.exit(main())
