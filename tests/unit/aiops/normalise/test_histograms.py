"""Classic and whole histograms: rate, mean, quantiles; parts in any order, late, missing; bounds that change."""

import math
from dataclasses import replace

import numpy as np
import pytest

from aiops.normalise.distributions import Buckets, is_exponential, quantile
from aiops.normalise.raw_series import DUPLICATE, FOLDED, OUT_OF_RANGE, REPEATED, TOO_LATE
from tests.testing.raw_rows import MINUTE, SECOND, STALE, START_US, Raw, Run, Sample, classic, raw

T = START_US
PARTS = classic("rpc_seconds", [0.1, 0.5, 1.0, math.inf])
WHOLE, DELTA = raw("size_bytes", "histogram"), raw("wait_seconds", "histogram_delta")


def at(time_us: int, values: list[float], parts: list[Raw] = PARTS) -> list[Sample]:
    """Return a value of every part: buckets, sum, count."""
    return [Sample(part, time_us, value) for part, value in zip(parts, values, strict=True)]


def arrived(clock_us: int, samples: list[Sample]) -> list[Sample]:
    return [replace(sample, clock_us=clock_us) for sample in samples]


FIRST, SECOND_ROUND = [0.0] * 6, [60.0, 90.0, 100.0, 120.0, 50.0, 120.0]
EXPECTED = {"rate": 2.0, "mean": 50.0 / 120.0, "p50": 0.1, "p99": 1.0}


def said(made: Run, base: str = "web|rpc_seconds_") -> dict[str, float]:
    return {name.removeprefix(base): value for name, _, value in made.points if name.startswith(base)}


def test_a_family_says_rate_mean_and_quantiles_of_its_interval() -> None:
    made = Run.new().define(PARTS).send(*at(T, FIRST), *at(T + MINUTE, SECOND_ROUND))
    assert set(made.status) == {FOLDED}
    assert {time for _, time, _ in made.points} == {T + MINUTE}
    assert said(made) == EXPECTED


def test_parts_come_in_any_order_and_interleaved_with_those_of_the_next_time() -> None:
    rounds = [*at(T, FIRST), *at(T + MINUTE, SECOND_ROUND), *at(T + 2 * MINUTE, [2 * value for value in SECOND_ROUND])]
    for seed in range(5):
        made = Run.new(lateness_s=300).define(PARTS).send(*[rounds[i] for i in np.random.default_rng(seed).permutation(18)])
        assert [value for name, _, value in made.points if name.endswith("_rate")] == [2.0, 2.0]


def test_a_part_that_is_missing_is_waited_for_until_the_lateness_is_over() -> None:
    load = raw("load", "value")
    made = Run.new(lateness_s=30).define([*PARTS, load])
    made.send(*at(T, FIRST), *arrived(T, at(T + MINUTE, SECOND_ROUND)[1:]))
    made.send(Sample(load, T + 2 * MINUTE, 1.0, clock_us=T + 29 * SECOND))
    assert said(made) == {}
    made.send(Sample(load, T + 3 * MINUTE, 1.0, clock_us=T + 30 * SECOND))
    assert said(made)["rate"] == 2.0
    made.send(Sample(PARTS[0], T + MINUTE, 60.0))
    assert made.status[-1] == FOLDED
    made.send(*at(T + 2 * MINUTE, [120.0, 180.0, 200.0, 240.0, 100.0, 240.0]))
    assert made.points[-4][1:] == (T + 2 * MINUTE, 2.0)
    assert made.points[-2] == ("web|rpc_seconds_p50", T + 2 * MINUTE, 0.1)


def test_a_part_that_fell_silent_is_not_waited_for_again_until_it_sends() -> None:
    load = raw("load", "value")
    made = Run.new(lateness_s=30).define([*PARTS, load]).send(*at(T, FIRST))
    made.send(*arrived(T, at(T + MINUTE, SECOND_ROUND)[1:]), Sample(load, T, 1.0, clock_us=T + MINUTE))
    before = len(made.points)
    made.send(*at(T + 2 * MINUTE, [2 * value for value in SECOND_ROUND])[1:])
    assert len(made.points) == before + 4


