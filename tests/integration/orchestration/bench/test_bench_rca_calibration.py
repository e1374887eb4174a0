"""The calibration bench: simulated alarms as the responder meets them, and probabilities better than the trivial rules'."""

import json
from pathlib import Path

import pytest

from aiops.errors import ConfigurationError
from orchestration.bench.simulated import rca_calibration
from orchestration.bench.simulated.rca_calibration import FIT_SEEDS, run
from orchestration.bench.simulated.rca_cases import WAITS_MIN, cases_of
from orchestration.bench.simulated.unseen_seeds import UnseenSeeds


def test_unseen_alarms_are_scored_beside_the_trivial_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rca_calibration, "FIT_SEEDS", (4,))
    out = tmp_path / "alarms.jsonl"
    figures = run(UnseenSeeds(FIT_SEEDS, 2), out, lambda _: None)
    ours, loudest, first = figures.rules
    assert figures.incidents >= 15
    assert ours.top1 > max(loudest.top1, first.top1)
    assert ours.brier < min(loudest.brier, first.brier)
    assert ours.ece < 0.2
    assert figures.decided_right > 0.7
    waits = figures.waits
    assert [row.wait_min for row in waits] == list(WAITS_MIN)
    assert waits[-1].false_named >= waits[0].false_named
    assert max(row.true_lost for row in waits) <= 0.1 < waits[-1].ended_lost, "that the alert has ended loses true ones"
    assert (figures.false_named, figures.true_lost) == (waits[-1].false_named, waits[-1].true_lost)
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == sum(row.alarms for row in waits) == sum(part.alarms for part in figures.bins)
    assert figures.alarms == waits[0].alarms >= sum(part.alarms for part in figures.kinds) == waits[-1].alarms
    assert all(0.0 <= line["none"] <= 1.0 and len(line["causes"]) <= 5 for line in lines)


def test_cases_read_nothing_that_comes_later() -> None:
    cases = [*cases_of((4,)), *cases_of((4,), short=True)]
    assert {case.front_only for case in cases} == {case.coarse for case in cases} == {True, False}
    for case in cases:
        made_us = round(case.inputs.made_at.timestamp() * 1e6)
        assert case.inputs.window.time_us[-1] <= made_us
        assert case.inputs.calm.time_us[-1] < case.inputs.window.time_us[0]
        assert all(at <= case.inputs.made_at for at in case.inputs.alerted.values())


def test_incidents_of_minutes_are_over_long_before_the_last_answer_and_true() -> None:
    last = [case for case in cases_of((4,), short=True) if case.waited_min == WAITS_MIN[-1]]
    true_ones = [case for case in last if case.root]
    assert len(true_ones) >= 10
    assert sum(case.alert_on for case in true_ones) < 0.7 * len(true_ones)


def test_a_fit_seed_cannot_be_scored() -> None:
    with pytest.raises(ConfigurationError, match="first_seed=24"):
        UnseenSeeds(FIT_SEEDS, 40, first_seed=24)
