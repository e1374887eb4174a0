"""What came in one entry is taken as it happened, whatever the order in which a sender wrote its series."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.features.series_points import SeriesPoints
from aiops.normalise.wire_columns import histogram_columns, point_columns
from data_contracts.series.series_name import SeriesName
from tests.testing.raw_rows import SECOND, START_US, Sample, histograms_payload, points_payload, raw

GAUGE, WHOLE = raw("queue_length", "value"), raw("latency", "histogram")
TIMES = st.lists(st.integers(0, 5), max_size=12)


@settings(deadline=None)
@given(TIMES)
def test_raw_values_ascend_and_those_of_one_time_keep_their_order(seconds: list[int]) -> None:
    samples = [Sample(GAUGE, START_US + second * SECOND, float(number)) for number, second in enumerate(seconds)]
    columns = point_columns(points_payload(samples))
    wanted = sorted(samples, key=lambda sample: sample.time_us)
    assert columns.value.tolist() == [sample.value for sample in wanted]
    assert columns.time_us.tolist() == [sample.time_us for sample in wanted]


def test_whole_histograms_ascend_with_their_buckets() -> None:
    late = Sample(WHOLE, START_US + SECOND, 7.0, upper=(1.0, 2.0, 3.0), counts=(1.0, 0.0, 2.0))
    early = Sample(WHOLE, START_US, 3.0, upper=(5.0,), counts=(4.0,))
    columns = histogram_columns(histograms_payload([late, early]))
    assert columns.total.tolist() == [3.0, 7.0]
    assert columns.ends.tolist() == [0, 1, 4]
    assert columns.upper.tolist() == [5.0, 1.0, 2.0, 3.0]
    assert columns.counts.tolist() == [4.0, 1.0, 0.0, 2.0]


@settings(deadline=None)
@given(TIMES)
def test_points_by_time_keep_their_names(seconds: list[int]) -> None:
    ids = np.arange(len(seconds), dtype=np.int64)
    points = SeriesPoints(
        np.array(seconds, np.int64),
        ids,
        ids,
        ids.astype(np.float64),
        lambda rows: [SeriesName(int(row), f"s{row}", "m", "") for row in rows],
    )
    ordered = points.by_time()
    wanted = sorted(range(len(seconds)), key=lambda row: seconds[row])
    assert ordered.series_id.tolist() == wanted
    assert ordered.value.tolist() == [float(row) for row in wanted]
    if seconds:
        assert [name.service for name in ordered.names(np.arange(len(seconds)))] == [f"s{row}" for row in wanted]


def test_points_that_ascend_are_not_copied() -> None:
    ids = np.arange(3, dtype=np.int64)
    points = SeriesPoints(np.array([1, 1, 2]), ids, ids, np.zeros(3), lambda _: pytest.fail("no name is asked for"))
    assert points.by_time() is points
