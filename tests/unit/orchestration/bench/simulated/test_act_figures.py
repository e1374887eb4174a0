"""Figures of acting: bounds are counted anew from what ran, and a run beyond them is seen."""

from datetime import UTC, datetime, timedelta

from aiops.automation.run import RunState
from aiops.automation.runbook import Limits
from orchestration.bench.simulated.act_figures import IncidentResult, RunResult, bounds_exceeded, harm_ratio, kind_figures

NOON = datetime(2025, 3, 3, 12, tzinfo=UTC)
LIMITS = Limits.model_validate({"per_hour": 2, "per_day": 3, "cool_down": "30m"})


def run(minutes: float, service: str = "cart", state: RunState = RunState.CURED, wrong: bool = False) -> RunResult:
    began = NOON + timedelta(minutes=minutes)
    return RunResult("memory_leak", "restart", state, True, wrong, 0.0, 1, 1, 0.1, 7, service, began, LIMITS, True)


def test_runs_within_their_bounds_exceed_none() -> None:
    assert bounds_exceeded([run(0), run(20, "front"), run(90)]) == 0


def test_rates_and_cool_down_that_were_passed_are_counted() -> None:
    assert bounds_exceeded([run(0), run(10, "front"), run(20, "orders")]) == 1
    assert bounds_exceeded([run(0), run(20)]) == 1
    assert bounds_exceeded([run(0), run(120, "front"), run(240, "orders"), run(360, "search")]) == 1


def test_kinds_count_cures_wrong_actions_and_pages() -> None:
    incidents = [
        IncidentResult("memory_leak", True, 40.0, 10.0, 4.0, 20.0, 5.0, True),
        IncidentResult("memory_leak", False, 0.0, 0.0, 0.0, 0.0, 0.0, False),
    ]
    (figures,) = kind_figures(incidents, [run(0), run(60, wrong=True, state=RunState.UNDONE)])
    assert (figures.incidents, figures.alerted, figures.cured) == (2, 1, 1)
    assert (figures.time_ratio, figures.oracle_ratio, figures.harm_ratio) == (0.25, 0.1, 0.25)
    assert (figures.runs, figures.wrong_actions, figures.undone, figures.pages) == (2, 1, 1, 2)


def test_without_harm_there_is_no_ratio() -> None:
    assert harm_ratio([]) != harm_ratio([])  # NaN
