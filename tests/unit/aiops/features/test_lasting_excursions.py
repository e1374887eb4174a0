"""What is no alarm of tier 1: an excursion that has not lasted; and how far a move by the least step of a series is."""

import numpy as np
import numpy.typing as npt
import pytest

from aiops.detection.point_severity import ScoredPoints, severities_of
from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.engine_output import EngineOutput
from aiops.features.engine_snapshot import BEFORE_STEPS
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray
from tests.unit.aiops.features.test_level_shifts import batch_of

GRAPH = ServiceGraph.from_pairs(())
BEGINS = 300
ALARM = 6.0


def scored(values: FloatArray, step_s: int) -> EngineOutput:
    return FeatureEngine(EngineConfig(), GRAPH).update(batch_of(values, step_s))


def noise(count: int = 340) -> FloatArray:
    return 100.0 + np.random.default_rng(5).normal(0.0, 5.0, count)


@pytest.mark.parametrize(("step_s", "points"), [(5, 9), (10, 5), (15, 3), (30, 2), (60, 1), (300, 1)])
def test_an_excursion_is_an_alarm_once_it_covers_three_quarters_of_a_minute(step_s: int, points: int) -> None:
    values = noise()
    values[BEGINS : BEGINS + 12] += 300.0
    output = scored(values, step_s)
    assert (output.z[BEGINS : BEGINS + 12] >= ALARM).all(), "the score is what it is at once"
    lasting = np.flatnonzero(~output.brief[BEGINS : BEGINS + 12])
    assert lasting.min() == points - 1
    assert not output.brief[BEGINS + 12 :].any()


def test_points_that_are_brief_have_no_severity_of_an_alarm_whatever_their_level() -> None:
    z, fitted = np.array([7.0, -90.0, 90.0, 2.0]), np.array([6.0, 6.0, 40.0, 6.0])
    brief = np.array([True, True, True, False])
    assert (severities(z, fitted, brief) < 1.0).all()
    assert (severities(z, fitted, ~brief)[:3] >= 1.0).all()


def severities(z: FloatArray, fitted: FloatArray, brief: npt.NDArray[np.bool_]) -> FloatArray:
    """Return the severities of points of a series each, inside all limits."""
    status, slot = np.zeros(z.size, np.int8), np.arange(z.size, dtype=np.int32)
    points = ScoredPoints(status, slot, z, z, np.zeros(z.size), np.ones(z.size), brief)
    return severities_of(points, np.stack([fitted, np.full(z.size, -np.inf), np.full(z.size, np.inf)])).severity


@pytest.mark.parametrize(("points", "abnormal"), [(2, False), (4, True)])
def test_the_feature_abnormality_counts_what_lasted(points: int, abnormal: bool) -> None:
    values = noise()
    values[BEGINS + 1 : BEGINS + 1 + points] += 300.0
    rows = scored(values, 15).series_features
    assert bool(np.nanmax(np.array(rows["abnormality"].to_pylist(), dtype=float)[-20:]) >= 0.5) is abnormal


@pytest.mark.parametrize("level", [0.0, 5e9])
@pytest.mark.parametrize("step", [1.0 / 15.0, 1.0, 5e9])
def test_the_first_move_of_a_still_series_is_just_beyond_its_bound_and_not_as_far_as_one_can_be(
    level: float, step: float
) -> None:
    values = np.full(340, level)
    values[BEGINS:] += step
    z = scored(values, 60).z[BEGINS]
    assert z <= 6.5 * 1.001
    assert level > 0.0 or z >= ALARM


@pytest.mark.parametrize(("metric", "z"), [("up", 100.0), ("probe_success", 100.0), ("queue_length", 6.5)])
def test_where_the_range_is_known_so_is_how_far_the_first_move_is(metric: str, z: float) -> None:
    values = np.ones(340)
    values[BEGINS:] = 0.0
    output = FeatureEngine(EngineConfig(), GRAPH).update(batch_of(values, metric=metric))
    assert output.z[BEGINS] == pytest.approx(-z, rel=1e-3)


def test_a_still_series_that_leaves_its_level_far_behind_is_far_beyond_its_bound() -> None:
    values = np.full(340, 0.05)
    values[BEGINS:] = 1.0
    assert scored(values, 60).z[BEGINS] > 60.0


def test_far_beyond_its_least_step_a_series_is_far_beyond_its_bound() -> None:
    values = np.zeros(340)
    values[100], values[BEGINS] = 1.0, 50.0
    assert scored(values, 60).z[BEGINS] > 40.0


def test_a_state_of_before_there_were_least_steps_goes_on_without_them() -> None:
    engine = FeatureEngine(EngineConfig(), GRAPH)
    engine.update(batch_of(np.zeros(100)))
    state = dict(engine.snapshot()) | {"version": np.array([BEFORE_STEPS])}
    del state["series_step"]
    assert FeatureEngine.restore(EngineConfig(), GRAPH, state).snapshot()["series_step"].tolist() == [0.0]


def test_the_floor_of_a_scale_is_what_the_name_of_the_series_says_today_whatever_a_state_says() -> None:
    engine = FeatureEngine(EngineConfig(), GRAPH)
    engine.update(batch_of(np.ones(100), metric="up"))
    state = engine.snapshot()
    assert state["series_floor"].tolist() != [0.0]
    earlier = dict(state) | {"series_floor": np.zeros(1)}
    assert (
        FeatureEngine.restore(EngineConfig(), GRAPH, earlier).snapshot()["series_floor"].tolist()
        == state["series_floor"].tolist()
    )
