"""Alarm levels of points: looked up by slot, each series asked for once."""

from collections.abc import Sequence

import numpy as np

from aiops.detection.levels import NO_ALARM_Z, CatalogueLevels, LevelTable
from aiops.types import FloatArray
from data_contracts.series.series_name import SeriesName
from tests.testing.series_names import named


class NumberedLevels:
    """Levels told apart by the names; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def alarm_for(self, series: Sequence[SeriesName]) -> tuple[FloatArray, FloatArray, FloatArray]:
        self.asked += len(series)
        size = np.array([float(sum(map(ord, name.text))) for name in series])
        return size, -size, 2 * size


def test_levels_are_aligned_to_points_and_each_series_is_asked_once() -> None:
    levels = NumberedLevels()
    table = LevelTable(levels)
    known = [named("a|cpu"), named("b|cpu")]
    for slots in ([1, 0, 1], [1, 1, 0], [2, 0, 3, 2]):
        if max(slots) > 1:
            known = [*known, named("a|mem"), named('b|mem{zone="x"}')]
        alarm_z, _, high = table.columns(known)[:, slots]
        expected = [float(sum(map(ord, known[slot].text))) for slot in slots]
        assert alarm_z.tolist() == expected
        assert high.tolist() == [2 * size for size in expected]
    assert levels.asked == 4


def test_a_series_that_follows_from_the_suites_own_alarms_never_alarms() -> None:
    known = [named("aiops|aiops_alerts_in_total"), named("aiops|aiops_lag_seconds")]
    own, other = LevelTable(CatalogueLevels()).look_up(known, np.arange(2, dtype=np.int32)).alarm_z
    assert own == NO_ALARM_Z
    assert other == 6.0


def test_many_series_grow_the_table() -> None:
    table = LevelTable(NumberedLevels())
    known = [SeriesName(number, f"s{number}", "cpu", "") for number in range(3000)]
    assert table.columns(known)[0, 2999] == sum(map(ord, "s2999|cpu"))
