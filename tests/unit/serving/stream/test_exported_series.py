"""Which series are exported: those with a finding lately and those that globs select, within the room there is."""

import math

import numpy as np
import pytest

from aiops.detection.decision import SUPPORT_SCORE
from aiops.detection.worst_point import Finding
from data_contracts.series.finding_metrics import FINDING_METRICS
from serving.stream.consumer.export import picked_points
from serving.stream.consumer.export.exported_series import EngineExport, ExportRules, Room
from serving.stream.consumer.export.exposition import exposition
from serving.stream.consumer.export.picked_points import PointPicker
from tests.testing.judged_points import JudgedRow, judged_points
from tests.testing.series_names import named

SERIES = [named(text) for text in ("cart|cpu", 'cart|errors{zone="a"}', "web|cpu")]
KEEP_US = 60_000_000


def engine(select: tuple[str, ...] = (), places: int = 10) -> EngineExport:
    return EngineExport("default", ExportRules(select, places, KEEP_US), Room(places))


def offered(export: EngineExport, *rows: JudgedRow) -> list[tuple[str, int]]:
    """Offer points and return service|metric and second of those that are exported."""
    export.picker.offer(judged_points(SERIES, rows))
    return [
        (f"{dict(new.series.labels)['service']}|{dict(new.series.labels)['metric']}", new.sample.timestamp_ms // 1000)
        for new in export.collect()
    ]


def test_a_series_is_exported_from_its_finding_on_and_for_a_time_after_it() -> None:
    export = engine()
    assert offered(export, JudgedRow(0, 0)) == []
    assert offered(export, JudgedRow(0, 10, severity=1.0), JudgedRow(2, 10)) == [("cart|cpu", 10)]
    assert offered(export, JudgedRow(0, 20), JudgedRow(2, 20)) == [("cart|cpu", 20)]
    assert offered(export, JudgedRow(0, 80)) == [("cart|cpu", 80)]
    assert offered(export, JudgedRow(0, 90)) == []
    assert export.room.free == 10


def test_series_that_a_glob_selects_are_exported_always() -> None:
    export = engine(("cart|*",))
    offered(export, JudgedRow(0, 0), JudgedRow(1, 0), JudgedRow(2, 0))
    assert offered(export, JudgedRow(0, 10), JudgedRow(1, 10), JudgedRow(2, 10)) == [("cart|cpu", 10), ("cart|errors", 10)]
    assert offered(export, JudgedRow(0, 1000)) == [("cart|cpu", 1000)]


def test_what_there_is_no_room_for_waits_and_is_counted() -> None:
    export = engine(places=1)
    assert offered(export, JudgedRow(0, 0, severity=2.0), JudgedRow(1, 0, severity=9.0)) == [("cart|cpu", 0)]
    assert export.left_out == 1
    assert offered(export, JudgedRow(1, 100, severity=2.0)) == []
    assert offered(export, JudgedRow(1, 110, severity=2.0)) == [("cart|errors", 110)]
    assert export.left_out == 0


def test_a_selected_series_gets_the_place_of_one_that_fell_silent() -> None:
    export = engine(("*|*",), places=2)
    for time_s in (0, 10, 100, 110):
        offered(export, JudgedRow(0, time_s), JudgedRow(2, time_s))
    assert {dict(series.labels)["service"] for series in export.held.values()} == {"cart", "web"}
    assert export.room.free == 0


def test_what_is_exported_is_what_was_judged() -> None:
    export = engine()
    finding = Finding("stuck", True)
    rows = (JudgedRow(1, 5, value=7.0, severity=3.0), JudgedRow(1, 6, value=8.0, severity=2.0, finding=finding))
    export.picker.offer(judged_points(SERIES, rows))
    first, second = (new.sample for new in export.collect())
    assert first == (5000, 7.0, 0.3, 2.0, 1.0, 3.0)
    assert second.score == SUPPORT_SCORE
    assert tuple(FINDING_METRICS) == ("aiops_value", "aiops_anomaly_score", "aiops_expected", "aiops_lower", "aiops_upper")


def test_points_of_no_series_and_points_without_a_view_are_not_picked() -> None:
    picker = PointPicker()
    picker.want([0, 2])
    rows = [JudgedRow(-1, 0, severity=math.nan), JudgedRow(0, 0, severity=math.nan), JudgedRow(1, 0), JudgedRow(2, 0)]
    picker.offer(judged_points(SERIES, rows))
    assert [batch.slot.tolist() for batch in picker.take()] == [[2]]
    picker.want([0])
    picker.offer(judged_points(SERIES, [JudgedRow(1, 0), JudgedRow(2, 0)]))
    assert picker.take() == []


def test_of_too_many_points_the_newest_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picked_points, "MOST_ROWS", 4)
    picker = PointPicker()
    for time_s in range(5):
        picker.offer(judged_points(SERIES, [JudgedRow(0, time_s, severity=1.0)] * 2))
    assert np.concatenate([batch.timestamp_us for batch in picker.take()]).tolist() == [3_000_000] * 2 + [4_000_000] * 2
    assert (picker.take_overflowed(), picker.take_overflowed()) == (6, 0)


def test_the_page_shows_the_newest_point_of_each_series() -> None:
    export = engine()
    quoted = [named('say "hi"\\\\|cpu')]
    rows = [JudgedRow(0, 9, value=1.5, severity=1.0), JudgedRow(0, 8, severity=math.inf)]
    export.picker.offer(judged_points(quoted, rows))
    export.collect()
    lines = exposition(export.held.values()).decode().splitlines()
    assert 'aiops_value{metric="cpu",service="say \\"hi\\"\\\\",tenant="default"} 1.5 9000' in lines
    assert "# TYPE aiops_lower gauge" in lines
    assert sum(not line.startswith("#") for line in lines) == 5
