"""`aiops bench nezha-detect` on a made-up day, on the public days, and on folders that hold none."""

import csv
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from aiops.errors import SourceError, TrainingImpossible
from orchestration.bench.corpora.nezha_days import day_folders
from orchestration.bench.corpora.nezha_detect import Figures, run
from orchestration.cli import run as aiops

START = datetime(2026, 3, 1, 9, tzinfo=UTC)
MINUTES = 15 * 60
FAULTS = (180, 260, 340)
COLUMNS = ("CpuUsage(m)", "PodServerLatencyP90(s)", "PodServerLatencyP95(s)", "PodServerLatencyP99(s)", "PodWorkload(Ops)")
PODS = ("front-6c4-aaaaa", "cart-7d5-bbbbb")


def stamp(minute: int) -> str:
    return f"{START + timedelta(minutes=minute):%Y-%m-%d %H:%M:%S}.000000 +0000 UTC m=+0.1"


def write(path: Path, header: tuple[str, ...], rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])


def made_day(root: Path) -> Path:
    """Write a day of two services: in each fault the second is slow and busy for five minutes."""
    rng = np.random.default_rng(0)
    folder = root / "rca_data" / "2026-03-01"
    (folder / "metric").mkdir(parents=True)
    slow = np.zeros(MINUTES, dtype=bool)
    for fault in FAULTS:
        slow[fault + 1 : fault + 6] = True
    for pod in PODS:
        values = np.array([50.0, 0.01, 0.02, 0.04, 20.0]) * np.exp(rng.normal(0.0, 0.05, (MINUTES, 5)))
        if pod == PODS[1]:
            values[slow, :4] *= 10.0
        write(
            folder / "metric" / f"{pod}_metric.csv", ("Time", *COLUMNS), [[stamp(m), *values[m].tolist()] for m in range(MINUTES)]
        )
    for file, factor in (("source_50.csv", 3.0), ("destination_50.csv", 1.0)):
        call = factor * 0.01 * np.exp(rng.normal(0.0, 0.05, MINUTES)) * np.where(slow, 10.0, 1.0)
        write(folder / "metric" / file, ("time", "front_cart"), [[stamp(m), call[m]] for m in range(MINUTES)])
    faults = [
        {
            "inject_time": f"{START + timedelta(minutes=at):%Y-%m-%d %H:%M:%S}",
            "inject_pod": PODS[1],
            "inject_type": "cpu_contention",
        }
        for at in FAULTS
    ]
    (folder / "2026-03-01-fault_list.json").write_text(json.dumps({"12": faults}))
    return root


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_day(tmp_path_factory.mktemp("nezha"))


def scores_in(file: Path) -> dict[tuple[str, int], float]:
    with file.open(newline="") as lines:
        return {(row["day"], int(row["minute"])): float(row["score"]) for row in csv.DictReader(lines)}


def test_every_fault_of_a_made_up_day_is_seen_and_nothing_else(corpus: Path, tmp_path: Path) -> None:
    figures = run(corpus, tmp_path / "new" / "out.csv")
    assert (figures.faults, figures.seen, figures.already_on, figures.false_alarms) == (3, 1.0, 0.0, 0)
    assert figures.days == ("2026-03-01",)
    first = figures.alarms[0]
    assert (first.day, first.minute) == ("2026-03-01", 9 * 60 + FAULTS[0] + 2)
    assert any("cart" in reason for reason in first.reasons)
    scores = scores_in(tmp_path / "new" / "out.csv")
    assert len(scores) == MINUTES - 5
    assert {day for day, _ in scores} == {"2026-03-01"}
    assert {minute for _, minute in scores} == set(range(9 * 60 + 5, 24 * 60))
    assert {minute - 540 for (_, minute), score in scores.items() if score >= figures.threshold and minute < 1200} >= {
        fault + 2 for fault in FAULTS
    }


def test_minutes_after_the_last_one_change_no_score_before(corpus: Path, tmp_path: Path) -> None:
    """The day is cut at noon of the replay, the evening it is fitted on stays."""
    run(corpus, tmp_path / "whole.csv")
    shutil.copytree(corpus, tmp_path / "cut")
    for file in sorted((tmp_path / "cut").glob("rca_data/*/metric/*.csv")):
        header, *lines = file.read_text().splitlines()
        kept = [line for line in lines if not "2026-03-01 13" < line[:13] < "2026-03-01 20"]
        file.write_text("\n".join([header, *kept]) + "\n")
    run(tmp_path / "cut", tmp_path / "cut.csv")
    whole, cut = scores_in(tmp_path / "whole.csv"), scores_in(tmp_path / "cut.csv")
    before = {key: score for key, score in whole.items() if key[1] < 13 * 60}
    assert before == {key: score for key, score in cut.items() if key[1] < 13 * 60}


