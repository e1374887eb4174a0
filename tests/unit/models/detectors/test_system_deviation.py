"""The system score: what raises an alarm, what does not, when, and how it explains itself."""

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import ArtifactError, StateError, TrainingImpossible
from aiops.types import SeriesBatch
from models.detectors.deviation_levels import DeviationConfig
from models.detectors.minute_grid import MinuteGrid
from models.detectors.system_deviation import SystemDeviation
from models.detectors.system_reasons import reasons_of
from tests.testing.series_names import points_of_table
from tests.testing.system_grids import quiet, with_fault, with_values

MODEL = SystemDeviation.fit(quiet())
CALM = quiet(400, seed=1)


def alarms(grid: MinuteGrid, model: SystemDeviation = MODEL) -> list[int]:
    return np.flatnonzero(model.judge(grid).score >= model.threshold).tolist()


def with_column(grid: MinuteGrid, name: str, rows: slice, value: float) -> MinuteGrid:
    values = grid.values.copy()
    values[rows, grid.series.index(name)] = value
    return with_values(grid, values)


def test_nothing_happens_nothing_alarms() -> None:
    assert alarms(CALM) == []
    assert np.isfinite(MODEL.judge(CALM).score[6:]).all()


def test_a_fault_is_one_alarm_in_its_second_minute_and_decays_while_it_lasts() -> None:
    scores = MODEL.judge(with_fault(CALM, "service-1", 200, 30)).score
    assert alarms(with_fault(CALM, "service-1", 200, 30))[0] == 201
    assert (scores[205:230] < 1.0).all()
    assert (scores[230:260] < 1.0).all()


def test_the_next_fault_eight_minutes_later_is_an_alarm_of_its_own() -> None:
    twice = with_fault(with_fault(CALM, "service-1", 200, 4), "service-2", 208, 4)
    alarm_steps = alarms(twice)
    assert 201 in alarm_steps
    assert 209 in alarm_steps
    assert not {206, 207, 208} & set(alarm_steps)


def test_one_series_is_no_alarm_and_neither_is_one_minute() -> None:
    assert alarms(with_column(CALM, "service-0|latency_p99_ms", slice(200, 210), 1e6)) == []
    assert alarms(with_fault(CALM, "service-1", 200, 1, factor=100.0)) == []


@pytest.mark.parametrize(("factor", "expected"), [(8.0, True), (1 / 8.0, False)])
def test_faster_answers_and_fewer_errors_are_no_alarm(factor: float, expected: bool) -> None:
    assert bool(alarms(with_fault(CALM, "service-1", 200, 5, factor=factor))) is expected


def test_less_traffic_counts_and_more_does_not() -> None:
    for value, alarming in ((0.0, True), (5_000.0, False)):
        both = with_column(CALM, "service-1|requests_per_second", slice(200, 205), value)
        both = with_column(both, "service-2|requests_per_second", slice(200, 205), value)
        assert (201 in alarms(both)) is alarming


def test_what_stood_all_through_the_last_hour_is_not_news() -> None:
    shifted = with_fault(CALM, "service-1", 100, 300)
    level = MODEL.judge(shifted).level
    assert level[110] > 1.0
    assert (level[170:] < 0.5).all()
    assert 251 in alarms(with_fault(shifted, "service-2", 250, 5))


def test_a_silent_service_and_a_new_one_do_no_harm() -> None:
    values = CALM.values.copy()
    values[150:, :5] = np.nan
    assert alarms(with_values(CALM, values)) == []
    fault = with_fault(CALM, "service-1", 200, 5)
    more = MinuteGrid(0, 60, (*fault.series, "unheard|latency_p50_ms"), np.column_stack([fault.values, np.arange(400.0)]))
    np.testing.assert_array_equal(MODEL.judge(more).score, MODEL.judge(fault).score)


