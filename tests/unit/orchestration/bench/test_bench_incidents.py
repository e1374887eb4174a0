"""`aiops bench incidents`: nothing scored was fitted, thresholds never see the scored seeds, figures are right by hand."""

import csv
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aiops.errors import ConfigurationError
from data_contracts.schemas.telemetry_schemas import INCIDENTS
from data_contracts.values.moments import moment_of_us
from models.evaluation.scorecard import Replay
from models.vectors.page_budget import PageBudget
from models.vectors.service_rows import US_PER_MIN, ServiceRows
from models.vectors.truth import prediction_truth
from orchestration.bench.simulated.incident_figures import Rule, horizon_figures, kind_figures, kinds_of, leads, rule_figures
from orchestration.bench.simulated.incidents import BenchConfig, Figures, run
from tests.testing.service_frames import START

SMALL = BenchConfig(seeds=1, fit_seeds=3, hours=72.0, processes=1)


def quiet(text: str) -> None:
    """Say nothing."""


@cache
def small() -> Figures:
    return run(SMALL, None, quiet)


def by_hand() -> tuple[Replay, pa.Table]:
    """Return two services at 5 min for 200 min: a leak starts at a after 100 min, a surge at b after 100 min."""
    minutes = np.tile(np.arange(0, 200, 5), 2)
    code = np.repeat([0, 1], 40)
    start = int(START.timestamp() * 1e6)
    rows = ServiceRows(("a", "b"), code, start + minutes * US_PER_MIN, ("minutes_to_limit",), np.zeros((80, 1)))
    ahead = np.where(minutes < 100, 100.0 - minutes, np.inf)
    truth = prediction_truth(rows, ahead, np.zeros(80, dtype=np.bool_), 60.0)
    begins = moment_of_us(start + 100 * US_PER_MIN)
    times = {"onset_at": moment_of_us(start), "starts_at": begins, "ends_at": begins, "known_at": begins}
    incidents = pa.Table.from_pylist(
        [
            {"incident_id": "2", "service": "b", "kind": "traffic_surge", **times},
            {"incident_id": "1", "service": "a", "kind": "memory_leak", **times},
        ],
        schema=INCIDENTS,
    )
    return Replay(rows, truth, np.zeros(80)), incidents


def score_with(replay: Replay, alarms: dict[str, list[int]]) -> np.ndarray:
    score = np.zeros(len(replay.rows))
    minutes = (replay.rows.time_us - replay.rows.time_us.min()) // US_PER_MIN
    for service, when in alarms.items():
        score[(replay.rows.code == replay.rows.services.index(service)) & np.isin(minutes, when)] = 1.0
    return score


def test_kinds_and_leads_by_hand() -> None:
    replay, incidents = by_hand()
    assert kinds_of(replay, incidents) == ("memory_leak", "traffic_surge")
    alarm = score_with(replay, {"a": [20, 55, 90], "b": [150]}) > 0
    np.testing.assert_array_equal(leads(replay.truth, replay.rows.time_us, alarm), [45.0, np.nan])


def test_recall_counts_foreseeable_kinds_and_false_pages_count_everywhere() -> None:
    replay, incidents = by_hand()
    kinds = kinds_of(replay, incidents)
    rule = Rule("by hand", score_with(replay, {"a": [20, 55, 95], "b": [0, 5, 150]}), {1.0: 0.5, 0.5: 2.0})
    loud, mute = rule_figures(rule, replay, kinds, PageBudget(1.0, 60.0))
    assert (loud.budget, loud.recall, loud.recall_10min, loud.lead_min) == (1.0, 1.0, 1.0, 45.0)
    assert (loud.page_recall, loud.page_lead_min) == (1.0, 5.0)
    false_days = int(replay.truth.false.sum()) * 5 / 1440
    assert loud.false_pages == pytest.approx(3 / false_days)
    assert (mute.recall, mute.false_pages, mute.page_recall) == (0.0, 0.0, 0.0)
    assert np.isnan(mute.lead_min)
    leak, surge = kind_figures(rule, Rule("never", np.zeros(80), {1.0: 0.5}), replay, kinds, 1.0)
    assert (leak.kind, leak.foreseeable, leak.incidents, leak.recall, leak.naive_recall) == ("memory_leak", True, 1, 1.0, 0.0)
    assert (surge.kind, surge.foreseeable, surge.recall) == ("traffic_surge", False, 0.0)


def test_each_horizon_is_ranked_and_calibrated_on_its_own_labels() -> None:
    rng = np.random.default_rng(0)
    chance = rng.random((20_000, 2))
    labels = (rng.random((20_000, 2)) < chance).astype(np.float64)
    labels[:5000, 1] = np.nan
    ours, other = horizon_figures((5, 15), labels, chance, 1.0 - chance[:, 0])
    assert [ours.horizon_min, other.horizon_min] == [5, 15]
    assert ours.pr_auc > 0.75 > ours.naive_pr_auc + 0.2
    assert ours.reliability_error < 0.02 > other.reliability_error
    assert ours.likely_error < 0.02
    assert ours.likely_rows == int((chance[:, 0] >= 0.05).sum())
    assert ours.brier < ours.base_rate_brier == pytest.approx(0.25, abs=0.01)


def test_what_is_scored_was_not_fitted() -> None:
    assert not set(BenchConfig().scored) & set(BenchConfig().fitted)
    with pytest.raises(ConfigurationError, match="--first-seed 9"):
        BenchConfig(seeds=2, first_seed=8)
    with pytest.raises(ConfigurationError, match="seeds=0"):
        BenchConfig(seeds=0)


def test_foreseeable_incidents_of_an_unseen_seed_are_foreseen() -> None:
    figures = small()
    assert figures.recall >= 0.9
    assert figures.lead_min >= 10.0
    assert figures.rules[0].budget == 1.0
    assert {kind.kind for kind in figures.kinds if kind.foreseeable} <= {"memory_leak", "connection_exhaustion", "disk_fill"}
    assert "seeds 1 to 3" in figures.fitted_on
    assert "seeds 1001 to 1001" in figures.scored_on
    assert [horizon.horizon_min for horizon in figures.horizons] == [5, 15, 60]
    assert all(horizon.pr_auc > 10 * horizon.base_rate for horizon in figures.horizons)


def test_thresholds_do_not_see_the_scored_seeds_and_the_file_says_what_was_scored(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "rows.csv"
    other = run(BenchConfig(seeds=1, first_seed=2002, fit_seeds=3, hours=72.0, processes=1), out, quiet)
    assert [rule.threshold for rule in other.rules] == [rule.threshold for rule in small().rules]
    assert other.rules != small().rules
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["unit", "t", "label", "incident_t", "score", "p_5min", "p_15min", "p_60min", "naive", "alarm"]
    right = [row for row in rows if row["label"] == "1"]
    assert right
    assert all(0 < float(row["incident_t"]) - float(row["t"]) <= 1.0 for row in right)
    alarms = [float(row["score"]) >= other.rules[0].threshold for row in rows]
    assert alarms == [row["alarm"] == "1" for row in rows]
