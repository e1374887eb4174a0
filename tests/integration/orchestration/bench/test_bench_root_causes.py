"""`aiops bench petshop` and `nezha-rca`: files that name every case, figures beside the loudest service's, clear refusals."""

import json
from pathlib import Path

import pytest

from aiops.errors import SourceError
from orchestration.bench.corpora.root_causes import bench_nezha, bench_petshop


def silent(_: str) -> None:
    """Say nothing."""


@pytest.mark.data
def test_petshop(corpora: Path, tmp_path: Path) -> None:
    out = tmp_path / "petshop.jsonl"
    figures = bench_petshop(corpora / "petshop" / "dataset", out, silent)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == figures.cases == 26
    assert {tuple(line) for line in lines} == {("scenario", "split", "issue", "ranking", "seconds")}
    assert figures.top1 >= 0.9
    assert figures.top1 >= figures.magnitude_top1
    assert figures.top1 > figures.loudest_top1
    assert not [node for line in lines for node in line["ranking"] if node.endswith(("_remote", "_client"))]


@pytest.mark.data
def test_nezha(corpora: Path, tmp_path: Path) -> None:
    out = tmp_path / "nezha.jsonl"
    figures = bench_nezha(corpora / "nezha", out, silent, ablate=True)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == figures.cases == 52
    assert figures.top1 > 2 * figures.loudest_top1
    top1 = {(row.part, row.evidence): row.top1 for row in figures.parts}
    assert top1["2023-01-29", "all"] >= top1["2023-01-29", "traces and logs alone"] - 0.05
    assert top1["2023-01-29", "traces and logs alone"] > 2 * top1["2023-01-29", "metrics alone"]
    assert top1["2022-08-22", "all"] >= top1["2022-08-22", "magnitude of metrics"]
    assert [line["fault"] for line in lines if line["day"] == "2022-08-22"] == list(range(24))


@pytest.mark.parametrize("bench", [bench_petshop, bench_nezha])
def test_a_folder_without_the_corpus_is_refused(bench: object, tmp_path: Path) -> None:
    assert callable(bench)
    with pytest.raises(SourceError, match="give the"):
        bench(tmp_path, tmp_path / "out", silent)
