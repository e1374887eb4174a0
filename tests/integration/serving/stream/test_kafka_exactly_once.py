"""Telemetry on Kafka: random kill -9 of consumer, Valkey, scoring service and Kafka change nothing; a naive consumer doubles.

The undisturbed run has its telemetry on Valkey: both brokers give the same outcome, bit for bit.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.kill_test import Round, disturbed, undisturbed
from tests.testing.kafka_broker import KafkaBroker
from tests.testing.kills import KillBudget
from tests.testing.stream_harness import NAIVE, batches, differences

pytestmark = pytest.mark.slow


def test_kills_with_kafka_give_the_outcome_of_an_undisturbed_run_without(tmp_path: Path) -> None:
    sent = batches(120)
    brokers = [KafkaBroker(tmp_path / name) for name in ("exact", "control")]
    for name in ("exact", "control"):
        (tmp_path / name).mkdir()
    with brokers[0], brokers[1], ThreadPoolExecutor(3) as pool:
        quiet = pool.submit(undisturbed, tmp_path / "reference", sent)
        plan = Round(sent, KillBudget(3, 1, 1, kafka=2), seed=7, timeout_s=120, kafka=brokers[0])
        killed = pool.submit(disturbed, tmp_path / "killed", plan)
        naive = replace(plan, budget=KillBudget(2, 0, 0), program=NAIVE, kafka=brokers[1])
        control = pool.submit(disturbed, tmp_path / "naive", naive)
        reference, (outcome, kills), (doubled, naive_kills) = quiet.result(), killed.result(), control.result()
    assert reference.detections
    assert (kills.consumer, kills.broker, kills.service, kills.kafka) == (3, 1, 1, 2)
    assert outcome.duplicates == 0
    assert differences(reference, outcome) == []

    assert naive_kills.consumer == 2
    assert doubled.duplicates > 0
    assert {"features", "counts"} <= set(differences(reference, doubled))
