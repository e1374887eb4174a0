"""False alarms: a resource that let go unnoticed is called one; what goes on, what users noticed, what requests show is not."""

from dataclasses import replace

import numpy as np
import pytest

from aiops.errors import TrainingImpossible
from models.rca.alarm_course import MOST_SURE, NOTHING, AlarmCourse, CourseWeights, course_of, log_odds_of_nothing
from models.rca.change_evidence import ChangeConfig
from models.rca.course_fit import fitted_course
from models.rca.explain import explain, nothing_began
from models.rca.grid import SeriesGrid
from models.rca.posterior import FITTED
from models.rca.weighing import weigh
from tests.testing.fakes_incidents import CALM_MIN, Strays, shop_grid, shop_inputs
from tests.unit.models.rca.test_rca_parts import features

RESOURCE = ("catalogue", "cpu_utilization")
MINUTES = CALM_MIN + 40
ALERTED = {"catalogue": 8}


def climbing(lets_go: bool, strays: Strays | None = None) -> SeriesGrid:
    """Return the shop's telemetry with a resource that climbs from the calm time on, a row a minute, and lets go or does not."""
    grid = shop_grid(strays or {}, MINUTES)
    climbed = np.concatenate([np.zeros(CALM_MIN), np.linspace(0.0, 0.4, 16), np.zeros(MINUTES - CALM_MIN - 16)])
    if not lets_go:
        climbed[CALM_MIN + 16 :] = np.linspace(0.4, 0.6, MINUTES - CALM_MIN - 16)
    values = grid.values.copy()
    values[:, grid.series.index(RESOURCE)] += climbed
    return SeriesGrid(grid.time_us, grid.series, values)


def test_a_resource_that_climbed_and_let_go_unnoticed_is_a_false_alarm() -> None:
    report = explain(shop_inputs(climbing(lets_go=True), ALERTED))
    assert (report.false_alarm, report.decided, report.would_decide) == (True, False, ())
    assert report.statement.startswith("Most probably a false alarm")
    assert sum(cause.probability for cause in report.causes) + report.none_probability == pytest.approx(1.0)


def test_one_that_climbs_on_is_none_and_neither_is_one_that_users_noticed() -> None:
    assert not explain(shop_inputs(climbing(lets_go=False), ALERTED)).false_alarm
    noticed = {("catalogue", "latency_p99_ms"): (CALM_MIN + 12, 400.0)}
    assert not explain(shop_inputs(climbing(lets_go=True, strays=noticed), ALERTED)).false_alarm


def test_without_an_alert_no_alarm_is_false() -> None:
    assert not explain(replace(shop_inputs(climbing(lets_go=True), ALERTED), alerted={})).false_alarm


def test_the_course_says_what_is_left_of_the_peak() -> None:
    gone, on = (
        course_of(weigh(shop_inputs(climbing(lets_go), ALERTED), ChangeConfig())[0], "catalogue") for lets_go in (True, False)
    )
    assert gone.peak == gone.resource_peak > 2.0
    assert gone.left < 0.2
    assert on.left == pytest.approx(1.0)
    assert on.resource_min > gone.resource_min > 0.0
    assert gone.alerted == pytest.approx(np.log(2.0))


def test_a_wild_step_is_no_peak() -> None:
    grid = shop_grid({}, MINUTES)
    values = grid.values.copy()
    values[CALM_MIN + 8, grid.series.index(RESOURCE)] += 0.6
    frame = weigh(shop_inputs(SeriesGrid(grid.time_us, grid.series, values), ALERTED), ChangeConfig())[0]
    assert course_of(frame, "catalogue").resource_peak < 1.0


def test_what_requests_show_speaks_against_a_false_alarm() -> None:
    course = AlarmCourse(2.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.7)
    assert log_odds_of_nothing(course) > 0.0
    silent, failing = features(3), features(3, order=np.array([0.0, 6.0, 0.0]))
    assert nothing_began(course, silent) - nothing_began(course, failing) == pytest.approx(6.0 * FITTED.order)


def test_no_course_is_surer_than_what_was_fitted_to() -> None:
    wild = AlarmCourse(*[0.0] * 9, 100.0)
    assert log_odds_of_nothing(wild) == -MOST_SURE
    assert NOTHING.left < 0.0


def test_the_fit_finds_the_weights_that_made_the_alarms() -> None:
    rng, truth = np.random.default_rng(5), CourseWeights(0, 0, 1.5, 0, -2.0, 0, 0, 0, 0, 0, 0.3)
    courses = [AlarmCourse(*row) for row in rng.normal(0, 1, (6000, 10)).tolist()]
    odds = np.array([1.5 * course.resource_peak - 2.0 * course.left + 0.3 for course in courses])
    is_false = rng.random(odds.size) < 1.0 / (1.0 + np.exp(-odds))
    fitted = fitted_course(courses, is_false)
    assert fitted.resource_peak == pytest.approx(truth.resource_peak, abs=0.15)
    assert fitted.left == pytest.approx(truth.left, abs=0.15)
    assert fitted.peak == pytest.approx(0.0, abs=0.15)
    assert fitted == fitted_course(courses, is_false)
    with pytest.raises(TrainingImpossible, match="0 of 6000 alarms are false"):
        fitted_course(courses, np.zeros(6000, dtype=np.bool_))
