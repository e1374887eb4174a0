"""Random kill -9 while receivers send: rates, histograms, dead letters and the catalogue come out as if nothing had happened."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.benchmarks.kill_test import Round, disturbed, undisturbed
from tests.testing.kills import KillBudget
from tests.testing.received_world import publish_received, received_batches
from tests.testing.scoring_services import ScoringProcess
from tests.testing.stream_harness import NAIVE, differences

pytestmark = pytest.mark.slow


def test_kills_change_nothing_of_what_is_received_and_the_control_shows_that_the_test_can_fail(tmp_path: Path) -> None:
    sent = received_batches(80, 2)
    killed_round = Round(sent, KillBudget(4, 1, 0), seed=3, timeout_s=120, publish=publish_received)
    naive_round = Round(sent, KillBudget(2, 0, 0), 3, NAIVE, timeout_s=150, publish=publish_received)
    with ThreadPoolExecutor(3) as pool:
        quiet = pool.submit(undisturbed, tmp_path / "reference", sent, ScoringProcess, publish_received)
        killed = pool.submit(disturbed, tmp_path / "killed", killed_round)
        control = pool.submit(disturbed, tmp_path / "naive", naive_round)
        reference, (outcome, kills), (naive, naive_kills) = quiet.result(), killed.result(), control.result()
    counts = reference.counts
    outcomes = ("points_scored", "points_warmup", "points_rejected", "points_repeated", "points_folded")
    assert all(counts[name] > 0 for name in outcomes)
    assert counts["points_in"] == sum(counts[name] for name in outcomes)
    assert counts["points_in"] > sum(batch.points for batch in sent)
    assert {"rejected.too_late", "rejected.unknown_series"} <= counts.keys()
    assert counts["points_scored"] + counts["points_warmup"] + counts["series_defined"] == sum(
        map(len, reference.points.values())
    )
    assert reference.duplicates == 0
    assert reference.detections

    assert (kills.consumer, kills.broker) == (4, 1)
    assert outcome.duplicates == 0
    assert differences(reference, outcome) == []

    assert naive_kills.consumer == 2
    assert naive.duplicates > 0
    assert {"points", "counts"} <= set(differences(reference, naive))
