"""The trivial rule that detectors are measured against: three standard deviations, of one series or of a whole system."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.types import FloatArray
from models.detectors.deviation_levels import DeviationConfig
from models.detectors.minute_grid import MinuteGrid

SIGMAS: Final = 3.0
FEWEST_ROWS: Final = 10
"""Earlier rows of a series below which nothing is known of it."""


def three_sigma_so_far(value: FloatArray) -> FloatArray:
    """Return (n,) scores by mean and deviation of all earlier rows: 1 - 2**(-|z| / 3), so 3 standard deviations are 0.5.

    NaN = unknown: fewer than `FEWEST_ROWS` rows came before.
    """
    before = np.arange(len(value))
    sums, squares = (np.concatenate([[0.0], np.cumsum(value**power)[:-1]]) for power in (1, 2))
    mean = sums / np.maximum(before, 1)
    deviation = np.sqrt(np.maximum(squares / np.maximum(before, 1) - mean**2, 0.0))
    z = np.abs(value - mean) / np.maximum(deviation, 1e-9)
    return np.where(before >= FEWEST_ROWS, 1.0 - np.exp2(-z / SIGMAS), np.nan)


@dataclass(frozen=True, slots=True, eq=False)
class SystemThreeSigma:
    """Mean and standard deviation of every series (s,), and how many values beyond them are an alarm."""

    mean: FloatArray
    spread: FloatArray
    alarm_count: float

    @classmethod
    def fit(cls, history: MinuteGrid, headroom: float = DeviationConfig().headroom) -> "SystemThreeSigma":
        """Return the rule of fault-free history: an alarm is `headroom` times as many values beyond as at most there."""
        known = np.isfinite(history.values)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, history.values, 0.0).sum(axis=0) / count
        spread = np.sqrt((np.where(known, history.values - mean, 0.0) ** 2).sum(axis=0) / count)
        rule = cls(mean, spread, 1.0)
        return cls(mean, spread, max(1.0, headroom * float(rule.judge(history).max(initial=0.0))))

    def judge(self, grid: MinuteGrid) -> FloatArray:
        """Return (steps,) how many values lie beyond three standard deviations, 1 = alarm; constant series never do."""
        with np.errstate(invalid="ignore"):
            beyond = (np.abs(grid.values - self.mean) > SIGMAS * self.spread) & (self.spread > 0.0)
        return np.asarray(beyond.sum(axis=1), dtype=np.float64) / self.alarm_count
