"""What the consumer says about itself."""

import time

from serving.stream.consumer.consumer_metrics import ConsumerMetrics


def test_every_entry_of_a_commit_has_its_own_time_from_produced_to_committed() -> None:
    """The newest alone would flatter: what came first in a read waited longest."""
    metrics, now_ns = ConsumerMetrics(), time.time_ns()
    hour_ns = 3_600_000_000_000
    newest_age_s = metrics.committed("stage1", [now_ns - hour_ns, now_ns - hour_ns, now_ns + hour_ns])
    assert newest_age_s == 0.0, "a clock that is ahead gives no negative age"
    page = metrics.registry.get_sample_value
    assert page("aiops_end_to_end_seconds_count", {"stage": "stage1"}) == 3
    assert page("aiops_end_to_end_seconds_bucket", {"stage": "stage1", "le": "120.0"}) == 1
    assert (page("aiops_end_to_end_seconds_sum", {"stage": "stage1"}) or 0) >= 7200
