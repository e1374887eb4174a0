"""Rows of a file for the scoring service: names are text, features numbers, times in any sure form."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

from aiops.errors import AiopsError
from data_contracts.schemas.telemetry_schemas import SERVICE_FEATURES
from orchestration.pipeline.file_scoring import _read, _vectors

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
FIRST = SERVICE_FEATURES[0]


def written(folder: Path, ending: str, services: list[str], times: list[str]) -> Path:
    path = folder / f"rows.{ending}"
    columns = {"service": services, "event_timestamp": times, FIRST: [1.5] * len(services)}
    if ending == "csv":
        pd.DataFrame(columns).to_csv(path, index=False)
    elif ending == "json":
        path.write_text(json.dumps([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]))
    else:
        pyarrow.parquet.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("ending", ["csv", "json", "pq"])
def test_names_that_look_like_numbers_are_text(tmp_path: Path, ending: str) -> None:
    names = ["0042", "1.10", "72225e2", "NA", "null", "12e4567890123456"]
    batch = _vectors(_read(written(tmp_path, ending, names, ["2024-05-01T12:00:00Z"] * len(names))))
    assert batch["service"].to_pylist() == names
    assert batch[FIRST].to_pylist() == [1.5] * len(names)
    assert set(batch["event_timestamp"].to_pylist()) == {NOON}


def test_empty_cells_are_unknown_and_words_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"service,event_timestamp,{FIRST}\na,1714564800,\nb,1714564800,2\n")
    batch = _vectors(_read(path))
    assert batch[FIRST].to_pylist() == [None, 2.0]
    assert batch["event_timestamp"].to_pylist() == [NOON, NOON]
    path.write_text(f"service,{FIRST}\na,many\n")
    with pytest.raises(AiopsError, match="features must be numbers"):
        _vectors(_read(path))
    path.write_text(f"service,event_timestamp,{FIRST}\na,2024-05-01T12:00:00Z,1\nb,2024-05-01T12:00:00Z,1\nc,soon,1\n")
    with pytest.raises(AiopsError, match="event_timestamp 'soon' is no time"):
        _vectors(_read(path))
