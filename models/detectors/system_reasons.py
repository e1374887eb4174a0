"""Why a step of a system is an alarm: which services and metrics, seen, expected, bounds, and how rare it was in history."""

from dataclasses import dataclass

import numpy as np

from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.series.text import metric_text, series_of
from models.detectors.minute_grid import MinuteGrid
from models.detectors.system_deviation import SystemDeviation, SystemScores


@dataclass(frozen=True, slots=True)
class SeriesReason:
    """What one series adds to the score of a step; `units` = its lasting deviation, `worst_before` the largest in history."""

    service: str
    metric: str
    seen: float
    expected: float
    lower: float
    upper: float
    units: float
    worst_before: float
    history_steps: int
    share: float

    def __str__(self) -> str:
        """Return it in words.

        >>> print(SeriesReason("cart", "delay", 90.0, 10.0, -float("inf"), 14.0, 11.0, 2.5, 240, 0.4))
        cart delay: 90, expected 10, at most 14; 11 units out for two steps, before at most 2.5 in 240 steps (40 % of the score)
        """
        bounds = f"{self.lower:.4g} to {self.upper:.4g}"
        if np.isinf(self.lower):
            bounds = f"at most {self.upper:.4g}"
        elif np.isinf(self.upper):
            bounds = f"at least {self.lower:.4g}"
        return (
            f"{self.service} {self.metric}: {self.seen:.4g}, expected {self.expected:.4g}, {bounds}; "
            f"{self.units:.3g} units out for two steps, before at most {self.worst_before:.3g} in {self.history_steps} steps "
            f"({self.share:.0%} of the score)".replace("%", " %")
        )


def reasons_of(model: SystemDeviation, grid: MinuteGrid, scores: SystemScores, row: int) -> tuple[SeriesReason, ...]:
    """Return what counts at one step of the grid that `scores` judged, the largest share first; empty where nothing does."""
    counted = np.nan_to_num(scores.counted[row])
    columns = np.flatnonzero(counted > 0.0)
    columns = columns[np.lexsort((columns, -scores.lasting[row, columns], -counted[columns]))]
    numbers = np.array([model.place[grid.series[column]] for column in columns.tolist()], dtype=np.int64)
    expected, lower, upper = model.bounds(numbers)
    reasons = []
    for at, (column, number) in enumerate(zip(columns.tolist(), numbers.tolist(), strict=True)):
        key = series_of(grid.series[column], DEFAULT_TENANT)
        reasons.append(
            SeriesReason(
                key.service,
                metric_text(key.metric, key.labels),
                float(grid.values[row, column]),
                float(expected[at]),
                float(lower[at]),
                float(upper[at]),
                float(scores.lasting[row, column]),
                float(model.levels.worst[number]),
                int(model.levels.points[number]),
                float(counted[column] / counted.sum()),
            )
        )
    return tuple(reasons)