def test_a_time_that_waited_behind_an_older_one_is_over_as_soon_as_that_is() -> None:
    load = raw("load", "value")
    made = Run.new(lateness_s=30).define([*PARTS, load]).send(*at(T, FIRST))
    made.send(*arrived(10 * SECOND, at(T + 2 * MINUTE, [2 * value for value in SECOND_ROUND])[1:]))
    made.send(*arrived(20 * SECOND, at(T + MINUTE, SECOND_ROUND)[1:]), Sample(load, T, 1.0, clock_us=40 * SECOND))
    made.send(*arrived(41 * SECOND, at(T + MINUTE, SECOND_ROUND)[:1]))
    assert [value for name, _, value in made.points if name.endswith("_rate")] == [2.0]
    made.send(Sample(load, T + SECOND, 1.0, clock_us=42 * SECOND))
    assert [value for name, _, value in made.points if name.endswith("_rate")] == [2.0, 2.0]


def test_several_times_of_each_part_one_part_after_the_other_are_put_together() -> None:
    rounds = [at(T + number * MINUTE, [number * value for value in SECOND_ROUND]) for number in range(8)]
    made = Run.new().define(PARTS).send(*[values[part] for part in range(len(PARTS)) for values in rounds])
    assert [value for name, _, value in made.points if name.endswith("_rate")] == [2.0] * 7


def test_one_count_that_fell_says_that_all_began_anew() -> None:
    made = Run.new().define(PARTS).send(*at(T, [5.0, 9.0, 9.0, 300.0, 9.0, 300.0]), *at(T + MINUTE, SECOND_ROUND))
    assert said(made) == EXPECTED


def test_a_sum_may_fall() -> None:
    made = Run.new().define(PARTS).send(*at(T, [0.0, 0.0, 0.0, 0.0, 10.0, 0.0]), *at(T + MINUTE, [0.0, 0.0, 0.0, 5.0, 0.0, 5.0]))
    assert said(made)["mean"] == -2.0


def test_where_nothing_was_observed_only_the_rate_is_known() -> None:
    made = Run.new().define(PARTS).send(*at(T, SECOND_ROUND), *at(T + MINUTE, SECOND_ROUND))
    assert said(made) == {"rate": 0.0}


def test_after_its_end_a_family_begins_anew() -> None:
    made = Run.new().define(PARTS).send(*at(T, FIRST), *at(T + MINUTE, [STALE] * 6), *at(T + 2 * MINUTE, SECOND_ROUND))
    assert made.points == []
    made.send(*at(T + 3 * MINUTE, [2 * value for value in SECOND_ROUND]))
    assert said(made)["rate"] == 2.0


def test_parts_again_late_and_with_another_value() -> None:
    made = Run.new().define(PARTS).send(*at(T, FIRST), *at(T + MINUTE, SECOND_ROUND))
    made.send(Sample(PARTS[0], T + MINUTE, 60.0), Sample(PARTS[0], T + MINUTE, 61.0), Sample(PARTS[0], T + SECOND, 1.0))
    assert made.status[-3:] == [REPEATED, DUPLICATE, TOO_LATE]
    made.send(
        Sample(PARTS[0], T + 2 * MINUTE, 70.0), Sample(PARTS[0], T + 2 * MINUTE, 71.0), Sample(PARTS[0], T + 3 * MINUTE, -1.0)
    )
    assert made.status[-3:] == [FOLDED, DUPLICATE, OUT_OF_RANGE]


def test_a_summary_without_buckets_says_rate_and_mean() -> None:
    parts = classic("gc_seconds", [])
    made = Run.new().define(parts).send(*at(T, [0.0, 0.0], parts), *at(T + MINUTE, [6.0, 12.0], parts))
    assert said(made, "web|gc_seconds_") == {"rate": 0.2, "mean": 0.5}


def test_an_end_of_the_stream_evaluates_what_is_open() -> None:
    made = Run.new().define(PARTS).send(*at(T, FIRST), *at(T + MINUTE, SECOND_ROUND)[1:]).close(T + MINUTE)
    assert said(made)["rate"] == 2.0


def whole(time_us: int, counts: tuple[float, ...], upper: tuple[float, ...], total: float = 0.0) -> Sample:
    return Sample(WHOLE, time_us, total, upper=upper, counts=counts)


def test_a_whole_histogram_is_compared_with_the_one_before_though_its_bounds_changed() -> None:
    made = Run.new().define([WHOLE])
    made.send(whole(T, (4.0, 0.0, 4.0), (1.0, 4.0, 8.0), 8.0))
    made.send(whole(T + MINUTE, (4.0, 6.0, 0.0, 4.0, 2.0), (1.0, 2.0, 4.0, 8.0, 16.0), 68.0))
    assert set(made.status) == {FOLDED}
    points = said(made, "web|size_bytes_")
    assert (points["rate"], points["mean"]) == (8 / 60, 60 / 8)
    assert points["p50"] == pytest.approx(2.0 ** (4 / 6))
    assert 8.0 < points["p99"] < 16.0


