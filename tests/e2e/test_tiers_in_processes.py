"""`aiops bench tiers` with all its processes, on three services."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestration.bench.load.tiers import TARGET_LEFT
from orchestration.cli import run


@pytest.fixture
def printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[dict[str, object]]:
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path / "untouched"))
    words = ["bench", "tiers", "--json", "--services", "3", "--hours", "1", "--out", str(tmp_path / "tiers.csv")]
    assert run(words) == 0
    yield json.loads(capsys.readouterr().out)
    assert not (tmp_path / "untouched").exists(), "the bench lives in a folder of its own"


@pytest.mark.slow
def test_the_whole_bench_with_real_processes(printed: dict[str, object]) -> None:
    tiers = {tier["tier"]: tier for tier in printed["tiers"]}  # type: ignore[attr-defined]
    assert set(tiers) == {1, 2, 3}
    assert all(0 < tier["p50_ms"] <= tier["p99_ms"] and tier["cpu_us_per_row"] > 0 for tier in tiers.values())
    together = printed["end_to_end"]
    assert isinstance(together, dict)
    assert together["points"] == printed["points"]
    assert together["asked"]["tier 3"] > 0
    assert 0 < float(str(printed["left_share"])) < 1
    assert printed["share_met"] is (float(str(printed["left_share"])) <= TARGET_LEFT)
    assert isinstance(printed["seasons_established"], int)
