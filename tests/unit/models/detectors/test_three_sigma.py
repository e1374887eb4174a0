"""The trivial rule: three standard deviations of what came before, of one series and of a whole system."""

import numpy as np
import pytest

from models.detectors.minute_grid import MinuteGrid
from models.detectors.three_sigma import FEWEST_ROWS, SystemThreeSigma, three_sigma_so_far

STILL = 7.0


def grid(values: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> MinuteGrid:
    return MinuteGrid(0, 60, tuple(f"s{number}|latency_p50_ms" for number in range(values.shape[1])), values)


def test_three_standard_deviations_score_one_half_and_the_first_rows_are_unknown() -> None:
    score = three_sigma_so_far(np.array([1.0, 3.0] * 10 + [5.0]))
    assert score[-1] == pytest.approx(0.5)
    assert np.isnan(score[:FEWEST_ROWS]).all()
    assert np.isfinite(score[FEWEST_ROWS:]).all()


def test_a_system_alarms_from_more_values_than_ever_in_its_history_and_a_constant_series_never() -> None:
    rng = np.random.default_rng(3)
    history = np.column_stack([rng.normal(size=(400, 5)), np.full(400, STILL)])
    rule = SystemThreeSigma.fit(grid(history), headroom=1.5)
    assert rule.alarm_count == 1.5, "at most one value at a time lay beyond"
    now = np.vstack([np.append(np.full(5, 9.0), 100.0), np.append(np.zeros(5), STILL)])
    assert rule.judge(grid(now)).tolist() == [pytest.approx(5 / 1.5), 0.0]
