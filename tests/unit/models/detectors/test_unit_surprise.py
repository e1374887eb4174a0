"""The detector of units: it sees what is rare in few metrics, in many, and what lasts, and knows when it knows nothing."""

import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import ArtifactError, ConfigurationError, StateError, TrainingImpossible
from aiops.types import FloatArray, SeriesBatch
from models.detectors.unit_kernels import CHANGE, DAY, KINDS, LEVEL, OUTSIDE, UnitWindows, deviations, lasting, sparse_and_dense
from models.detectors.unit_normal import UnitConfig, UnitNormal
from models.detectors.unit_rows import unit_grids, units_of
from models.detectors.unit_stream import UnitStream
from models.detectors.unit_surprise import UnitSurprise
from models.detectors.unit_tails import LEAST_ROWS, Tails
from tests.testing.unit_tables import DAY_ROWS, STEP_S, batch_of_unit, daily

CONFIG = UnitConfig(step_s=STEP_S)
TRAIN_DAYS = 12
WHOLE = daily(TRAIN_DAYS + 3)
TRAIN_ROWS = TRAIN_DAYS * DAY_ROWS
TEST = WHOLE[TRAIN_ROWS:]
MODEL = UnitSurprise.fit(batch_of_unit(WHOLE[:TRAIN_ROWS]), CONFIG)


def scores(values: FloatArray, model: UnitSurprise = MODEL) -> FloatArray:
    """Return a score a row of the test part."""
    score = model.score(batch_of_unit(values, TRAIN_ROWS)).reshape(values.shape)
    np.testing.assert_array_equal(score, score[:, :1].repeat(values.shape[1], axis=1))
    return score[:, 0]


def test_nothing_strange_is_no_alarm_and_known_from_the_first_row() -> None:
    score = scores(TEST)
    assert np.isfinite(score).all(), "the end of the training part fills the windows"
    assert (score >= 0.5).sum() <= 2


def test_a_jump_of_three_metrics_for_a_moment_alarms_at_once() -> None:
    values = TEST.copy()
    values[400:403, 1:4] *= 3.0
    assert scores(values)[400] >= 0.5
    assert (scores(values)[:400] < 0.5).all()


def test_a_small_shift_of_all_metrics_alarms_though_none_is_far_out() -> None:
    values = TEST.copy()
    values[400:424] *= 1.0 + 0.12
    alone = TEST.copy()
    alone[400:424, :1] *= 1.0 + 0.12
    assert scores(values)[400:424].max() >= 0.5 > scores(alone)[400:424].max()


def test_what_lasts_scores_more_than_what_does_not() -> None:
    values = TEST.copy()
    values[300:500, 2:5] *= 1.08
    score = scores(values)
    assert np.median(score[400:500]) > np.median(score[:300]) + 0.1


def test_size_and_unit_of_a_metric_do_not_matter() -> None:
    factor = np.array([1e-9, 1.0, 1e9, 3.0, 1.0, 1e3, 7.0, 1e-3])
    other = UnitSurprise.fit(batch_of_unit(WHOLE[:TRAIN_ROWS] * factor), CONFIG)
    values = TEST.copy()
    values[400:403, 1:4] *= 3.0
    np.testing.assert_allclose(scores(values * factor, other), scores(values), rtol=1e-6)


def test_anomalies_in_the_training_part_do_not_hide_others_like_them() -> None:
    train = WHOLE[:TRAIN_ROWS].copy()
    for begin in (500, 1200, 2100, 3000):
        train[begin : begin + 6] *= 1.5
    model = UnitSurprise.fit(batch_of_unit(train), CONFIG)
    values = TEST.copy()
    values[400:406] *= 1.5
    assert scores(values, model)[400:406].max() >= 0.5


def test_a_metric_that_stood_still_and_moves_is_no_error_and_missing_values_are_left_out() -> None:
    train, values = WHOLE[:TRAIN_ROWS].copy(), TEST.copy()
    train[:, 0] = 7.0
    values[:, 0] = 7.0
    model = UnitSurprise.fit(batch_of_unit(train), CONFIG)
    before = scores(values, model)
    values[400:, 0] = 8.0
    assert (scores(values, model)[400:410] > before[400:410]).all()
    values[420:440, 3] = np.nan
    assert np.isfinite(scores(values, model)).all()
    values[500:520] = np.nan
    assert np.isnan(scores(values, model)[500:520]).all()


