"""`aiops bench units`: on a small made-up corpus, on folders that are none, and on the corpus itself where it is present."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiops.types import FloatArray
from orchestration.bench.corpora.unit_baselines import largest_deviations, reconstruction_error
from orchestration.bench.corpora.unit_figures import JudgedUnit, average_precision, best_figures, event_figures
from orchestration.cli import run
from tests.testing.unit_tables import DAY_ROWS, START_US, STEP_S, daily

TRAIN_ROWS = 10 * DAY_ROWS


def write_part(file: Path, values: FloatArray, first_row: int) -> None:
    times = START_US + (first_row + np.arange(len(values))) * STEP_S * 1_000_000
    columns = {f"m{number:02}": values[:, number] for number in range(values.shape[1])}
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"time": pa.array(times, pa.timestamp("us", "UTC")), **columns}), file)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Return two sets of one unit each, both with an event of 10 rows from row 400 of the test part on."""
    for number, unit in enumerate(("first/a", "second/b")):
        values = daily(12, metrics=5 + number, seed=number)
        values[TRAIN_ROWS + 400 : TRAIN_ROWS + 410, 1:4] *= 2.0
        folder = tmp_path / "units" / unit
        write_part(folder / "train.parquet", values[:TRAIN_ROWS], 0)
        write_part(folder / "test.parquet", values[TRAIN_ROWS:], TRAIN_ROWS)
        begin, end = (
            np.datetime64(START_US + (TRAIN_ROWS + row) * STEP_S * 1_000_000, "us").astype("datetime64[s]") for row in (400, 410)
        )
        (folder / "anomalies.csv").write_text(f"starts_at,ends_at\n{begin}Z,{end}Z\n")
    return tmp_path / "units"


def test_every_row_has_a_score_and_the_figures_are_printed(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert run(["bench", "units", "--path", str(corpus), "--out", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["threshold"], facts["units"], facts["rows"]) == (0.5, 2, 4 * DAY_ROWS)
    assert [group["name"] for group in facts["sets"]] == ["first", "second"]
    for group in facts["sets"]:
        ours, *baselines = group["rules"]
        assert (ours["rule"], ours["recall"], group["events"]) == ("unit-surprise", 1.0, 1)
        assert ours["delay_rows"] == 0.0
        assert len(baselines) == 2
    with out.open() as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == facts["rows"]
    assert rows[0]["time"].endswith("Z")
    assert float(rows[400]["score"]) >= 0.5
    assert run(["bench", "units", "--path", str(corpus), "--out", str(out)]) == 0
    assert "three largest robust z" in capsys.readouterr().out


def test_labels_are_read_for_the_figures_only(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "units", "--path", str(corpus), "--json", "--out"]
    assert run([*words, str(tmp_path / "with.csv")]) == 0
    for file in corpus.glob("*/*/anomalies.csv"):
        file.unlink()
    capsys.readouterr()
    assert run([*words, str(tmp_path / "without.csv")]) == 0
    assert json.loads(capsys.readouterr().out)["sets"] == []
    assert (tmp_path / "with.csv").read_bytes() == (tmp_path / "without.csv").read_bytes()


def test_a_folder_without_units_and_a_damaged_file_are_refused(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "units", "--out", str(tmp_path / "out.csv"), "--json", "--path"]
    (tmp_path / "empty").mkdir()
    assert run([*words, str(tmp_path / "empty")]) == 3
    assert "holds no SET/UNIT/test.parquet" in capsys.readouterr().err
    (corpus / "first" / "a" / "train.parquet").write_bytes(b"no table")
    assert run([*words, str(corpus)]) == 3
    assert "restore the file" in capsys.readouterr().err


def test_events_and_episodes_are_counted_as_the_referee_counts() -> None:
    score = np.zeros(100)
    score[[10, 11, 30, 43, 80]] = 1.0
    unit = JudgedUnit(score, np.array([[9, 20], [42, 50], [60, 70]]), days=2.0)
    figures = event_figures([unit], 0.5)
    assert figures.recall == pytest.approx(2 / 3)
    assert figures.precision == pytest.approx(1 / 2), "10-11 hits, 30 is alone, 43 hits, 80 is alone"
    assert figures.false_per_day == 1.0
    assert figures.delay_rows == 1.0
    assert best_figures([unit]).f1 >= figures.f1
    assert average_precision(np.array([1.0, 1.0, 0.0, 0.0]), np.array([True, False, True, False])) == pytest.approx(0.5)


def test_the_baselines_see_a_metric_far_out_and_a_broken_relation() -> None:
    values = daily(6, metrics=6)
    train, test = values[: 5 * DAY_ROWS], values[5 * DAY_ROWS :].copy()
    test[100, 2] *= 10.0
    assert int(np.argmax(largest_deviations(train, test))) == 100
    assert int(np.argmax(reconstruction_error(train, test))) == 100


@pytest.mark.data
def test_figures_of_the_corpus(corpora: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not (corpora / "units").is_dir():
        pytest.skip(f"public data not found at {corpora / 'units'}")
    assert run(["bench", "units", "--path", str(corpora / "units"), "--out", str(tmp_path / "units.csv"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    ours = {group["name"]: group["rules"][0] for group in facts["sets"]}
    naive = {group["name"]: group["rules"][1] for group in facts["sets"]}
    for name, precision, f1 in (("jumpstarter", 0.44, 0.65), ("smd", 0.58, 0.60), ("asd", 0.40, 0.60)):
        assert ours[name]["average_precision"] >= max(precision, 1.3 * naive[name]["average_precision"])
        assert ours[name]["f1"] >= f1
        assert ours[name]["false_per_day"] <= 1.05
    assert facts["rows_per_second"] >= 3_000
