"""`aiops bench nab`: on a small made-up checkout, on folders that are none, and on the corpus itself where it is present."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from aiops.errors import SourceError
from aiops.types import FloatArray, SeriesBatch
from models.detectors.surprise import SeriesSurprise
from orchestration.bench.corpora.nab import batch_of, naive_score, series_files
from orchestration.cli import run
from tests.testing.point_batches import Points


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout of two series: a calm one, and one with a spike in row 700, both with a time that steps back."""
    rng = np.random.default_rng(0)
    for name, spike in (("made/calm.csv", 0.0), ("other/spike.csv", 50.0)):
        value = rng.normal(10.0, 1.0, 900)
        value[700] += spike
        minutes = 5 * np.arange(900)
        minutes[300:] -= 60
        rows = [f"2020-01-{1 + m // 1440:02} {m // 60 % 24:02}:{m % 60:02}:00,{v}" for m, v in zip(minutes, value, strict=True)]
        file = tmp_path / "nab" / "data" / name
        file.parent.mkdir(parents=True)
        file.write_text("\n".join(["timestamp,value", *rows]) + "\n")
    return tmp_path / "nab"


def scores_in(file: Path) -> dict[str, FloatArray]:
    by_file: dict[str, list[float]] = {}
    with file.open() as lines:
        for row in csv.DictReader(lines):
            own = by_file.setdefault(row["file"], [])
            assert int(row["row"]) == len(own)
            own.append(float(row["score"]))
    return {name: np.array(scores) for name, scores in by_file.items()}


def test_every_row_has_a_score_and_the_facts_are_printed(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.csv"
    assert run(["bench", "nab", "--path", str(checkout), "--out", str(out), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["threshold"] == 0.5
    assert facts["points_per_second"] > 0
    assert (facts["series"], facts["points"]) == (2, 1800)
    scores = scores_in(out)
    assert {name: len(score) for name, score in scores.items()} == {"made/calm.csv": 900, "other/spike.csv": 900}
    assert (np.concatenate(list(scores.values()))[:32] == 0.0).all(), "unknown is written as 0"
    assert scores["other/spike.csv"][700] >= 0.5
    assert facts["alarms"] == sum(int((score >= 0.5).sum()) for score in scores.values())
    assert run(["bench", "nab", "--path", str(checkout), "--out", str(out), "--three-sigma"]) == 0
    assert "threshold" in capsys.readouterr().out
    assert scores_in(out)["other/spike.csv"][700] >= 0.5


def test_the_naive_rule_is_half_at_three_standard_deviations() -> None:
    batch = batch_of_values(np.array([1.0, 3.0] * 10 + [5.0]))
    assert naive_score(batch)[-1] == pytest.approx(0.5)
    assert np.isnan(naive_score(batch)[:10]).all()


def batch_of_values(values: FloatArray) -> SeriesBatch:
    rows = np.arange(values.size)
    return Points(rows, np.zeros(values.size, np.int64), values).batch()


def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", "nab", "--out", str(tmp_path / "out.csv"), "--json"]
    assert run([*words, "--path", str(tmp_path)]) == 3
    printed = capsys.readouterr()
    assert "give a checkout" in printed.err
    assert printed.out == ""
    assert run([*words, "--path", str(tmp_path / "absent")]) == 2
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a,b\n1,2\n", "no columns timestamp and value"),
        ("timestamp,value\n2020-01-01 00:00:00,1\n2020-01-01 00:05:00,many\n", "row 1 has no readable time"),
        ("timestamp,value\nyesterday,1\n", "row 0 has no readable time"),
    ],
)
def test_a_damaged_series_is_named(checkout: Path, text: str, says: str) -> None:
    file = checkout / "data" / "made" / "calm.csv"
    file.write_text(text)
    with pytest.raises(SourceError, match=says) as refused:
        batch_of(file)
    assert "calm.csv" in str(refused.value)


@pytest.mark.data
def test_scores_of_the_corpus_do_not_depend_on_what_comes_later(corpora: Path) -> None:
    if not (corpora / "nab").is_dir():
        pytest.skip(f"public data not found at {corpora / 'nab'}")
    files = series_files(corpora / "nab")
    model = SeriesSurprise()
    for file in files[:: max(1, len(files) // 6)]:
        batch = batch_of(file)
        whole = model.score(batch)
        cut = int(0.6 * len(batch))
        np.testing.assert_array_equal(model.score(SeriesBatch(batch.table.slice(0, cut))), whole[:cut])
        assert np.isfinite(whole[model.lookback :]).all()
        alarms = np.flatnonzero(whole >= 0.5)
        assert (np.diff(alarms) > model.config.refractory_rows).all()
        assert len(alarms) <= 3 + len(batch) / 200