def test_a_unit_without_a_past_is_unknown_for_half_an_hour() -> None:
    model = UnitSurprise.fit(batch_of_unit(WHOLE[:TRAIN_ROWS]), CONFIG)
    score = model.score(batch_of_unit(WHOLE)).reshape(WHOLE.shape)[:, 0]
    assert model.lookback == 6
    assert np.isnan(score[:6]).all()
    assert np.isfinite(score[6:]).all()
    other = model.score(batch_of_unit(TEST, TRAIN_ROWS, service="other"))
    assert np.isnan(other).all()
    late = model.stream()
    late.score(batch_of_unit(TEST[10:20], TRAIN_ROWS + 10))
    assert np.isnan(late.score(batch_of_unit(TEST[:10], TRAIN_ROWS))).all(), "behind what was scored"


def test_after_a_gap_longer_than_the_windows_a_unit_warms_up_anew() -> None:
    score = MODEL.score(batch_of_unit(TEST, 100 * TRAIN_ROWS)).reshape(TEST.shape)[:, 0]
    assert np.isnan(score[:7]).all(), "the first row is far ahead: it waits for the second"
    assert np.isfinite(score[7:]).all()


def joined(*batches: SeriesBatch) -> SeriesBatch:
    """Return the points of batches one behind the other."""
    table = pa.Table.from_batches([batch.table for batch in batches]).unify_dictionaries()
    return SeriesBatch(table.combine_chunks().to_batches()[0])


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("begun", [False, True])
def test_one_point_far_ahead_silences_nothing(whole: bool, begun: bool) -> None:
    """A point of a clock that is 30 days ahead, then a day of good ones, cut behind it or not."""
    before = [batch_of_unit(TEST[:10], TRAIN_ROWS)] if begun else []
    far = batch_of_unit(TEST[:1], TRAIN_ROWS + 30 * DAY_ROWS)
    begin = 10 if begun else 0
    good = batch_of_unit(TEST[begin : begin + DAY_ROWS], TRAIN_ROWS + begin)
    batches = [*before, far, good]
    stream = MODEL.stream()
    score = np.concatenate([stream.score(batch) for batch in ([joined(*batches)] if whole else batches)])
    expected = MODEL.score(joined(*before, good))
    assert np.isnan(score[-len(good) - len(far) : -len(good)]).all()
    np.testing.assert_array_equal(score[-len(good) :], expected[-len(good) :])
    assert np.isfinite(score[-len(good) :]).all()


def test_a_point_within_an_hour_ahead_moves_the_clock_as_ever() -> None:
    for ahead, moves in ((CONFIG.windows.ahead - 1, True), (CONFIG.windows.ahead, False)):
        stream = MODEL.stream()
        stream.score(batch_of_unit(TEST[:1], TRAIN_ROWS + ahead))
        behind = stream.score(batch_of_unit(TEST[:2], TRAIN_ROWS))
        assert np.isnan(behind).all() == moves


