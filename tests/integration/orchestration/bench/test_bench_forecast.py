"""`aiops bench forecast`: on a small made-up folder of units, on folders that are none."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orchestration.cli import run
from tests.testing.unit_tables import START_US


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Return one set of one unit with 14 days, the last four of them in the test part."""
    rows = np.arange(14 * 144)
    course = 100.0 + 40.0 * np.sin(2 * np.pi * rows / 144)
    values = course[:, np.newaxis] + np.random.default_rng(3).normal(0.0, 4.0, (len(rows), 2))
    times = START_US + rows * 600_000_000
    cut = 10 * 144
    folder = tmp_path / "units" / "first" / "a"
    folder.mkdir(parents=True)
    for name, part in (("train", slice(0, cut)), ("test", slice(cut, None))):
        columns = {f"m{number:02}": values[part, number] for number in range(values.shape[1])}
        table = pa.table({"time": pa.array(times[part], pa.timestamp("us", "UTC")), **columns})
        pq.write_table(table, folder / f"{name}.parquet")
    return tmp_path / "units"


def test_rules_are_compared_on_the_days_after_two_cuts(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "forecast", "--path", str(corpus), "--series", "1", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["series"], facts["days"]) == (1, 2)
    (group,) = facts["sets"]
    assert sum(group["chosen"].values()) == 2
    rules = {rule["rule"]: rule for rule in group["rules"]}
    assert list(rules) == ["flat line", "day before", "profile", "choice"]
    assert rules["choice"]["mase"] < rules["flat line"]["mase"]
    assert rules["choice"]["mase"] <= 1.1 * rules["profile"]["mase"]
    assert 0.6 < rules["choice"]["coverage_80"] < rules["choice"]["coverage_95"] <= 1.0
    assert rules["choice"]["seconds"] > rules["profile"]["seconds"] > 0.0


def test_a_folder_without_series_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "forecast", "--path", str(tmp_path)]) == 3
    assert "holds neither data/real*/*.csv nor SET/UNIT/test.parquet" in capsys.readouterr().err
