"""`aiops bench alerts`: each alert in at most one notification, none before its alerts, figures beside grouping by time."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from aiops.errors import SourceError
from orchestration.bench.corpora.alert_figures import DayTruth, Notification, RawAlert, figures_of, timed_groups
from orchestration.bench.corpora.alert_funnel import OPEN_MIN, bench_alerts, judged, notifications, read_alerts, suspects
from orchestration.cli import run as aiops
from serving.ingest.pull.nezha import open_nezha
from serving.ingest.pull.source_options import SourceOptions
from tests.integration.orchestration.bench.test_nezha_detect import FAULTS, made_day

FIRST = 9 * 60


def silent(_: str) -> None:
    """Say nothing."""


def write_alerts(path: Path, rows: list[tuple[int, str, int, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [
                ("id", "day", "minute", "service", "pod", "metric", "z"),
                *((*row, f"{row[3]}-1-a", "CpuUsage(m)", 4.0) for row in rows),
            ]
        )
    return path


@pytest.fixture
def alerts(tmp_path: Path) -> Path:
    """Write alerts in the minutes after each fault, and a lonely one now and then."""
    rows = [(fault * 10 + k, "2026-03-01", FIRST + fault + 1 + k % 4, "cart") for fault in FAULTS for k in range(8)]
    return write_alerts(
        tmp_path / "alerts.csv", [*rows, (1, "2026-03-01", FIRST + 30, "front"), (2, "2026-03-01", FIRST + 400, "front")]
    )


def test_faults_notify_once_each_and_lonely_alerts_nobody(
    alerts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = made_day(tmp_path / "corpus"), tmp_path / "out.jsonl"
    assert aiops(["bench", "alerts", "--path", str(root), "--alerts", str(alerts), "--out", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    figures = facts["days"]["2026-03-01"]
    assert (figures["missed"], figures["false_per_hour"], figures["root_top1"], figures["purity"]) == (0.0, 0.0, 1.0, 1.0)
    assert figures["notifications"] == len(FAULTS)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert all(tuple(line) == ("day", "open", "alerts", "services") for line in lines)
    assert all(line["services"][0] == "cart" for line in lines)
    used = [number for line in lines for number in line["alerts"]]
    assert len(used) == len(set(used)) == 24
    assert facts["grouped_by_time"]["2026-03-01"]["false_per_hour"] > 0


def test_suspects_of_a_minute_do_not_depend_on_later_minutes(tmp_path: Path) -> None:
    day = judged(open_nezha(SourceOptions(path=made_day(tmp_path) / "rca_data" / "2026-03-01")))
    minute = day.alarms[0]
    before = suspects(day, minute)
    later = day.grid.time_us > day.midnight_us + minute * 60_000_000
    day.grid.values[later] = 0.0
    assert suspects(day, minute) == before


def test_alerts_that_only_follow_an_opening_are_not_its_own(tmp_path: Path) -> None:
    day = judged(open_nezha(SourceOptions(path=made_day(tmp_path) / "rca_data" / "2026-03-01")))
    opened = day.alarms[0]
    after = (RawAlert(5, opened + 1, "cart", 4.0),)
    assert notifications(day, after)[0].alerts == ()
    with_alert = (*after, RawAlert(6, opened, "cart", 4.0), RawAlert(7, opened + OPEN_MIN + 1, "cart", 4.0))
    assert set(notifications(day, with_alert)[0].alerts) == {5, 6}


def test_figures_by_hand() -> None:
    truth = DayTruth(((100, "a"), (150, "b")), 0, 240)
    alerts = {n: RawAlert(n, minute, "a", 4.0) for n, minute in enumerate((100, 101, 109, 151, 200))}
    sent = [
        Notification("d", 101, (0, 1, 2), ("b", "a")),
        Notification("d", 105, (), ("a",)),
        Notification("d", 200, (4,), ("a",)),
        Notification("d", 250, (), ("a",)),
    ]
    figures = figures_of(truth, alerts, sent)
    assert (figures.raw_alerts, figures.notifications, figures.duplicates) == (5, 3, 1)
    assert (figures.suppression, figures.missed) == (0.4, 0.5)
    assert (figures.root_top1, figures.root_top3) == (0.0, 0.5)
    assert figures.purity == round(2 / 3, 4)
    assert figures.false_per_hour == round(1 / ((240 - 44) / 60), 4)


def test_groups_by_time_end_after_their_length() -> None:
    alerts = [RawAlert(n, minute, "a", 4.0) for n, minute in enumerate((0, 7, 8, 30))]
    assert [group.alerts for group in timed_groups("d", alerts, 8)] == [(0, 1), (2,), (3,)]


@pytest.mark.parametrize("text", ["id,day\n1,2026\n", "id,day,minute,service,z\nx,2026-03-01,1,a,2\n"])
def test_a_file_that_holds_no_alerts_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SourceError, match="id, day, minute, service, z"):
        read_alerts(tmp_path / "a.csv")


@pytest.mark.data
def test_nezha(corpora: Path, tmp_path: Path) -> None:
    referee, root = corpora.parent / "referee", corpora / "nezha"
    if not (referee / "make_alerts.py").is_file():
        pytest.skip("the program that makes raw alerts does not lie beside the corpora")
    alerts, out = tmp_path / "alerts.csv", tmp_path / "out.jsonl"
    subprocess.run([sys.executable, str(referee / "make_alerts.py"), str(root), str(alerts)], check=True, capture_output=True)
    figures = bench_alerts(root, alerts, out, silent)
    day = figures.days["2022-08-22"]
    assert day["suppression"] >= 0.97
    assert day["missed"] <= 0.15
    assert day["false_per_hour"] <= 1.0
    assert day["root_top3"] >= 0.8
    assert day["purity"] >= 0.9
    judged = subprocess.run(
        [sys.executable, str(referee / "eval_alerts.py"), "--data", str(root), "--alerts", str(alerts), str(out)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert f"suppression {day['suppression']:.3f}, missed incidents {day['missed']:.3f}" in judged
