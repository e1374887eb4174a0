"""The bench of root causes with requests: cases that read nothing later, only weights of request evidence fitted, an ablation."""

from dataclasses import astuple, fields

import numpy as np
import pytest

from aiops.errors import ConfigurationError
from aiops.simulator.simulation_config import GRAY_KINDS
from models.rca.change_evidence import ChangeConfig
from models.rca.posterior import FITTED, PosteriorWeights
from models.rca.ranking import loudest_first
from models.rca.weighing import weigh
from orchestration.bench.simulated.rca_requests import (
    FIT_SEEDS,
    REQUEST_FEATURES,
    WeighedAlarm,
    figures_of,
    fitted,
)
from orchestration.bench.simulated.request_cases import RequestCase, request_cases_of
from orchestration.bench.simulated.unseen_seeds import UnseenSeeds


@pytest.fixture(scope="module")
def cases() -> list[RequestCase]:
    return list(request_cases_of((4,)))


@pytest.fixture(scope="module")
def alarms(cases: list[RequestCase]) -> list[WeighedAlarm]:
    made = []
    for case in cases:
        frame, features = weigh(case.inputs, ChangeConfig())
        made.append(WeighedAlarm(case, features, frame.services, loudest_first(frame.ranker, frame.window)))
    return made


def test_cases_are_of_all_sorts_and_read_nothing_that_comes_later(cases: list[RequestCase]) -> None:
    kinds = {case.kind for case in cases}
    assert kinds & set(GRAY_KINDS)
    assert kinds - set(GRAY_KINDS) - {"none"}
    for case in cases:
        made_us = round(case.inputs.made_at.timestamp() * 1e6)
        assert case.inputs.window.time_us[-1] <= made_us
        assert case.inputs.requests is not None
        requests = case.inputs.requests.requests
        assert int(requests.start_us.max()) <= made_us
        assert np.unique(case.inputs.requests.part).size > 2, "minutes while all was well lie beside the window"
        assert all(at <= case.inputs.made_at for at in case.inputs.alerted.values())


def test_requests_find_what_metrics_cannot(alarms: list[WeighedAlarm]) -> None:
    figures = figures_of(alarms, FITTED)
    by_name = {row.evidence: row for row in figures.evidence}
    everything, metrics = by_name["all evidence"], by_name["metrics, changes and alerts alone"]
    assert everything.gray_top1 > max(metrics.gray_top1, by_name["magnitude"].gray_top1)
    assert everything.loud_top1 >= by_name["magnitude"].loud_top1
    assert len(by_name) == 9 + 1 + 2 + 3
    assert sum(kind.alarms for kind in figures.kinds) == sum(alarm.case.kind != "none" for alarm in alarms)


def test_only_weights_of_request_evidence_move(alarms: list[WeighedAlarm]) -> None:
    weights = fitted(alarms)
    names = [field.name for field in fields(PosteriorWeights)]
    moved = {name for name, old, new in zip(names, astuple(FITTED), astuple(weights), strict=True) if old != new}
    assert moved
    assert moved <= REQUEST_FEATURES


def test_a_fit_seed_cannot_be_scored() -> None:
    with pytest.raises(ConfigurationError, match="first_seed=3"):
        UnseenSeeds(FIT_SEEDS, 4, first_seed=3)
