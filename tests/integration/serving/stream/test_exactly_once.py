"""Random kill -9 of consumer, broker and scoring service: the outcome equals an undisturbed run's; a naive consumer's does not.

A larger harness: `python -m tests.benchmarks.kill_test`.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.benchmarks.kill_test import Round, disturbed, undisturbed
from tests.testing.kills import KillBudget
from tests.testing.stream_harness import NAIVE, batches, differences

pytestmark = pytest.mark.slow


def test_kills_change_nothing_and_the_control_shows_that_the_test_can_fail(tmp_path: Path) -> None:
    sent = batches(150)
    with ThreadPoolExecutor(3) as pool:  # three homes with processes of their own: a second core is not left idle
        quiet = pool.submit(undisturbed, tmp_path / "reference", sent)
        killed = pool.submit(disturbed, tmp_path / "killed", Round(sent, KillBudget(4, 1, 1), seed=11, timeout_s=120))
        control = pool.submit(disturbed, tmp_path / "naive", Round(sent, KillBudget(2, 0, 0), 11, NAIVE, timeout_s=120))
        reference, (outcome, kills), (naive, naive_kills) = quiet.result(), killed.result(), control.result()
    assert reference.duplicates == 0
    assert reference.detections
    assert reference.predictions
    counts = reference.counts
    assert counts["points_in"] == counts["points_scored"] + counts["points_warmup"] + counts["points_rejected"]
    assert counts["points_in"] == sum(batch.rows.num_rows for batch in sent if batch.rows is not None)

    assert (kills.consumer, kills.broker, kills.service) == (4, 1, 1)
    assert outcome.duplicates == 0
    assert differences(reference, outcome) == []

    assert naive_kills.consumer == 2
    assert naive.duplicates > 0
    assert {"features", "counts"} <= set(differences(reference, naive))
