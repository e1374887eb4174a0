"""Alarm levels of points: looked up by slot, each series asked for once."""

from collections.abc import Sequence

import numpy as np

from aiops.detection.levels import NO_ALARM_Z, CatalogueLevels, LevelTable
from aiops.detection.point_severity import ScoredPoints, severities_of
from aiops.types import FloatArray, PointStatus
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


def test_the_inner_work_of_a_process_never_alarms_and_shows_bounds_all_the_same() -> None:
    known = [named("aiops|aiops_alerts_in_total"), named("api|go_gc_duration_seconds"), named("api|latency_p99_ms")]
    levels = LevelTable(CatalogueLevels()).columns(known)
    assert levels[0, :3].tolist() == [NO_ALARM_Z, NO_ALARM_Z, 6.0]
    figures = (np.full(3, 99.0), np.full(3, 89.0), np.full(3, 10.0), np.ones(3), np.zeros(3, np.bool_))
    points = ScoredPoints(np.full(3, PointStatus.SCORED, np.int8), np.arange(3, dtype=np.int32), *figures)
    severities = severities_of(points, levels)
    assert severities.upper.tolist() == [16.0, 16.0, 16.0]
    assert (severities.severity >= 1.0).tolist() == [False, False, True]


def test_many_series_grow_the_table() -> None:
    table = LevelTable(NumberedLevels())
    known = [SeriesName(number, f"s{number}", "cpu", "") for number in range(3000)]
    assert table.columns(known)[0, 2999] == sum(map(ord, "s2999|cpu"))
