"""Back-test: pages, precision and recall counted by hand; nothing of the replay is used in fitting; the command line."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest

from aiops.types import FloatArray
from data_contracts.schemas.telemetry_schemas import INCIDENTS
from models.backtest.replay import (
    Backtest,
    RecordedPoints,
    Recording,
    RuleFigures,
    ScoredDetector,
    backtest,
    earlier_half,
    normal_history,
    recording,
    three_sigma,
)
from models.vectors.page_budget import PageBudget
from orchestration.cli import run
from tests.testing.series_names import named

START = datetime(2025, 3, 3, tzinfo=UTC)
MINUTES = 2880
BUDGET = PageBudget(per_day=2.0, quiet_min=60.0)
SERIES = ("a|x", "a|y", "b|x")


class Span(NamedTuple):
    """Minutes of a service that are labelled as an incident."""

    service: str
    begin: int
    end: int


class Alarm(NamedTuple):
    """A point that a detector finds strange."""

    series: str
    minute: int


def incidents(*spans: Span) -> pa.Table:
    rows = []
    for number, (service, begin, end) in enumerate(spans):
        first, last = (START + timedelta(minutes=minute) for minute in (begin, end))
        times = {"onset_at": first, "starts_at": first, "ends_at": last, "known_at": last}
        rows.append({"incident_id": f"i{number}", "service": service, "kind": "labelled", **times})
    return pa.Table.from_pylist(rows, schema=INCIDENTS)


def recorded_days(labels: pa.Table, by_series: dict[str, str] | None = None) -> Recording:
    """Two days of three series a minute apart; the second day is replayed."""
    minute = np.repeat(np.arange(MINUTES), len(SERIES))
    code = np.tile(np.arange(len(SERIES)), MINUTES)
    value = np.random.default_rng(0).normal(10.0, 1.0, minute.size)
    time_us = int(START.timestamp() * 1e6) + minute * 60_000_000
    return recording(
        RecordedPoints([named(text) for text in SERIES], code, time_us, value), minute >= 1440, labels, by_series or {}
    )


def scores(recorded: Recording, *alarms: Alarm) -> FloatArray:
    score = np.full(recorded.code.size, 0.1)
    for series, minute in alarms:
        score[minute * len(SERIES) + SERIES.index(series)] = 0.9
    return score


def judged(recorded: Recording, score: FloatArray) -> tuple[Backtest, RuleFigures]:
    result = backtest(recorded, ScoredDetector("test", 0.5, score, score), BUDGET)
    return result, result.rules[0]


def test_pages_are_counted_as_by_hand() -> None:
    recorded = recorded_days(incidents(Span("a", 1500, 1530), Span("b", 2000, 2030), Span("b", 100, 130)))
    alarms = [
        Alarm("a|x", 1510),
        Alarm("a|y", 1512),
        Alarm("a|x", 1520),
        Alarm("a|x", 1700),
        Alarm("a|y", 1765),
        Alarm("b|x", 2500),
        Alarm("b|x", 1515),
        Alarm("a|x", 50),
    ]
    result, figures = judged(recorded, scores(recorded, *alarms))
    assert result.incidents == 2
    assert figures.pages == 5, "one of a's incident, two later ones of a, one of b during it, one of b later"
    assert figures.pages_per_day == pytest.approx(5.0, rel=0.01)
    assert figures.precision == pytest.approx(1 / 4), "the page of b during a's incident is neither right nor false"
    assert figures.recall == pytest.approx(1 / 2)
    assert figures.mean_lead_min == pytest.approx(-10.0)
    assert figures.false_pages_per_day == pytest.approx(3 / (2 * (1440 - 2 * 61) / 1440), rel=0.01)
    assert [(noisy.series, noisy.alarms) for noisy in result.noisiest] == [Alarm("a|x", 2), Alarm("a|y", 2), ("b|x", 2)]


def test_labels_of_single_series_say_nothing_about_other_series() -> None:
    labels = incidents(Span("a", 1500, 1530))
    recorded = recorded_days(labels, {"i0": "a|y"})
    _, wrong = judged(recorded, scores(recorded, Alarm("a|x", 1510)))
    _, right = judged(recorded, scores(recorded, Alarm("a|y", 1510)))
    assert (wrong.precision, wrong.recall) == (0.0, 0.0)
    assert (right.precision, right.recall) == (1.0, 1.0)


def test_without_labels_precision_and_recall_are_unknown() -> None:
    recorded = recorded_days(incidents())
    _, figures = judged(recorded, scores(recorded, Alarm("a|x", 1500)))
    assert math.isnan(figures.precision)
    assert math.isnan(figures.recall)
    assert figures.pages == 1


def test_the_tuned_threshold_keeps_the_budget_and_sees_the_history_only() -> None:
    recorded = recorded_days(incidents())
    rng = np.random.default_rng(1)
    score = rng.random(recorded.code.size)
    result, own = judged(recorded, score)
    tuned = result.rules[1]
    assert own.false_pages_per_day > 10 * BUDGET.per_day
    assert tuned.threshold > 0.9
    assert tuned.false_pages_per_day <= 2 * BUDGET.per_day
    other = judged(recorded, np.where(recorded.replayed, rng.random(score.size) ** 0.01, score))[0]
    assert other.rules[1].threshold == tuned.threshold
    cheaper = backtest(recorded, ScoredDetector("test", 0.5, score, score), replace(BUDGET, per_day=100.0))
    assert cheaper.rules[1].threshold < tuned.threshold


def test_a_detector_that_is_kind_to_what_it_was_fitted_to_keeps_the_budget_all_the_same() -> None:
    recorded = recorded_days(incidents())
    score = np.random.default_rng(2).random(recorded.code.size)
    kind = np.where(recorded.replayed, score, 0.5 * score)
    later = ~recorded.replayed & ~earlier_half(recorded)
    assert 0.45 < later.sum() / (~recorded.replayed).sum() < 0.55
    naive = backtest(recorded, ScoredDetector("test", 0.5, kind, kind), BUDGET).rules[1]
    tuned = backtest(recorded, ScoredDetector("test", 0.5, kind, np.where(later, score, np.nan)), BUDGET).rules[1]
    assert naive.false_pages_per_day > 5 * BUDGET.per_day
    assert tuned.false_pages_per_day <= 2 * BUDGET.per_day


@pytest.mark.parametrize("known", [False, True])
def test_where_no_second_fit_is_possible_nothing_is_tuned_and_the_result_says_so(known: bool) -> None:
    recorded = recorded_days(incidents())
    score = np.random.default_rng(3).random(recorded.code.size)
    unseen = np.full(score.size, np.nan) if known else None
    result = backtest(recorded, ScoredDetector("test", 0.5, score, unseen), BUDGET)
    assert "too short" in result.untuned
    assert (result.rules[1].rule, result.rules[1].threshold) == ("test, not tuned", 0.5)
    assert result.rules[3].rule == "3-sigma rule, autotuned"
    assert backtest(recorded, ScoredDetector("test", 0.5, score, score), BUDGET).untuned == ""


def test_a_history_of_which_a_half_is_too_short_is_not_tuned_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(0).normal(50.0, 2.0, 300)
    lines = [f"{(START + timedelta(minutes=n)).isoformat()},cart,latency_p50_ms,{value}" for n, value in enumerate(values)]
    path = tmp_path / "rows.csv"
    path.write_text("timestamp,service,metric,value\n" + "\n".join(lines) + "\n")
    assert run(["backtest", "--source", "csv", "--path", str(path), "--detector", "unit-surprise", "--json"]) == 0
    printed = capsys.readouterr()
    assert "too short" in json.loads(printed.out)["untuned"]
    assert "unit-surprise is not tuned" in printed.err


def test_one_stray_time_long_ago_leaves_both_halves_of_the_history_their_points() -> None:
    recorded = recorded_days(incidents())
    time_us = recorded.rows.time_us.copy()
    time_us[0] = 0
    half = earlier_half(replace(recorded, rows=replace(recorded.rows, time_us=time_us)))
    assert 0.45 < half.sum() / (~recorded.replayed).sum() < 0.55


def test_three_sigma_is_fitted_to_normal_history_only() -> None:
    recorded = recorded_days(incidents(Span("a", 100, 200)))
    value = recorded.value.copy()
    value[recorded.replayed] += 1000.0
    value[recorded.truth.positive] += 1000.0
    moved = three_sigma(replace(recorded, value=value))
    fit = normal_history(recorded)
    np.testing.assert_array_equal(moved[fit], three_sigma(recorded)[fit])
    assert (moved[recorded.replayed] > 0.99).all()
    assert 0.001 < (three_sigma(recorded)[recorded.replayed] >= 0.5).mean() < 0.005


SMALL = ["backtest", "--source", "simulate", "--set", "hours=36", "--set", "services=3", "--set", "incidents_per_day=6"]


def test_the_command_prints_one_object_and_writes_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*SMALL, "--json", "--out", str(tmp_path / "new" / "folder")]) == 0
    printed = capsys.readouterr()
    facts = json.loads(printed.out)
    assert [rule["rule"] for rule in facts["rules"]][::2] == ["robust-stream", "3-sigma rule"]
    assert facts["rules"][0]["recall"] >= 0.5
    assert facts["rules"][0]["false_pages_per_day"] < facts["rules"][2]["false_pages_per_day"]
    assert "score" in printed.err
    assert json.loads((tmp_path / "new/folder/backtest.json").read_text()) == facts
    assert (tmp_path / "new/folder/backtest.svg").read_bytes().startswith(b"<?xml")


def test_the_same_command_gives_the_same_bytes(tmp_path: Path) -> None:
    drawings = []
    for folder in ("one", "two"):
        assert run([*SMALL, "--json", "--out", str(tmp_path / folder)]) == 0
        drawings.append((tmp_path / folder / "backtest.svg").read_bytes())
    assert drawings[0] == drawings[1]


def test_every_named_detector_runs(capsys: pytest.CaptureFixture[str]) -> None:
    from models.backtest.backtest_detectors import names

    assert {"robust-stream", "system-deviation"} <= set(names())
    for name in names():
        assert run([*SMALL, "--json", "--detector", name]) == 0
        facts = json.loads(capsys.readouterr().out)
        assert facts["detector"] == name
        assert facts["unknown_share"] < 0.5


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("--source simulate --detector nosuch", 2, "choose one of robust-stream"),
        ("--source simulate --set hours=1 --set step_s=3600", 3, "Simulate longer"),
        ("--source csv --path absent.csv", 2, "absent.csv does not exist"),
        ("--source simulate --budget-per-day -1", 2, "--budget-per-day"),
    ],
)
def test_refusals(words: str, code: int, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["backtest", *words.split()]) == code
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.out == ""


def test_a_csv_with_labels_is_back_tested(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = np.random.default_rng(0).normal(50.0, 2.0, 1500)
    values[1200:1215] += 60.0
    lines = [f"{(START + timedelta(minutes=n)).isoformat()},cart,latency_p50_ms,{value}" for n, value in enumerate(values)]
    rows, labels = tmp_path / "rows.csv", tmp_path / "labels.csv"
    rows.write_text("timestamp,service,metric,value\n" + "\n".join(lines) + "\n")
    span = [(START + timedelta(minutes=minute)).isoformat() for minute in (1200, 1215)]
    labels.write_text(f"service,starts_at,ends_at\ncart,{span[0]},{span[1]}\n")
    assert run(["backtest", "--source", "csv", "--path", str(rows), "--set", f"incidents={labels}", "--json"]) == 0
    best = json.loads(capsys.readouterr().out)["rules"][0]
    assert (best["recall"], best["precision"], best["pages"]) == (1.0, 1.0, 1)


@pytest.mark.parametrize("detector", ["robust-stream", "series-surprise", "system-deviation", "unit-surprise"])
def test_the_largest_numbers_are_judged_and_drawn(tmp_path: Path, detector: str) -> None:
    """Sums and squares of 1.7e308 are no numbers; the naive rule sees the outliers all the same, and the figure is drawn."""
    noise = np.random.default_rng(1).normal(10.0, 1.0, MINUTES)
    lines = []
    for minute in range(0, MINUTES, 2):
        for service in ("a$b", "b"):
            huge = (service == "b" and minute in (2000, 2010)) or (service == "a$b" and minute % 400 == 0)
            value = (1.7e308 if minute % 20 else -1.7e308) if huge else noise[minute]
            lines.append(f"{(START + timedelta(minutes=minute)).isoformat()},{service},queue_depth,{value!r}\n")
    path = tmp_path / "t.csv"
    path.write_text("timestamp,service,metric,value\n" + "".join(lines).replace("np.float64(", "").replace(")", ""))
    words = ["backtest", "--source", "csv", "--path", str(path), "--detector", detector, "--out", str(tmp_path / "o"), "--json"]
    assert run(words) == 0
    figures = json.loads((tmp_path / "o" / "backtest.json").read_text())
    assert figures["points"] == MINUTES
    assert next(rule for rule in figures["rules"] if rule["rule"] == "3-sigma rule")["pages"] > 0
    assert (tmp_path / "o" / "backtest.svg").read_bytes().startswith(b"<?xml")
