"""`aiops bench storm`, small: nothing lost, every incident paged once and in time, the same figures from the same seed."""

import json
from pathlib import Path

import pytest

from aiops.incidents.alert import Severity
from orchestration.bench.load.storm import StormBenchFigures, bench_storm
from orchestration.bench.load.storm_alerts import MOST_DELAY_S, START, StormConfig, arrivals, storm_of
from orchestration.cli import run as aiops
from tests.testing.deadlines import within

SMALL = StormConfig(seed=7, applications=8, services=15, incidents=5, per_minute=3000, minutes=2)


def silent(_: str) -> None:
    """Say nothing."""


@pytest.fixture(scope="module")
def pages_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storm") / "pages.jsonl"


@pytest.fixture(scope="module")
def figures(pages_file: Path) -> StormBenchFigures:
    return bench_storm(SMALL, pages_file, silent)


def test_no_alert_is_lost_or_counted_twice(figures: StormBenchFigures) -> None:
    assert (figures.alerts, figures.lost, figures.counted_twice, figures.late) == (6000, 0, 0, 0)
    assert figures.p50_s <= figures.p99_s < within(5.0)


def test_every_incident_is_paged_in_time_and_few_others(figures: StormBenchFigures, pages_file: Path) -> None:
    pages = pages_file.read_text().splitlines()
    assert (figures.true_incidents, figures.missed, figures.storm_entered) == (5, 0.0, 1)
    assert figures.notifications == len(pages) <= 25
    assert figures.baseline_all_missed == 0.8
    assert figures.without_breaker_missed >= figures.missed
    assert figures.baseline_service_notifications > 5 * figures.notifications


def test_a_storm_is_the_same_from_the_same_seed_and_out_of_order() -> None:
    first, second = ([made for batch in arrivals(storm_of(SMALL)) for made in batch] for _ in range(2))
    assert [(at, alert.alert_id, alert.labels) for at, alert in first] == [
        (at, alert.alert_id, alert.labels) for at, alert in second
    ]
    late = [at - (alert.starts_at - START).total_seconds() for at, alert in first]
    assert 0.0 <= min(late) < max(late) <= MOST_DELAY_S
    assert [at for at, _ in first] != sorted(at for at, _ in first)


def test_roots_fire_critical_alerts_from_their_start() -> None:
    storm = storm_of(SMALL)
    assert len({incident.application for incident in storm.incidents}) == 5
    firsts = {}
    for batch in arrivals(storm):
        for _, alert in batch:
            if alert.severity is Severity.CRITICAL:
                firsts.setdefault(alert.service, (alert.starts_at - START).total_seconds())
    for incident in storm.incidents:
        assert incident.start_s <= firsts[incident.root] <= incident.start_s + 10


@pytest.mark.slow
def test_the_storm_of_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert aiops(["bench", "storm", "--json", "--out", str(tmp_path / "pages.jsonl")]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["alerts"], figures["lost"], figures["counted_twice"]) == (50_000, 0, 0)
    assert figures["notifications"] <= 300
    assert figures["missed"] <= 0.03
    assert figures["p99_s"] < 5.0
    assert max(figures["memory_mib"]) - min(figures["memory_mib"]) < 32