def test_a_long_gap_within_a_batch_allocates_what_is_kept_and_no_more() -> None:
    """20 years between two halves of a batch: 2.1 million rows of 8 series are 135 MB, a week is 0.1."""
    years = 20 * 365 * DAY_ROWS
    batch = joined(batch_of_unit(TEST[:50], TRAIN_ROWS), batch_of_unit(TEST[50:100], TRAIN_ROWS + years))
    stream = MODEL.stream()
    tracemalloc.start()
    score = stream.score(batch).reshape(100, -1)[:, 0]
    fitted = unit_grids(batch, STEP_S, CONFIG.windows)["unit"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
    assert np.isfinite(score[:50]).all()
    assert np.isfinite(score[57:]).all()
    assert len(fitted.values) == 100 + CONFIG.windows.kept
    np.testing.assert_array_equal(fitted.values[-50:], TEST[50:100])


def test_one_last_step_far_ahead_is_no_part_of_the_history() -> None:
    history = joined(batch_of_unit(WHOLE[:TRAIN_ROWS]), batch_of_unit(TEST[:1], TRAIN_ROWS + 30 * DAY_ROWS))
    np.testing.assert_array_equal(scores(TEST, UnitSurprise.fit(history, CONFIG)), scores(TEST))


def test_units_and_series_are_told_apart() -> None:
    both = [batch_of_unit(TEST[:3], service=name).table for name in ("b", "a")]
    batch = SeriesBatch(pa.Table.from_batches(both).unify_dictionaries().combine_chunks().to_batches()[0])
    points = units_of(batch, STEP_S)
    assert list(points) == ["a", "b"]
    grid = unit_grids(batch, STEP_S, CONFIG.windows)["b"]
    assert grid.series[0] == "b|m00"
    np.testing.assert_array_equal(grid.values, TEST[:3])
    assert isinstance(MODEL.stream(), UnitStream)


def test_a_state_gives_the_same_scores_and_a_damaged_one_is_refused() -> None:
    state = MODEL.state()
    again = UnitSurprise.from_state({name: array.copy() for name, array in state.items()})
    np.testing.assert_array_equal(scores(TEST, again), scores(TEST))
    with pytest.raises(ArtifactError, match="do not fit"):
        UnitSurprise.from_state({**state, "0_levels": np.zeros((2, 3))})
    with pytest.raises(ArtifactError, match="8 numbers"):
        UnitSurprise.from_state({**state, "config": np.zeros(3)})
    snapshot = dict(MODEL.stream().snapshot())
    with pytest.raises(StateError, match="do not fit"):
        MODEL.stream({**snapshot, "lasting": np.zeros(2)})
    with pytest.raises(StateError, match="remove the snapshot"):
        MODEL.stream({})


def test_too_little_to_fit_and_settings_out_of_range_are_refused() -> None:
    with pytest.raises(TrainingImpossible, match="longer training part"):
        UnitSurprise.fit(batch_of_unit(WHOLE[: LEAST_ROWS - 1]), CONFIG)
    with pytest.raises(TrainingImpossible, match="none of 2 metrics"):
        UnitNormal.fit(np.full((500, 2), np.nan), CONFIG)
    for wrong in ({"step_s": 0}, {"days": 0}, {"top": 0}, {"dense_nats": 0.0}):
        with pytest.raises(ConfigurationError):
            UnitConfig(**wrong)  # type: ignore[arg-type]


def test_deviations_are_those_of_the_definition() -> None:
    windows = UnitWindows(hour=4, day=10, short=3, long=6, days=2, least_days=1)
    z = np.zeros((1, 40))
    z[0, 20:] = np.arange(20.0)
    away = deviations(z, 0, windows)
    assert away.shape == (1, KINDS, 40)
    assert away[0, LEVEL, 30] == 10.0
    assert away[0, CHANGE, 30] == 10.0 - np.median([6.0, 7.0, 8.0, 9.0])
    assert away[0, DAY, 38] == pytest.approx(18.0 - np.median([np.mean([6, 7, 8]), 0.0]))
    assert away[0, OUTSIDE, 38] == pytest.approx(18.0 - 7.0)
    assert np.isnan(away[0, DAY, :10]).all()
    np.testing.assert_array_equal(deviations(z, 25, windows)[0], away[0, :, 25:])


def test_tails_say_how_rare_a_deviation_was() -> None:
    drawn = np.abs(np.random.default_rng(0).normal(size=(1, KINDS, 20_000)))
    tails = Tails.fit(drawn)
    knots = tails.knots[0, 0]
    for share in (0.5, 0.1, 0.01):
        value = np.quantile(drawn[0, 0], 1.0 - share)
        assert np.interp(value, knots[0][np.isfinite(knots[0])], knots[1][np.isfinite(knots[1])]) == pytest.approx(
            -np.log(share), abs=0.1
        )
    assert tails.joins[0, 0, 0, 1] == pytest.approx(np.log(200))
    assert tails.joins[0, 0, 1, 1] == pytest.approx(np.log(50))


def test_few_and_many_and_lasting() -> None:
    surprise = np.zeros((2, KINDS, 1, 4))
    surprise[0, :, 0] = [9.0, 1.0, 6.0, 3.0]
    surprise[1, :, 0] = [2.0, 0.0, np.nan, 0.0]
    few, many = sparse_and_dense(surprise, 3)
    assert few[0, 0] == 6.0
    assert many[0, 0] == 1.0
    np.testing.assert_allclose(lasting(np.array([8.0, np.nan, 0.0]), 0.0, 0.5), [4.0, 4.0, 2.0])
