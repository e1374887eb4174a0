"""Alarm levels of services: what is chance among many series is no alarm, an incident is no habit, exact restore."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.detection.held_points import HELD
from aiops.detection.levels import NO_ALARM_Z
from aiops.detection.service_levels import ALONE, ALONE_PER_DAY, TOGETHER, LevelRows, ServiceLevels, raise_alarms
from aiops.detection.worst_point import OUTSIDE_LIMITS
from aiops.errors import OutdatedState, StateError
from aiops.features.straying import FALSE_PER_DAY, GOLDEN_SERIES
from aiops.types import FloatArray
from serving.stream.consumer.checkpoint import state_hash

STEP_US = 60_000_000
DAY_TICKS = 1440


def rows(excess: FloatArray, series: int, first_tick: int = 1, alone: float = 0.0) -> LevelRows:
    """Ticks of one service, one after the other; of the excess a share is that of one series alone."""
    count = excess.size
    ticks = (first_tick + np.arange(count)) * STEP_US
    return LevelRows(np.zeros(count, np.int64), ticks, excess, alone * excess, np.full(count, float(series)))


def judged(levels: ServiceLevels, excess: FloatArray, series: int, first_tick: int = 1) -> FloatArray:
    """Levels of all series together."""
    return levels.levels(["cart"], rows(excess, series, first_tick))[:, TOGETHER]


def restless(days: float, share: float, mean: float, seed: int = 0) -> FloatArray:
    """Ticks of which a share is beyond its bounds, by an excess with an exponential tail."""
    rng = np.random.default_rng(seed)
    count = round(days * DAY_TICKS)
    return np.where(rng.random(count) < share, 1.0 + rng.exponential(mean, count), 0.0)


def test_of_a_small_service_one_series_at_its_bound_is_an_alarm_and_of_a_large_one_it_is_not() -> None:
    at_its_bound = np.ones(1)
    small, large = (judged(ServiceLevels(STEP_US), at_its_bound, count)[0] for count in (GOLDEN_SERIES, 500))
    assert small == pytest.approx(1.0)
    assert large > 2.0


@pytest.mark.parametrize(("share", "mean"), [(0.02, 0.5), (0.3, 1.0), (0.95, 3.0)])
def test_a_restless_service_has_about_as_many_false_alarms_a_day_as_are_accepted(share: float, mean: float) -> None:
    excess = restless(6.0, share, mean)
    level = judged(ServiceLevels(STEP_US), excess, 500)
    alarms = np.flatnonzero((excess >= level) & (excess >= 1.0))
    assert np.count_nonzero(excess >= 1.0) > 25 * FALSE_PER_DAY
    assert np.count_nonzero(alarms >= DAY_TICKS) / 5.0 < 2.5 * FALSE_PER_DAY
    assert np.count_nonzero(alarms < 60) <= 6  # nor many while it is learned


def test_a_fault_of_many_series_is_an_alarm_of_a_restless_service_and_goes_on_being_one() -> None:
    calm = restless(0.5, 0.9, 2.0)
    fault = np.full(15, 60.0)
    level = judged(ServiceLevels(STEP_US), np.concatenate([calm, fault]), 500)
    assert (fault >= level[calm.size :]).all()


def test_an_incident_is_no_habit_and_what_stays_is_one() -> None:
    calm = np.zeros(120)
    after = []
    for minutes in (15, 240):
        levels = ServiceLevels(STEP_US)
        level = judged(levels, np.concatenate([calm, np.full(minutes, 2.0), calm]), GOLDEN_SERIES)
        after.append(level[-1])
    brief, lasting = after
    assert brief < 2.5 < lasting


def test_many_that_stray_a_little_in_every_tick_do_not_hide_one_that_is_far_out() -> None:
    rng = np.random.default_rng(1)
    count = DAY_TICKS // 4
    greatest = np.where(rng.random(count) < 0.9, rng.uniform(0.3, 1.4, count), 0.0)
    levels = ServiceLevels(STEP_US).levels(["cart"], rows(4.0 * greatest, 460, alone=0.25))
    most = 1.0 + np.log2(100.0 / 6.0)
    assert (levels[60:, TOGETHER] > greatest[60:] * 3.0 + most).all()
    assert (levels[60:, ALONE] < most).all()
    assert (greatest < levels[:, ALONE]).all()


def test_one_series_alone_has_about_as_many_false_alarms_a_day_as_are_accepted() -> None:
    farthest = restless(8.0, 0.3, 1.0)
    level = ServiceLevels(STEP_US).levels(["cart"], rows(farthest, 500, alone=1.0))[:, ALONE]
    alarms = np.flatnonzero((farthest >= level) & (farthest >= 1.0))
    assert np.count_nonzero(alarms >= DAY_TICKS) / 7.0 < 2.5 * ALONE_PER_DAY


def test_without_a_judged_series_nothing_is_learned() -> None:
    levels = ServiceLevels(STEP_US)
    unknown = judged(levels, restless(0.1, 0.9, 2.0), 0)
    assert (unknown == 1.0).all()
    assert judged(levels, np.ones(1), GOLDEN_SERIES)[0] == pytest.approx(1.0)


@given(cut=st.integers(0, 199), restored=st.booleans())
def test_any_cut_and_a_restart_give_the_same(cut: int, restored: bool) -> None:
    excess = restless(200 / DAY_TICKS, 0.5, 1.5)
    whole, levels = ServiceLevels(STEP_US), ServiceLevels(STEP_US)
    expected = judged(whole, excess, 40)
    first = judged(levels, excess[:cut], 40)
    if restored:
        levels = ServiceLevels.restore(STEP_US, levels.snapshot())
    second = judged(levels, excess[cut:], 40, 1 + cut)
    np.testing.assert_array_equal(np.concatenate([first, second]), expected)
    assert state_hash(levels.snapshot()) == state_hash(whole.snapshot())


def test_services_are_apart_whatever_their_numbers() -> None:
    levels = ServiceLevels(STEP_US)
    excess = restless(0.1, 0.9, 2.0)
    levels.levels(["web"], rows(excess, 40))
    names = [f"s{number}" for number in range(40)] + ["web"]
    later = LevelRows(np.array([0, 40]), np.full(2, 10**12), np.zeros(2), np.zeros(2), np.full(2, 8.0))
    calm, web = levels.levels(names, later)[:, TOGETHER]
    assert calm == pytest.approx(1.0)
    assert web > 3.0


def test_a_state_of_before_there_were_weighed_levels_begins_anew_and_a_damaged_one_is_refused() -> None:
    levels = ServiceLevels(STEP_US)
    judged(levels, np.full(600, 3.0), 8)
    unweighed = {name: array for name, array in levels.snapshot().items() if name != "version"}
    version = levels.snapshot()["version"]
    for older in ({}, unweighed, {**levels.snapshot(), "version": version - 1}):
        assert judged(ServiceLevels.restore(STEP_US, older), np.ones(1), GOLDEN_SERIES)[0] == pytest.approx(1.0)
    with pytest.raises(StateError, match="levels of services"):
        ServiceLevels.restore(STEP_US, {**levels.snapshot(), "ticks": np.zeros((2, 2))})


def test_a_state_of_a_newer_version_is_never_begun_anew_in_silence() -> None:
    levels = ServiceLevels(STEP_US)
    newer = {**levels.snapshot(), "version": levels.snapshot()["version"] + 1}
    with pytest.raises(OutdatedState, match=r"levels of services have version \[4\], this program reads up to 3; remove"):
        ServiceLevels.restore(STEP_US, newer)


def point(z: float, severity: float, finding: int = -1, low: float = -np.inf) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    held = np.zeros(1, HELD)
    held["expected"], held["value"] = 10.0, 10.0 + 0.5 * z
    held["z"], held["alarm_z"], held["severity"], held["finding"], held["weight"] = z, 6.0, severity, finding, 1.0
    held["lower"], held["upper"] = max(low, 7.0), 13.0
    return held


def asked(together: float, alone: float = np.inf) -> FloatArray:
    """Return the levels of one row."""
    return np.array([[together, alone]])


def test_a_series_that_never_strays_counts_by_that_alone_and_beside_others_as_a_calm_one() -> None:
    for levels, alarm_z in ((asked(3.0), 24.0), (asked(20.0, 4.5), 24.0)):
        held = point(-30.0, 5.0)
        held["weight"] = 1.5
        raise_alarms(held, np.ones(1, np.bool_), levels, np.array([0.0]))
        assert held["alarm_z"][0] == pytest.approx(alarm_z)


def test_a_point_that_is_far_enough_out_alone_needs_no_other() -> None:
    held = point(-30.0, 5.0)
    raise_alarms(held, np.ones(1, np.bool_), asked(20.0, 3.0), np.array([9.0]))
    assert held["alarm_z"][0] == pytest.approx(24.0)
    assert held["severity"][0] == pytest.approx(30.0 / 24.0)


@pytest.mark.parametrize(
    ("others", "level", "alarm_z"), [(0.0, 1.0, 6.0), (0.0, 3.0, 24.0), (1.5, 3.0, 6.0 * 2**0.5), (9.0, 3.0, 6.0)]
)
def test_a_point_must_make_up_for_what_the_other_series_lack_of_the_level(others: float, level: float, alarm_z: float) -> None:
    held = point(-12.0, 2.0)
    raise_alarms(held, np.ones(1, np.bool_), asked(level), np.array([others + 2.0]))
    assert held["alarm_z"][0] == pytest.approx(alarm_z)
    assert held["severity"][0] == pytest.approx(12.0 / alarm_z)
    assert held["lower"][0] == pytest.approx(10.0 - 0.5 * alarm_z)
    assert held["upper"][0] == pytest.approx(10.0 + 0.5 * alarm_z)


@pytest.mark.parametrize(("weight", "alarm_z"), [(1.0, 24.0), (0.5, 6.0 * 2**5), (0.001, NO_ALARM_Z)])
def test_a_series_that_weighs_less_must_be_further_out(weight: float, alarm_z: float) -> None:
    held = point(-12.0, 2.0)
    held["weight"] = weight
    raise_alarms(held, np.ones(1, np.bool_), asked(3.0), np.array([2.0 * weight]))
    assert held["alarm_z"][0] == pytest.approx(alarm_z)


def test_a_level_of_one_leaves_the_alarm_of_a_series_as_it_was_fitted() -> None:
    held = point(3.0, 3.0)
    held["alarm_z"] = 1.0
    raise_alarms(held, np.ones(1, np.bool_), asked(1.0), np.array([0.0]))
    assert held["severity"][0] == 3.0


def test_limits_and_findings_are_no_question_of_how_many_series_there_are() -> None:
    for held in (point(7.0, OUTSIDE_LIMITS + 1.2), point(7.0, 1.2, finding=3)):
        before = held.copy()
        raise_alarms(held, np.ones(1, np.bool_), asked(4.0), np.array([1.2]))
        assert held == before


def test_a_bound_that_is_the_end_of_the_metrics_range_stays() -> None:
    held = point(7.0, 1.2, low=8.0)
    raise_alarms(held, np.ones(1, np.bool_), asked(3.0), np.array([1.2]))
    assert held["lower"][0] == 8.0
    assert held["upper"][0] == pytest.approx(10.0 + 0.5 * 24.0)
