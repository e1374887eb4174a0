"""Rates of totals and amounts: increases by time, resets by value and by start, ends, order, repetition."""

import math

import pytest

from aiops.normalise.raw_series import (
    BAD_TIME,
    DUPLICATE,
    EMITTED,
    FOLDED,
    FUTURE,
    MISFIT,
    NON_FINITE,
    OUT_OF_RANGE,
    REPEATED,
    TOO_LATE,
    UNKNOWN,
)
from tests.testing.raw_rows import LATER, MINUTE, SECOND, STALE, START_US, Run, Sample, raw, raw_histograms, raw_points

TOTAL, DELTA, GAUGE = raw("requests_total", "total"), raw("jobs", "delta"), raw("load", "value")
T = START_US


def run(*samples: Sample) -> Run:
    return Run.new().define([TOTAL, DELTA, GAUGE]).send(*samples)


def rates(*samples: Sample) -> list[float]:
    return [value for _, _, value in run(*samples).points]


def test_the_first_total_gives_none_and_the_next_its_increase_a_second() -> None:
    made = run(Sample(TOTAL, T, 100.0), Sample(TOTAL, T + MINUTE, 220.0))
    assert made.status == [FOLDED, EMITTED]
    assert made.points == [("web|requests_total", T + MINUTE, 2.0)]


def test_the_rate_over_a_gap_is_its_true_mean() -> None:
    assert rates(Sample(TOTAL, T, 0.0), Sample(TOTAL, T + 10 * MINUTE, 600.0)) == [1.0]


@pytest.mark.parametrize(
    ("start_us", "rate"),
    [
        (T - 30 * SECOND, 2.0),
        (T - 300 * SECOND, 0.2),
        (T - 301 * SECOND, None),
        (T, None),
        (T + SECOND, None),
    ],
)
def test_a_first_total_that_began_just_now_gives_the_rate_since_then(start_us: int, rate: float | None) -> None:
    assert rates(Sample(TOTAL, T, 60.0, start_us)) == ([] if rate is None else [rate])


def test_a_total_that_fell_began_anew_between_the_two_values() -> None:
    assert rates(Sample(TOTAL, T, 1000.0), Sample(TOTAL, T + MINUTE, 30.0)) == [0.5]


def test_a_start_after_the_value_before_is_a_reset_even_where_the_total_did_not_fall() -> None:
    assert rates(Sample(TOTAL, T, 10.0), Sample(TOTAL, T + MINUTE, 40.0, T + 40 * SECOND)) == [2.0]


def test_a_start_that_moves_to_before_the_value_before_is_no_reset() -> None:
    first, second = Sample(TOTAL, T, 10.0, T - MINUTE * 60), Sample(TOTAL, T + MINUTE, 70.0, T - 30 * SECOND)
    assert rates(first, second) == [1.0]


def test_a_start_at_the_value_itself_begins_anew_without_a_rate() -> None:
    made = run(Sample(TOTAL, T, 10.0), Sample(TOTAL, T + MINUTE, 40.0, T + MINUTE), Sample(TOTAL, T + 2 * MINUTE, 100.0))
    assert made.status == [FOLDED, FOLDED, EMITTED]
    assert made.points[0][2] == 1.0


def test_after_the_end_of_a_series_the_next_value_begins_anew() -> None:
    made = run(
        Sample(TOTAL, T, 10.0),
        Sample(TOTAL, T + MINUTE, STALE),
        Sample(TOTAL, T + 2 * MINUTE, 50.0, T - MINUTE),
        Sample(TOTAL, T + 3 * MINUTE, 110.0),
        Sample(GAUGE, T, STALE),
    )
    assert made.status == [FOLDED, FOLDED, FOLDED, EMITTED, FOLDED]
    assert [value for *_, value in made.points] == [1.0]


