"""The surprise detector: what it sees, how it explains itself, that one event is one alarm, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from aiops.errors import ArtifactError, ConfigurationError, StateError
from aiops.types import FloatArray, SeriesBatch
from models.detectors.surprise import SeriesSurprise
from models.detectors.surprise_bank import LIGHT, LIVE, SurpriseBank, SurpriseConfig
from models.detectors.surprise_kernels import BINS, UNSET, empty_arrays, surprise_of, third_least, window_mean
from models.detectors.surprise_rows import alarm_strangeness
from tests.testing.point_batches import MINUTE_US, START_US, Points, regular

SMALL = SurpriseConfig(lags=256)


def batch_of(value: FloatArray, step_us: int = 5 * MINUTE_US) -> SeriesBatch:
    rows = np.arange(value.size)
    return Points(START_US + rows * step_us, np.zeros(value.size, np.int64), value).batch()


def daily(days: int = 10, seed: int = 0) -> FloatArray:
    """Return days of 288 rows: a wave of the day with noise of 1."""
    rows = np.arange(288 * days)
    return 50.0 + 20.0 * np.sin(2.0 * np.pi * rows / 288.0) + np.random.default_rng(seed).normal(0.0, 1.0, rows.size)


def alarms(value: FloatArray, config: SurpriseConfig = SMALL) -> list[int]:
    return np.flatnonzero(SeriesSurprise(config).score(batch_of(value)) >= 0.5).tolist()


def test_an_ordinary_series_seldom_alarms() -> None:
    assert sum(len(alarms(daily(seed=seed))) for seed in range(5)) <= 10, "2 a series of 2,880 rows"


def test_a_spike_is_an_alarm_in_its_row_and_explains_itself() -> None:
    value = daily()
    value[2000] = 160.0
    assert 2000 in alarms(value)
    (why,) = SeriesSurprise(SMALL).explanations(batch_of(value), [2000])
    assert why.score >= 0.5
    by_name = {stream.stream: stream for stream in why.streams}
    seen = by_name["value"]
    assert seen.seen == 160.0
    assert seen.upper == pytest.approx(value[:2000].max())
    assert seen.lower == pytest.approx(value[:2000].min())
    assert seen.expected == seen.upper
    assert seen.share < 0.001
    today = by_name["value at this time of day"]
    assert today.expected == pytest.approx(50.0 + 20.0 * np.sin(2.0 * np.pi * 2000 / 288.0), abs=3.0)
    assert today.lower < today.expected < today.upper < 160.0
    assert "160 where" in why.text
    assert "1 row in 1,9" in why.text


def test_a_value_within_range_at_the_wrong_time_of_day_is_an_alarm() -> None:
    value = daily()
    value[2016 + 216 : 2016 + 222] = 70.0
    assert any(2232 <= row < 2240 for row in alarms(value))


def test_a_lasting_level_shift_is_one_alarm_within_the_quiet_time() -> None:
    value = daily()
    value[2000:] += 60.0
    alarm_rows = [row for row in alarms(value) if row >= 2000]
    assert alarm_rows[0] < 2003
    assert not any(2000 < row <= alarm_rows[0] + SMALL.refractory_rows for row in alarm_rows[1:])


def test_a_slow_shift_leaves_the_range_of_the_longer_windows() -> None:
    value = daily()
    value[2000:] += np.minimum(np.arange(value.size - 2000) * 0.1, 15.0)
    rows = [row for row in alarms(value) if row >= 2000]
    assert rows
    whys = SeriesSurprise(SMALL).explanations(batch_of(value), rows)
    assert any("mean of" in stream.stream for why in whys for stream in why.streams[:2])


def test_unknown_in_warm_up_and_after_a_value_that_is_none() -> None:
    value = daily(1)
    value[100] = np.nan
    score = SeriesSurprise(SMALL).score(batch_of(value))
    assert np.isnan(score[: SMALL.warmup_rows]).all()
    assert np.flatnonzero(np.isnan(score[SMALL.warmup_rows :])).tolist() == [100 - SMALL.warmup_rows]
    (why,) = SeriesSurprise(SMALL).explanations(batch_of(value), [3])
    assert why.text.startswith("unknown")


def test_the_alarm_level_grows_with_the_rows_of_a_series() -> None:
    parameters = replace(SMALL, alarm=4.0, alarm_growth=1.5, alarm_rows=100).parameters()
    assert alarm_strangeness(parameters, 1) == alarm_strangeness(parameters, 100) == 8.0
    assert alarm_strangeness(parameters, 1000) == pytest.approx((4.0 + 1.5 * np.log(10.0)) ** 1.5)
    assert alarm_strangeness(LIVE.parameters(), 10**6) == pytest.approx(LIVE.alarm**1.5), "constant in the stream"


def test_a_longer_history_of_the_same_kind_does_not_alarm_in_proportion() -> None:
    rows = [row for seed in range(3) for row in alarms(daily(40, seed))]
    early = sum(row < 2880 for row in rows)
    assert len(rows) - early <= 2 * early + 3, "three times as many rows come after"


def test_configurations_of_version_0_2_keep_their_constant_level() -> None:
    numbers = replace(LIVE, windows=(1, 24)).numbers()
    old = np.array([1.0, *numbers[1:12], *numbers[14:]])
    assert SurpriseConfig.of_numbers(old) == replace(LIVE, windows=(1, 24))
    assert SeriesSurprise.from_state({"config": old}).config.alarm_growth == 0.0


def test_the_search_for_similar_stretches_can_be_left_out() -> None:
    value = daily()
    value[2000] = 160.0
    assert 2000 in alarms(value, LIGHT)
    assert LIGHT.bytes_per_series() < 6_000 < SMALL.bytes_per_series() < 16_000


def test_series_beyond_the_most_are_unknown_and_take_no_memory() -> None:
    bank = SurpriseBank(replace(SMALL, max_series=1))
    score = bank.score(regular(100).batch())
    assert np.isnan(score[1::2]).all()
    assert np.isfinite(score[2 * SMALL.warmup_rows :: 2]).all()
    assert len(bank) == 1
    for number in range(6):
        rows = np.arange(2_000)
        bank.score(Points(rows, rows, rows * 1.0, tuple(f"new{number}-{row}" for row in rows)).batch())
    assert len(bank) == 1
    assert len(bank.snapshot()["series_id"]) == 1


def test_surprise_is_the_share_of_past_rows_that_deviated_as_much() -> None:
    arrays = empty_arrays(SMALL.parameters(), 1)
    assert surprise_of(arrays, 0, 0, 0.0, 1.0) == 0.0
    assert arrays.top[0, 0] == UNSET
    assert surprise_of(arrays, 0, 0, 1.0, 1.0) == pytest.approx(np.log(3.0))
    assert surprise_of(arrays, 0, 0, 0.5, 1.0) == pytest.approx(np.log(4.0 / 2.0))
    again = surprise_of(arrays, 0, 0, 1.0, 1.0)
    assert again == pytest.approx(np.log(5.0 / 2.0)), "one of three rows, smoothed"
    octave = surprise_of(arrays, 0, 0, 2.0, 1.0)
    assert octave == pytest.approx(np.log(6.0) + 2.0), "two half octaves beyond all"
    assert arrays.counts[0, 0].sum() == 4


def test_counts_survive_deviations_far_apart() -> None:
    arrays = empty_arrays(SMALL.parameters(), 1)
    for deviation in (1e-200, 1e-199, 1.0, 1e100, 5e99, 1e-300):
        surprise_of(arrays, 0, 0, deviation, 1.0)
    assert arrays.counts[0, 0].sum() == 6
    assert arrays.counts[0, 0, BINS - 1] == 1
    assert arrays.counts[0, 0, 0] == 4


def test_window_means_are_those_of_the_newest_rows() -> None:
    parameters = SMALL.parameters()
    arrays = empty_arrays(parameters, 1)
    value = np.random.default_rng(0).normal(0.0, 1.0, 500)
    value[100] = 1e12
    for row, number in enumerate(value):
        for window, width in enumerate(SMALL.windows):
            mean = window_mean(arrays, parameters, 0, window, number)
            if row + 1 >= width and not 100 <= row < 100 + width:
                assert mean == pytest.approx(value[row + 1 - width : row + 1].mean(), rel=1e-9, abs=1e-12), (
                    "no trace of the spike"
                )
        arrays.rows[0] += 1


@pytest.mark.parametrize("count", [0, 2, 3, 8, 9, 100])
def test_third_least(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    expected = np.sort(values)[2] if count >= 3 else np.inf
    assert third_least(values, 0, count) == expected


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"windows": ()}, "windows=()"),
        ({"lags": 3}, "lags=3"),
        ({"lag_decay": 1.0}, "lag_decay=1.0"),
        ({"nearest_lag": 0}, "nearest_lag=0"),
        ({"day_bins": 0}, "day_bins=0"),
        ({"alarm": 0.0}, "alarm=0.0"),
        ({"alarm_growth": -1.0}, "alarm_growth=-1.0"),
        ({"alarm_rows": 0}, "alarm_rows=0"),
        ({"max_series": 0}, "max_series=0"),
    ],
)
def test_a_wrong_configuration_is_named(change: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match="SurpriseConfig") as refused:
        SurpriseConfig(**change)  # type: ignore[arg-type]
    assert says in str(refused.value)


def test_states_of_another_kind_are_refused() -> None:
    model = SeriesSurprise(SMALL)
    assert SeriesSurprise.from_state(model.state()) == model
    numbers = model.state()["config"].copy()
    with pytest.raises(ArtifactError, match="missing"):
        SeriesSurprise.from_state({})
    with pytest.raises(ArtifactError, match="version"):
        SeriesSurprise.from_state({"config": numbers + 1.0})
    with pytest.raises(ArtifactError, match="cannot be used"):
        SeriesSurprise.from_state({"config": np.where(numbers == 256, 3, numbers)})
    kept = model.stream().snapshot()
    with pytest.raises(StateError, match="warm up anew"):
        SeriesSurprise().stream(kept)
    with pytest.raises(StateError, match="damaged"):
        model.stream({name: array for name, array in kept.items() if name != "past"})
    with pytest.raises(StateError, match="low has shape"):
        model.stream({**kept, "low": np.zeros((3, 3))})
