"""Consumers join, leave, die and are stopped while telemetry flows: the outcome is that of one that nobody disturbed.

The control shares partitions by the same leases, but commits without epoch and position: it doubles. At length:
`python -m tests.benchmarks.rebalance_test`.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.benchmarks.rebalance_test import LEASE_S, STOPS, UNFENCED, figures, rebalanced, undisturbed
from tests.testing.deadlines import within
from tests.testing.stream_harness import batches, differences

pytestmark = pytest.mark.slow


def test_partitions_move_with_their_state_and_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    sent = batches(200)
    with ThreadPoolExecutor(3) as pool:
        quiet = pool.submit(undisturbed, tmp_path / "reference", sent)
        moved = pool.submit(rebalanced, tmp_path / "moved", sent)
        control = pool.submit(rebalanced, tmp_path / "control", sent, STOPS, UNFENCED)
        reference, run, unfenced = quiet.result(), moved.result(), control.result()
    print(figures("leases and epochs", run, reference))
    assert reference.detections
    assert reference.counts["points_in"] == sum(batch.points for batch in sent)
    assert differences(reference, run.outcome) == []
    assert run.outcome.duplicates == 0
    assert run.exit_codes == [0] * len(run.exit_codes)
    assert {"join", "pause", "kill", "leave"} <= set(run.idle_s)
    assert run.longest_wait_s < within(LEASE_S + 5), run.log

    print(figures("control: leases alone", unfenced, reference))
    assert unfenced.outcome.duplicates > 0
    assert unfenced.outcome.counts["points_in"] > reference.counts["points_in"]
    assert {"features", "counts"} <= set(differences(reference, unfenced.outcome))