def test_an_amount_is_divided_by_its_interval_or_by_the_time_since_the_one_before() -> None:
    made = run(
        Sample(DELTA, T, 30.0),
        Sample(DELTA, T + MINUTE, 30.0),
        Sample(DELTA, T + 2 * MINUTE, 30.0, T + 110 * SECOND),
        Sample(DELTA, T + 90 * SECOND, 20.0, T + 70 * SECOND),
        Sample(DELTA, T + 80 * SECOND, 20.0),
    )
    assert made.status == [FOLDED, EMITTED, EMITTED, EMITTED, TOO_LATE]
    assert [value for *_, value in made.points] == [0.5, 3.0, 1.0]


def test_what_comes_again_is_told_from_another_value_and_from_what_is_too_late() -> None:
    sent = [Sample(TOTAL, T + number * MINUTE, 10.0 * number) for number in range(6)]
    made = run(*sent, sent[5], sent[2], sent[1], Sample(TOTAL, T + 5 * MINUTE, 51.0), Sample(TOTAL, T + 4 * MINUTE, 41.0))
    assert made.status[6:] == [REPEATED, REPEATED, TOO_LATE, DUPLICATE, TOO_LATE]
    assert len(made.points) == 5


def test_a_gauge_passes_late_too_and_is_known_when_it_comes_again() -> None:
    made = run(Sample(GAUGE, T + MINUTE, 1.0), Sample(GAUGE, T, 2.0), Sample(GAUGE, T, 2.0), Sample(GAUGE, T + MINUTE, 1.0))
    assert made.status == [EMITTED, EMITTED, REPEATED, REPEATED]


def test_what_cannot_be_is_refused_and_changes_nothing() -> None:
    made = run(
        Sample(TOTAL, T, 10.0),
        Sample(TOTAL, T + MINUTE, -1.0),
        Sample(TOTAL, T + MINUTE, math.nan),
        Sample(TOTAL, T + MINUTE, math.inf),
        Sample(TOTAL, 1, 5.0),
        Sample(TOTAL, LATER + 1, 5.0),
        Sample(raw("stranger", "value"), T, 1.0),
        Sample(TOTAL, T + MINUTE, 70.0),
    )
    assert made.status == [FOLDED, OUT_OF_RANGE, FOLDED, NON_FINITE, BAD_TIME, FUTURE, UNKNOWN, EMITTED]
    assert [value for *_, value in made.points] == [1.0]


def test_nan_says_that_nothing_was_measured() -> None:
    made = run(
        Sample(GAUGE, T, 1.0), Sample(GAUGE, T + MINUTE, math.nan), Sample(GAUGE, T + MINUTE, 2.0), Sample(GAUGE, T, -math.inf)
    )
    assert made.status == [EMITTED, FOLDED, EMITTED, NON_FINITE]


def test_points_beyond_the_limits_of_their_metric_are_refused() -> None:
    share, errors = raw("error_rate", "value"), raw("cpu_utilization", "total")
    made = Run.new().define([share, errors])
    made.send(Sample(share, T, 1.5), Sample(share, T + MINUTE, 0.5), Sample(errors, T, 0.0), Sample(errors, T + MINUTE, 120.0))
    assert made.status == [OUT_OF_RANGE, EMITTED, FOLDED, OUT_OF_RANGE]
    assert [value for *_, value in made.points] == [0.5]


def test_a_rate_beyond_all_numbers_is_refused() -> None:
    made = run(Sample(TOTAL, T, 0.0), Sample(TOTAL, T + 1, 1.7e308))
    assert made.status == [FOLDED, NON_FINITE]


def test_a_value_of_a_series_of_whole_histograms_is_none() -> None:
    whole = raw("seconds", "histogram")
    made = Run.new().define([whole, GAUGE])
    assert made.normaliser.points(raw_points([Sample(whole, T, 1.0)]), LATER, 0).status.tolist() == [MISFIT]
    other = Sample(GAUGE, T, 1.0, upper=(1.0,), counts=(1.0,))
    assert made.normaliser.histograms(raw_histograms([other]), LATER, 0).status.tolist() == [MISFIT]