def test_a_day_may_be_named_itself_and_the_naive_rule_is_worse(corpus: Path, tmp_path: Path) -> None:
    day = corpus / "rca_data" / "2026-03-01"
    assert day_folders(corpus) == day_folders(corpus / "rca_data") == day_folders(day) == (day,)
    naive = run(day, tmp_path / "naive.csv", three_sigma=True)
    assert naive.threshold == 1.0
    assert len(scores_in(tmp_path / "naive.csv")) == MINUTES
    assert naive.alarms == ()


def test_without_a_fault_list_scores_are_written_and_shares_are_unknown(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus, tmp_path / "unlabelled")
    next((tmp_path / "unlabelled").rglob("*fault_list.json")).unlink()
    figures = run(tmp_path / "unlabelled", tmp_path / "out.csv")
    assert (figures.faults, figures.seen, figures.already_on) == (0, None, None)
    run(corpus, tmp_path / "labelled.csv")
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "labelled.csv").read_bytes()


def test_a_day_without_its_evening_cannot_be_fitted(corpus: Path, tmp_path: Path) -> None:
    shutil.copytree(corpus, tmp_path / "short")
    for file in sorted((tmp_path / "short").glob("rca_data/*/metric/*.csv")):
        lines = file.read_text().splitlines()
        file.write_text("\n".join(lines[: 10 * 60]) + "\n")
    with pytest.raises(TrainingImpossible, match="fault-free"):
        run(tmp_path / "short", tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_a_wrong_folder_is_named_with_the_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match="holds no day of Nezha"):
        run(tmp_path, tmp_path / "out.csv")
    assert aiops(["bench", "nezha-detect", "--path", str(tmp_path), "--out", str(tmp_path / "out.csv"), "--json"]) == 3
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "rca_data/<day>/metric" in printed.err
    missing = ["bench", "nezha-detect", "--path", str(tmp_path / "none"), "--out", str(tmp_path / "out.csv")]
    assert aiops(missing) == 2


def test_the_command_prints_one_json_object_or_a_table(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "nezha-detect", "--path", str(corpus), "--out", str(tmp_path / "out.csv")]
    assert aiops([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["threshold"] == 1.0
    assert printed["alarms"][0]["reasons"]
    assert aiops(command) == 0
    assert "already_on" in capsys.readouterr().out


@pytest.mark.data
def test_logs_and_edges_see_what_metrics_cannot(corpora: Path, tmp_path: Path) -> None:
    """Well below what is measured today: 26 of 28 with all signals, 6 of 28 with metrics alone."""
    folder = corpora / "nezha" / "rca_data" / "2023-01-29"
    if not folder.is_dir():
        pytest.skip(f"public data not found at {folder}")
    figures = run(folder, tmp_path / "out.csv")
    metrics = run(folder, tmp_path / "metrics.csv", signals=("metrics",))
    assert figures.seen is not None
    assert metrics.seen is not None
    assert figures.false_alarms_per_hour is not None
    assert figures.seen >= 0.75
    assert figures.seen - metrics.seen >= 0.3
    assert figures.false_alarms_per_hour <= 0.5


@pytest.mark.data
def test_public_days_reach_honest_bounds(corpora: Path, tmp_path: Path) -> None:
    """Well below what is measured today (23 of 24 at .08 false alarms an hour); the naive rule is on before many faults."""
    folder = corpora / "nezha" / "rca_data" / "2022-08-22"
    if not folder.is_dir():
        pytest.skip(f"public data not found at {folder}")
    figures: Figures = run(folder, tmp_path / "out.csv")
    naive = run(folder, tmp_path / "naive.csv", three_sigma=True)
    assert figures.seen is not None
    assert figures.already_on is not None
    assert figures.false_alarms_per_hour is not None
    assert figures.seen >= 0.75
    assert figures.already_on <= 0.05
    assert figures.false_alarms_per_hour <= 0.5
    assert naive.already_on is not None
    assert naive.already_on > figures.already_on
