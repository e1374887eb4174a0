"""A home of version 0.1: refused with the command to run, migrated in place, also after a death half-way, and only once."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiops.errors import StateError
from data_contracts.schemas.telemetry_schemas import INCIDENTS, TIMESTAMP
from orchestration.cli import run
from serving.lake import layout
from serving.lake.opening import open_lake
from serving.lake.parquet_lake import ParquetLake
from serving.lake.port import Added, Lake

START = datetime(2026, 3, 1, 22, tzinfo=UTC)
TELEMETRY_1 = pa.schema(
    [
        ("timestamp", TIMESTAMP),
        ("service", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("available_at", TIMESTAMP),
    ]
)


def points(first: int, last: int, value: float = 1.0) -> pa.Table:
    """Return rows of version 0.1, one a minute."""
    times = pa.array([START + timedelta(minutes=minute) for minute in range(first, last)], TIMESTAMP)
    size = last - first
    cells = [times, pa.array(["cart"] * size), pa.array(['requests{code="500"}'] * size), pa.array([value] * size), times]
    return pa.Table.from_arrays(cells, schema=TELEMETRY_1)


def old_home(home: Path) -> Path:
    """Write what version 0.1 wrote: two overlapping exports over midnight, labels by the name of their source, a call graph."""
    lake = home / "lake"
    for key, rows in (("csv-a", points(0, 180)), ("csv-b", points(60, 200))):
        for day in ("2026-03-01", "2026-03-02"):
            own = rows.filter(pa.array([str(at)[:10] == day for at in rows["timestamp"].to_pylist()]))
            put(lake / "telemetry" / f"day={day}" / f"part-{key}.parquet", own)
    incident = dict.fromkeys(("onset_at", "starts_at", "ends_at", "known_at"), START)
    label = pa.Table.from_pylist([{"incident_id": "i", "service": "cart", "kind": "x", **incident}], schema=INCIDENTS)
    put(lake / "incidents" / "day=2026-03-01" / "part-verdict-i.parquet", label)
    edges = pa.table({"caller": ["web"], "callee": ["cart"], "valid_from": pa.array([START], TIMESTAMP)})
    put(lake / "edges" / "part-all.parquet", edges)
    return lake


def put(path: Path, rows: pa.Table) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, path)


def assert_whole(root: Path) -> None:
    lake = open_lake(root).for_tenant("default")
    rows = lake.read("telemetry")
    assert rows["timestamp"].to_pylist() == [START + timedelta(minutes=minute) for minute in range(200)]
    assert set(rows["metric"].to_pylist()) == {"requests"}
    assert set(rows["labels"].to_pylist()) == {'{"code":"500"}'}
    assert lake.keys("incidents", START.date()) == ["verdict-i"], "a corrected verdict must find the file that it replaces"
    assert (lake.count("incidents"), lake.count("edges")) == (1, 1)
    assert not (root / "telemetry").exists()


def test_an_old_home_is_refused_then_migrated(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AIOPS_HOME", str(home))
    root = old_home(home)
    with pytest.raises(StateError, match=r"was written by version 0\.1 .*: run `aiops migrate` once"):
        open_lake(root)
    assert run(["detections"]) == 5
    assert "aiops migrate" in capsys.readouterr().err
    assert run(["migrate", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["rows"], facts["telemetry stored"], facts["stored twice before"]) == (322, 200, 120)
    assert json.loads((home / "home.json").read_text()) == {"layout": 2}
    assert_whole(root)
    assert run(["migrate"]) == 0
    assert_whole(root)


@pytest.mark.parametrize("files", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("written", [False, True])
def test_a_death_half_way_loses_and_doubles_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, files: int, written: bool
) -> None:
    root, real, seen = old_home(home), layout.keep_rows, list[Path]()
    lake = ParquetLake(root / "tenant=default", "default")

    def mortal(lake: Lake, table: str, rows: pa.Table, path: Path) -> Added:
        seen.append(path)
        if len(seen) <= files:
            return real(lake, table, rows, path)
        if written:  # its rows are in the lake already, and the file is still there
            real(lake, table, rows, path)
        raise KeyboardInterrupt

    monkeypatch.setattr(layout, "keep_rows", mortal)
    with pytest.raises(KeyboardInterrupt):
        layout.migrate(root, lake, lambda _: None)
    with pytest.raises(StateError, match="aiops migrate"):
        open_lake(root)
    monkeypatch.setattr(layout, "keep_rows", real)
    moved = layout.migrate(root, lake, lambda _: None)
    assert moved.rows == moved.repeated + sum(added.stored for added in moved.tables.values())
    assert_whole(root)
    assert layout.migrate(root, lake, lambda _: None) == layout.Moved()


def test_a_damaged_file_is_named_and_nothing_is_lost(home: Path) -> None:
    root = old_home(home)
    lake = ParquetLake(root / "tenant=default", "default")
    broken = root / "telemetry" / "day=2026-03-02" / "part-csv-a.parquet"
    whole = broken.read_bytes()
    broken.write_bytes(b"junk")
    with pytest.raises(StateError, match=r"part-csv-a\.parquet: cannot be read .* move it away"):
        layout.migrate(root, lake, lambda _: None)
    broken.write_bytes(whole)
    layout.migrate(root, lake, lambda _: None)
    assert_whole(root)
