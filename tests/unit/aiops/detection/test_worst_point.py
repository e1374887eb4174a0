"""Worst points: the same however the stream is cut, limits above z, the first of equals, exact restore."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.detection.point_severity import ScoredPoints, severities_of
from aiops.detection.worst_point import OUTSIDE_LIMITS, JudgedPoints, WorstPoint
from aiops.detection.worst_points_by_service import WorstPoints
from aiops.features.series_names import SeriesNames
from aiops.types import PointStatus
from serving.stream.consumer.checkpoint import state_hash
from tests.testing.series_names import named

STEP_US = 60_000_000
LATENESS_US = 30_000_000
SERVICES = ["cart", "web"]
SERIES = SeriesNames.of([named(f"{service}|{metric}") for service in SERVICES for metric in ("cpu", "errors")])


def judged(rows: list[tuple[int, int, int, float]]) -> JudgedPoints:
    """Points from (service, metric, time_us, severity)."""
    table = np.array(rows, dtype=float).reshape(len(rows), 4)
    severity = table[:, 3]
    number = np.arange(len(rows), dtype=float)
    service, metric, time_us = table[:, :3].astype(np.int64).T
    columns = (number, severity, number, number, number, number, number, severity, 1.0 / (1.0 + metric))
    return JudgedPoints(SERIES, (2 * service + metric).astype(np.int32), SERVICES, service, time_us, *columns)


def split(points: JudgedPoints, rows: slice) -> JudgedPoints:
    columns = {name: getattr(points, name) for name in JudgedPoints.__slots__}
    kept = range(len(points.severity))[rows]
    columns["findings"] = {row - kept.start: finding for row, finding in points.findings.items() if row in kept}
    whole = ("service_names", "series", "findings")
    return JudgedPoints(**{name: column if name in whole else column[rows] for name, column in columns.items()})


def test_a_point_belongs_to_the_first_tick_at_or_after_it() -> None:
    worst = WorstPoints(STEP_US, LATENESS_US)
    worst.add(judged([(0, 0, STEP_US, 2.0), (0, 1, STEP_US + 1, 3.0)]))
    first = worst.take("cart", STEP_US)
    second = worst.take("cart", 2 * STEP_US)
    assert first is not None
    assert second is not None
    assert (first.metric, second.metric) == ("cpu", "errors")
    assert worst.take("cart", 2 * STEP_US) is None


def test_a_late_point_counts_for_the_first_tick_that_is_still_open() -> None:
    worst = WorstPoints(STEP_US, LATENESS_US)
    worst.add(judged([(0, 0, STEP_US + LATENESS_US + 1, 2.0), (0, 1, 10, 9.0)]))
    assert worst.take("cart", STEP_US) is None
    point = worst.take("cart", 2 * STEP_US)
    assert point is not None
    assert point.timestamp_us == 10


def test_of_equally_severe_points_the_first_stays() -> None:
    worst = WorstPoints(STEP_US, LATENESS_US)
    worst.add(judged([(0, 0, 5, 2.0), (0, 1, 6, 2.0)]))
    worst.add(judged([(0, 1, 7, 2.0)]))
    point = worst.take("cart", STEP_US)
    assert point is not None
    assert point.timestamp_us == 5


@pytest.mark.parametrize(("seldom", "often", "named"), [(2.0, 3.0, "cpu"), (2.0, 16.0, "errors"), (0.9, 1.0, "errors")])
def test_of_series_beyond_their_bounds_the_one_that_seldom_is_counts(seldom: float, often: float, named: str) -> None:
    """The second metric weighs half as much as the first."""
    worst = WorstPoints(STEP_US, LATENESS_US)
    worst.add(judged([(0, 0, 5, seldom), (0, 1, 6, often)]))
    point = worst.take("cart", STEP_US)
    assert point is not None
    assert point.metric == named


def test_a_static_limit_is_above_every_surprise() -> None:
    worst = WorstPoints(STEP_US, LATENESS_US)
    worst.add(judged([(0, 0, 5, 16.0), (0, 1, 6, OUTSIDE_LIMITS)]))
    point = worst.take("cart", STEP_US)
    assert point is not None
    assert point.metric == "errors"


def test_points_of_before_there_were_weights_are_those_of_calm_series() -> None:
    worst = WorstPoints(STEP_US, LATENESS_US)
    worst.add(judged([(0, 1, 5, 2.0)]))
    state = {name: array for name, array in worst.snapshot().items() if name != "weight"}
    point = WorstPoints.restore(STEP_US, LATENESS_US, state).take("cart", STEP_US)
    assert point is not None
    assert point.weight == 1.0


def test_unknown_scores_are_not_held_and_limits_beat_every_z() -> None:
    z, value, slot = (
        np.array([np.nan, 50.0, np.nan, -50.0, 50.0]),
        np.array([0.0, 0.0, 2.0, -2.0, 2.0]),
        np.array([0, 0, 0, 1, -1]),
    )
    status = np.array([PointStatus.WARMUP, PointStatus.SCORED, PointStatus.WARMUP, PointStatus.SCORED, PointStatus.TOO_LATE])
    points = ScoredPoints(
        status.astype(np.int8), slot.astype(np.int32), value, z, np.zeros(5), np.array([np.nan, 1, 1, 1, 1]), np.zeros(5, bool)
    )
    made = severities_of(points, np.array([[5.0, 10.0], [-1.0, -1.0], [1.0, 100.0]]))
    np.testing.assert_array_equal(made.severity, [np.nan, 10.0, OUTSIDE_LIMITS, OUTSIDE_LIMITS + 5.0, np.nan])
    np.testing.assert_array_equal(made.alarm_z[:4], [5.0, 5.0, 5.0, 10.0])
    np.testing.assert_array_equal(made.lower[:4], [-1.0, -1.0, -1.0, -1.0], "an unknown bound is the static limit")
    np.testing.assert_array_equal(made.upper[:4], [1.0, 1.0, 1.0, 10.0])
    worst = WorstPoints(STEP_US, LATENESS_US)
    worst.add(judged([(0, 0, 5, float("nan"))]))
    assert len(worst) == 0


def test_services_without_a_row_at_a_tick_are_forgotten() -> None:
    worst = WorstPoints(STEP_US, LATENESS_US)
    worst.add(judged([(0, 0, 5, 2.0), (1, 0, STEP_US + 5, 2.0)]))
    worst.forget_through(STEP_US)
    assert worst.take("cart", 9 * STEP_US) is None
    assert worst.take("web", 9 * STEP_US) is not None


@pytest.mark.parametrize(("severity", "flagged"), [(0.99, False), (1.0, True)])
def test_flagged_means_severity_of_one_or_more(severity: float, flagged: bool) -> None:
    assert WorstPoint(0, 7, "cpu", "", 1.0, 1.0, 1.0, 0.1, 1.0, 0.0, 2.0, severity).flagged is flagged


points = st.lists(
    st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 4 * STEP_US), st.sampled_from([0.5, 1.0, 2.0, float("nan")])),
    min_size=1,
    max_size=40,
)


@given(points, st.integers(0, 40))
def test_any_cut_and_a_restore_between_give_the_same_state(rows: list[tuple[int, int, int, float]], cut: int) -> None:
    together = judged(rows)
    whole = WorstPoints(STEP_US, LATENESS_US)
    whole.add(together)
    parts = WorstPoints(STEP_US, LATENESS_US)
    parts.add(split(together, slice(0, cut)))
    parts = WorstPoints.restore(STEP_US, LATENESS_US, parts.snapshot())
    parts.add(split(together, slice(cut, None)))
    assert state_hash(parts.snapshot()) == state_hash(whole.snapshot())