def test_a_whole_histogram_that_fell_began_anew() -> None:
    made = Run.new().define([WHOLE])
    made.send(whole(T, (4.0, 4.0), (1.0, 4.0)), whole(T + MINUTE, (0.0, 9.0), (1.0, 4.0), 27.0))
    assert said(made, "web|size_bytes_")["mean"] == 3.0


def test_a_delta_histogram_says_its_own_interval() -> None:
    made = Run.new().define([DELTA])
    made.send(
        Sample(DELTA, T, 10.0, T - 10 * SECOND, (1.0, 2.0), (2.0, 2.0)),
        Sample(DELTA, T + SECOND, 1.0, upper=(1.0,), counts=(3.0,)),
    )
    assert [value for name, _, value in made.points if name.endswith("_rate")] == [0.4, 3.0]


@pytest.mark.parametrize(
    ("upper", "counts"),
    [((2.0, 1.0), (1.0, 1.0)), ((1.0, 1.0), (1.0, 1.0)), ((1.0,), (-1.0,)), ((math.nan,), (1.0,)), ((1.0,), (math.inf,))],
)
def test_buckets_that_cannot_be_are_refused(upper: tuple[float, ...], counts: tuple[float, ...]) -> None:
    made = Run.new().define([WHOLE]).send(whole(T, counts, upper))
    assert made.status != [FOLDED]
    assert made.points == []


def test_native_histograms_stand_above_classic_parts_of_the_same_name() -> None:
    native = raw("rpc_seconds", "histogram")
    made = Run.new().define([*PARTS, native]).send(*at(T, FIRST))
    made.send(Sample(native, T, 0.0, upper=(1.0,), counts=(0.0,)), Sample(native, T + MINUTE, 6.0, upper=(1.0,), counts=(12.0,)))
    made.send(*at(T + MINUTE, SECOND_ROUND))
    assert [value for name, _, value in made.points if name.endswith("_rate")] == [0.2]


def buckets(upper: list[float], upto: list[float]) -> Buckets:
    return Buckets(np.array(upper), np.array(upto))


@pytest.mark.parametrize(
    ("upper", "upto", "share", "expected"),
    [
        ([1.0, 2.0, math.inf], [0.0, 10.0, 10.0], 0.5, 1.5),
        ([1.0, 2.0, math.inf], [10.0, 10.0, 10.0], 0.5, 0.5),
        ([1.0, 2.0, math.inf], [0.0, 0.0, 10.0], 0.5, 2.0),
        ([-1.0, 2.0, math.inf], [10.0, 10.0, 10.0], 0.5, -1.0),
        ([-4.0, -2.0, math.inf], [0.0, 10.0, 10.0], 0.5, -3.0),
        ([math.inf], [10.0], 0.5, math.nan),
        ([1.0, math.inf], [0.0, 0.0], 0.5, math.nan),
        ([], [], 0.5, math.nan),
    ],
)
def test_quantiles_are_those_of_histogram_quantile(upper: list[float], upto: list[float], share: float, expected: float) -> None:
    assert quantile(buckets(upper, upto), share, False) == pytest.approx(expected, nan_ok=True)


def test_quantiles_of_native_histograms_are_exponential() -> None:
    assert quantile(buckets([1.0, 2.0], [0.0, 10.0]), 0.5, True) == pytest.approx(2**0.5)
    assert quantile(buckets([-4.0, -2.0], [0.0, 10.0]), 0.5, True) == pytest.approx(-(2**1.5))


@pytest.mark.parametrize(
    ("upper", "upto", "expected"),
    [
        ([1.0, 2.0, 4.0], [0.0, 1.0, 2.0], True),
        ([2**0.25, 2**0.5, 2.0, 2**1.25], [0.0, 1.0, 1.0, 2.0], True),
        ([0.5, 1.0, 2.5], [0.0, 1.0, 2.0], False),
        ([1.0, 2.0, 3.0], [0.0, 1.0, 2.0], False),
        ([1.0, 2.0, 8.0], [0.0, 1.0, 2.0], False),
        ([1.0, math.inf], [0.0, 1.0], False),
        ([-1.0, 1.0], [0.0, 1.0], False),
    ],
)
def test_buckets_of_one_native_schema_are_known(upper: list[float], upto: list[float], expected: bool) -> None:
    assert is_exponential(buckets(upper, upto)) is expected
