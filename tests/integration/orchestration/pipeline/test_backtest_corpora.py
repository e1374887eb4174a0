"""Back-tests on the public corpora: the order of rows, the split and the labels of each are taken as they are."""

from pathlib import Path

import pytest

from aiops.ports import SeriesLabels
from models.vectors.page_budget import PageBudget
from orchestration.pipeline.backtest import run_backtest
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_registry import open_source

pytestmark = pytest.mark.data


@pytest.mark.parametrize(
    ("kind", "folder", "detector"),
    [
        ("nab", "nab/data/realTraffic", "series-surprise"),
        ("nezha", "nezha/rca_data/2022-08-22", "system-deviation"),
    ],
)
def test_a_corpus_is_back_tested(corpora: Path, kind: str, folder: str, detector: str) -> None:
    if not (corpora / folder).exists():
        pytest.skip(f"public data not found at {corpora / folder}")
    source = open_source(kind, SourceOptions(path=corpora / folder))
    run = run_backtest(source, detector, PageBudget(), lambda line: None)
    own, _, naive, _ = run.result.rules
    assert run.result.replayed_points + 1 < run.accepted <= run.points_read
    assert run.result.incidents > 0
    assert own.recall >= 0.3
    assert own.false_pages_per_day < naive.false_pages_per_day
    assert own.precision > naive.precision
    assert run.result.unknown_share < 0.1


def test_a_window_belongs_to_a_single_series(corpora: Path) -> None:
    path = corpora / "nab" / "data" / "realTraffic"
    if not path.exists():
        pytest.skip(f"public data not found at {path}")
    source = open_source("nab", SourceOptions(path=path))
    assert isinstance(source, SeriesLabels)
    labels = source.labelled_series()
    assert len(labels) == source.incidents().num_rows
    assert len(set(labels.values())) > 1
    assert all(series.startswith("realTraffic|") for series in labels.values())
