"""`aiops bench breach`: the rows it writes, that it forecasts from the past only, and what it is worth on public series."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from orchestration.bench.simulated.breach import read_series, run
from orchestration.cli import run as aiops


def write_corpus(root: Path, after: float = 0.0) -> Path:
    """Three series with a spike every 100 rows; `after` is added to their last 30 rows."""
    folder = root / "data" / "realSeries"
    folder.mkdir(parents=True)
    for number in range(3):
        value = np.random.default_rng(number).normal(0.0, 1.0, 1_000)
        value[40 + number :: 100] += 9.0
        value[-30:] += after
        times = np.datetime64("2024-03-01T00:00:00") + 300 * np.arange(1_000)
        lines = [f"{str(time).replace('T', ' ')},{x!r}" for time, x in zip(times, value.tolist(), strict=True)]
        (folder / f"series_{number}.csv").write_text("timestamp,value\n" + "\n".join(lines) + "\n")
    return root


def written(file: Path) -> dict[tuple[str, int], float]:
    with file.open() as handle:
        return {(row["unit"], int(row["t"])): float(row["score"]) for row in csv.DictReader(handle)}


def test_every_row_of_the_last_part_is_scored_and_none_knows_the_future(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, after in (("one", 0.0), ("two", 50.0)):
        (tmp_path / name).mkdir()
        corpus = write_corpus(tmp_path / name, after)
        assert aiops(["bench", "breach", "--path", str(corpus), "--out", str(tmp_path / f"{name}.csv"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out.split("\n}\n")[0] + "\n}")
    assert facts["series"] == 3
    assert facts["rankings"]["forecast"]["pr_auc"] > facts["base_rate"]
    first, second = written(tmp_path / "one.csv"), written(tmp_path / "two.csv")
    assert set(first) == {(f"series_{number}", t) for number in range(3) for t in range(600, 1_000)}
    assert all(first[unit, t] == second[unit, t] for unit, t in first if t < 970)
    assert any(first[unit, t] != second[unit, t] for unit, t in first if t >= 970)


def test_without_json_a_table_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert aiops(["bench", "breach", "--path", str(write_corpus(tmp_path)), "--out", str(tmp_path / "out.csv")]) == 0
    shown = capsys.readouterr().out
    assert "own base rate" in shown
    assert "distance to limit" in shown


def test_a_folder_without_series_and_a_damaged_one_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "breach", "--path", str(tmp_path), "--out", str(tmp_path / "out.csv")]
    assert aiops(words) == 3
    assert "holds no series data/real*/*.csv" in capsys.readouterr().err
    corpus = write_corpus(tmp_path)
    for content, says in (
        ("timestamp,value\n2024-01-01 00:00:00,much\n", "no finite number"),
        ("a,b\n1,2\n", "no columns timestamp"),
    ):
        (corpus / "data" / "realSeries" / "series_1.csv").write_text(content)
        assert aiops(words) == 3
        assert says in capsys.readouterr().err


@pytest.mark.data
def test_the_forecast_beats_every_naive_ranking_on_public_series(corpora: Path, tmp_path: Path) -> None:
    path = corpora / "nab"
    if not path.is_dir():
        pytest.skip(f"public data not found at {path}")
    figures = run(path, tmp_path / "out.csv")
    forecast = figures.rankings["forecast"]
    naive = [ranking for name, ranking in figures.rankings.items() if name != "forecast"]
    assert forecast.pr_auc > 0.30
    assert forecast.pr_auc > max(ranking.pr_auc for ranking in naive) + 0.1
    assert forecast.precision_at_half > max(ranking.precision_at_half for ranking in naive) + 0.08
    assert figures.calibration_error < 0.03
    assert len(written(tmp_path / "out.csv")) >= figures.rows


@pytest.mark.data
def test_rows_keep_the_order_of_their_file(corpora: Path) -> None:
    files = sorted((corpora / "nab").glob("data/real*/*.csv"))
    if not files:
        pytest.skip(f"public data not found at {corpora / 'nab'}")
    history = read_series(files[0])
    lines = files[0].read_text().split()[1:]
    assert history.value[0] == float(lines[1].split(",")[1])
    assert len(history.value) == len(files[0].read_text().splitlines()) - 1