def test_unknown_is_not_normal() -> None:
    scores = MODEL.judge(CALM).score
    assert np.isnan(scores[: DeviationConfig().recent_steps + 1]).all()
    values = CALM.values.copy()
    values[100] = np.nan
    again = MODEL.judge(with_values(CALM, values)).score
    assert np.isnan(again[100:102]).all()
    assert np.isfinite(again[102:]).all()
    stranger = MinuteGrid(0, 60, ("unheard|cpu",), np.ones((20, 1)))
    assert np.isnan(MODEL.judge(stranger).score).all()
    assert MODEL.judge(CALM.within(0, 0)).score.shape == (0,)


def test_constant_series_are_measured_too() -> None:
    flat = with_values(quiet(), np.ones_like(quiet().values))
    model = SystemDeviation.fit(flat)
    assert alarms(flat, model) == []
    assert 201 in alarms(with_fault(flat, "service-1", 200, 5), model)
    nothing = with_values(quiet(), np.zeros_like(quiet().values))
    broken = with_column(
        with_column(nothing, "service-0|error_rate", slice(200, 210), 0.5), "service-1|error_rate", slice(200, 210), 0.5
    )
    assert 201 in alarms(broken, SystemDeviation.fit(nothing))


def test_a_restless_history_raises_the_alarm_level() -> None:
    values = quiet().values.copy()
    values[150:] = quiet(noise=0.8, seed=4).values[150:]
    assert SystemDeviation.fit(with_values(quiet(), values)).alarm_level > MODEL.alarm_level == 10.0


def test_an_alarm_says_which_service_what_was_seen_and_how_rare_it_is() -> None:
    fault = with_fault(CALM, "service-1", 200, 5)
    reasons = reasons_of(MODEL, fault, MODEL.judge(fault), 201)
    assert {reason.service for reason in reasons} == {"service-1"}
    assert sum(reason.share for reason in reasons) == pytest.approx(1.0)
    for reason in reasons:
        assert reason.seen > reason.upper > reason.expected > 0.0
        assert reason.units > 2.0 > reason.worst_before
        assert reason.history_steps == 300
        assert f"{reason.seen:.4g}, expected {reason.expected:.4g}" in str(reason)
    assert reasons_of(MODEL, CALM, MODEL.judge(CALM), 0) == ()


def test_state_and_back_is_the_same_model() -> None:
    again = SystemDeviation.from_state({name: array.copy() for name, array in MODEL.state().items()})
    assert (again.series, again.alarm_level, again.config) == (MODEL.series, MODEL.alarm_level, MODEL.config)
    np.testing.assert_array_equal(again.judge(CALM).score, MODEL.judge(CALM).score)
    state = dict(MODEL.state())
    state["levels"] = state["levels"][:, :-1]
    with pytest.raises(ArtifactError, match="save the model again"):
        SystemDeviation.from_state(state)


def test_too_short_a_history_is_refused() -> None:
    with pytest.raises(TrainingImpossible, match="30 known steps"):
        SystemDeviation.fit(quiet(29))


def rows(grid: MinuteGrid) -> SeriesBatch:
    steps, series = grid.values.shape
    table = pa.table(
        {
            "timestamp": np.repeat(grid.times_us, series),
            "service": [name.partition("|")[0] for name in grid.series] * steps,
            "metric": [name.partition("|")[2] for name in grid.series] * steps,
            "value": grid.values.ravel(),
        }
    )
    return points_of_table(table)


def test_rows_are_scored_by_their_own_series() -> None:
    fault = with_fault(CALM, "service-1", 200, 5)
    scores = MODEL.score(rows(fault)).reshape(fault.values.shape)
    late = fault.series.index("service-1|latency_p99_ms")
    assert scores[200, late] < 0.5 <= scores[201, late]
    assert np.nanmax(np.delete(scores, [i for i, name in enumerate(fault.series) if name.startswith("service-1")], axis=1)) < 0.5


def test_a_damaged_snapshot_is_refused() -> None:
    stream = MODEL.stream()
    stream.score(rows(quiet(80)))
    state = dict(stream.snapshot())
    assert state["counts"].tolist() == [DeviationConfig().standing_steps + 1] * len(MODEL.series)
    for damaged in ({**state, "z": state["z"][:-1]}, {name: state[name] for name in ("series", "z")}):
        with pytest.raises(StateError, match="remove the snapshot"):
            MODEL.stream(damaged)
