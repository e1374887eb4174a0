"""The calibration bench: simulated alarms as the responder meets them, and probabilities better than the trivial rules'."""

import json
from pathlib import Path

import pytest

from aiops.errors import ConfigurationError
from orchestration.bench.simulated import rca_calibration
from orchestration.bench.simulated.rca_calibration import CalibrationConfig, run
from orchestration.bench.simulated.rca_cases import cases_of


def test_unseen_alarms_are_scored_beside_the_trivial_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rca_calibration, "FIT_SEEDS", (4,))
    out = tmp_path / "alarms.jsonl"
    figures = run(CalibrationConfig(seeds=2), out, lambda _: None)
    ours, loudest, first = figures.rules
    assert figures.incidents >= 15
    assert ours.top1 > max(loudest.top1, first.top1)
    assert ours.brier < min(loudest.brier, first.brier)
    assert ours.ece < 0.2
    assert figures.decided_right > 0.7
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == figures.alarms == sum(part.alarms for part in figures.bins) == sum(part.alarms for part in figures.kinds)
    assert all(0.0 <= line["none"] <= 1.0 and len(line["causes"]) <= 5 for line in lines)


def test_cases_read_nothing_that_comes_later() -> None:
    cases = list(cases_of((4,)))
    assert {case.front_only for case in cases} == {case.coarse for case in cases} == {True, False}
    for case in cases:
        made_us = round(case.inputs.made_at.timestamp() * 1e6)
        assert case.inputs.window.time_us[-1] <= made_us
        assert case.inputs.calm.time_us[-1] < case.inputs.window.time_us[0]
        assert all(at <= case.inputs.made_at for at in case.inputs.alerted.values())


def test_a_fit_seed_cannot_be_scored() -> None:
    with pytest.raises(ConfigurationError, match="first_seed=24"):
        CalibrationConfig(first_seed=24)
