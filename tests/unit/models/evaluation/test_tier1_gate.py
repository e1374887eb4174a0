"""The gate of tier 1's levels: no incident is given up, and something must get better."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from aiops.features.engine import EngineConfig
from data_contracts.schemas.telemetry_schemas import INCIDENTS
from models.detectors.robust_stream import PointSample, RobustStream
from models.evaluation.tier1_gate import DEFAULTS, LevelContender, LevelReplay, decide_levels
from models.vectors.page_budget import PageBudget
from models.vectors.service_rows import US_PER_MIN, ServiceRows
from models.vectors.truth import Truth, detection_truth
from tests.testing.series_names import named

SERIES = (named("web|latency_p99_ms"),)
DAYS = 4
MINUTES = DAYS * 24 * 60
INCIDENTS_MIN = (600, 2000, 3500, 5000)
QUIET_Z, SPIKE_Z, INCIDENT_Z, FAINT_Z = 1.0, 8.0, 20.0, 7.0
SPIKES_MIN = tuple(range(100, MINUTES, 300))


def levels(alarm_z: float, low: float = -np.inf, high: float = np.inf, default_z: float = 6.0) -> RobustStream:
    ids, alarm_levels = np.array([SERIES[0].series_id]), (np.array([alarm_z]), np.array([low]), np.array([high]))
    return RobustStream(ids, (SERIES[0].text,), *alarm_levels, default_z, EngineConfig(), {SERIES[0].series_id: 0})


def replay(incident_z: Sequence[float] = (INCIDENT_Z,) * 4, since_min: int = 0, budget: float = 1.0) -> LevelReplay:
    """Return four days of one series: harmless spikes of z 8 every 5 h, four incidents of 20 min, of the z given."""
    z = np.full(MINUTES, QUIET_Z)
    z[list(SPIKES_MIN)] = SPIKE_Z
    time_us = np.arange(MINUTES, dtype=np.int64) * US_PER_MIN
    starts = np.array(INCIDENTS_MIN, dtype=np.int64)
    for start, height in zip(starts.tolist(), incident_z, strict=True):
        z[start : start + 20] = height
    code = np.zeros(MINUTES, np.int64)
    rows = ServiceRows(("web",), code, time_us, (), np.empty((MINUTES, 0)))
    truth = truth_of(rows, starts)
    return LevelReplay(PointSample(SERIES, code, z, 100.0 + z), rows, truth, since_min * US_PER_MIN, PageBudget(budget))


def truth_of(rows: ServiceRows, starts_min: np.ndarray) -> Truth:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    table = []
    for number, start in enumerate(starts_min.tolist()):
        begin, end = (epoch + timedelta(minutes=minute) for minute in (start, start + 20))
        times = {"onset_at": begin, "starts_at": begin, "ends_at": end, "known_at": end}
        table.append({"incident_id": f"i{number}", "service": "web", "kind": "bad_deployment", **times})
    return detection_truth(rows, pa.Table.from_pylist(table, schema=INCIDENTS))


def test_levels_that_spare_pages_replace_the_defaults() -> None:
    decision = decide_levels(LevelContender(levels(10.0), "2"), None, replay())
    assert decision.promoted, decision.reason
    assert decision.challenger.metrics["recall"] == 1.0
    assert decision.challenger.metrics["false_pages_per_day"] == 0.0
    assert decision.champion is None
    assert DEFAULTS in decision.reason
    assert decision.reason.startswith("promoted: recall 1.000")


def test_levels_that_change_nothing_are_refused() -> None:
    decision = decide_levels(LevelContender(levels(6.0), "2"), None, replay())
    assert not decision.promoted
    assert [name for name, passed in decision.checks.items() if not passed] == ["better_somewhere"]
    assert "refused, because it catches no more incidents than the levels in force" in decision.reason


def test_without_an_incident_the_sentence_says_so_and_knows_no_nan() -> None:
    whole = replay()
    calm = LevelReplay(whole.sample, whole.rows, truth_of(whole.rows, np.empty(0, np.int64)), 0, whole.budget)
    for alarm_z in (10.0, 6.0):
        decision = decide_levels(LevelContender(levels(alarm_z), "2"), None, calm)
        assert "no labelled incident to tell recall by" in decision.reason
        assert "nan" not in decision.reason


def test_levels_that_give_up_an_incident_are_refused_however_quiet() -> None:
    heights = (INCIDENT_Z, INCIDENT_Z, INCIDENT_Z, FAINT_Z)
    decision = decide_levels(LevelContender(levels(10.0), "2"), LevelContender(levels(6.5), "1"), replay(heights, budget=100.0))
    assert decision.challenger.metrics["recall"] == 0.75
    assert decision.champion is not None
    assert decision.champion.metrics["recall"] == 1.0
    assert not decision.promoted
    assert not decision.checks["recall_kept"]


def test_a_champion_that_overspends_may_lose_what_only_spending_found() -> None:
    heights = (INCIDENT_Z, INCIDENT_Z, INCIDENT_Z, FAINT_Z)
    decision = decide_levels(LevelContender(levels(10.0), "2"), LevelContender(levels(6.5), "1"), replay(heights, budget=1.0))
    assert decision.champion is not None
    assert decision.champion.metrics["false_pages_per_day"] > 1.0
    assert decision.promoted, decision.reason


def test_levels_that_find_more_are_promoted_though_they_page_more() -> None:
    heights = (INCIDENT_Z, INCIDENT_Z, INCIDENT_Z, FAINT_Z)
    decision = decide_levels(LevelContender(levels(6.5), "2"), LevelContender(levels(10.0), "1"), replay(heights))
    assert decision.promoted, decision.reason
    assert "(1: 0.750)" in decision.reason


def test_static_limits_raise_alarms_too() -> None:
    heights = (FAINT_Z,) * 4
    deaf, limited = levels(30.0), levels(30.0, high=100.0 + FAINT_Z - 0.5)
    assert decide_levels(LevelContender(deaf, "2"), None, replay(heights)).challenger.metrics["recall"] == 0.0
    assert decide_levels(LevelContender(limited, "2"), None, replay(heights)).challenger.metrics["recall"] == 1.0


@pytest.mark.parametrize("broken", [np.inf, np.nan])
def test_levels_that_are_no_numbers_are_refused(broken: float) -> None:
    decision = decide_levels(LevelContender(levels(broken), "2"), None, replay())
    assert not decision.promoted
    assert not decision.checks["levels_are_finite"]


def test_only_points_after_the_fit_are_judged() -> None:
    decision = decide_levels(LevelContender(levels(10.0), "2"), None, replay(since_min=2500))
    assert decision.challenger.metrics["incidents"] == 2.0
