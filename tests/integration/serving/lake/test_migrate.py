"""A home of 0.1 is refused by name, moved by `aiops migrate` without losing or doubling a row, also when killed half-way."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiops.errors import StateError
from data_contracts.schemas import telemetry_schemas
from data_contracts.series.key import SeriesKey
from orchestration.cli import run
from serving.lake import layout
from serving.lake.opening import open_lake
from serving.lake.port import Lake

START = datetime(2025, 3, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
TIME = pa.timestamp("us", tz="UTC")


def _old_telemetry(first: int, count: int) -> pa.Table:
    """Telemetry as 0.1 stored it: names of two columns, labels folded into the metric."""
    times = [START + number * MINUTE for number in range(first, first + count)]
    rows = [
        {"timestamp": at, "service": service, "metric": metric, "value": float(at.minute), "available_at": at}
        for at in times
        for service, metric in (("cart", 'requests{code="500",zone="a"}'), ("acme/cart", "latency_p50_ms"))
    ]
    types = [
        ("timestamp", TIME),
        ("service", pa.string()),
        ("metric", pa.string()),
        ("value", pa.float64()),
        ("available_at", TIME),
    ]
    return pa.Table.from_pylist(rows, schema=pa.schema(types))


def _put(root: Path, table: str, key: str, rows: pa.Table, day: str = "") -> None:
    folder = root / table / (f"day={day}" if day else "")
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, folder / f"part-{key}.parquet")


@pytest.fixture
def old_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the lake of a home in the layout of 0.1: two overlapping files of telemetry, features stored twice, a graph."""
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path))
    root = tmp_path / "lake"
    _put(root, "telemetry", "simulate-a", _old_telemetry(0, 60), "2025-03-02")
    _put(root, "telemetry", "telemetry-0-1-0", _old_telemetry(30, 60), "2025-03-02")
    features = pa.Table.from_pylist(
        [{"event_timestamp": START, "available_at": START, "service": "cart", "traffic_worst": 1.0}],
        schema=pa.schema([field for field in telemetry_schemas.SERVICE_FEATURES_TABLE if field.name in _FEATURES]),
    )
    for key in ("backfill", "features-0-1-0"):
        _put(root, "service_features", key, features, "2025-03-02")
    edges = [{"caller": "web", "callee": "cart", "valid_from": START}]
    _put(root, "edges", "all", pa.Table.from_pylist(edges, schema=pa.schema(list(telemetry_schemas.EDGES)[:3])))
    (root / ".edges.lock").touch()
    return root


_FEATURES = ("event_timestamp", "available_at", "service", "traffic_worst")


def test_an_old_lake_is_refused_with_the_command_that_moves_it(old_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StateError, match=r"version 0\.1 .*telemetry.*run `aiops migrate` once"):
        open_lake(old_root)
    assert run(["forecast"]) == StateError.exit_code
    assert "aiops migrate" in capsys.readouterr().err


def _check_moved(root: Path) -> None:
    lake = open_lake(root).for_tenant("default")
    rows = lake.read("telemetry")
    assert rows.num_rows == 2 * 90
    key = SeriesKey.of("default", "cart", "requests", {"code": "500", "zone": "a"})
    assert key.series_id in rows["series_id"].to_pylist()
    assert SeriesKey("default", "acme/cart", "latency_p50_ms").series_id in rows["series_id"].to_pylist()
    assert lake.read("service_features")["traffic_worst"].to_pylist() == [1.0]
    assert lake.read("edges")["callee"].to_pylist() == ["cart"]
    assert not list(layout.old_files(root))


def test_every_row_is_moved_once(old_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate"]) == 0
    _check_moved(old_root)
    assert run(["migrate", "--json"]) == 0
    assert '"files": 0' in capsys.readouterr().out


def test_counts_add_up(old_root: Path) -> None:
    from aiops.settings.tree import Settings
    from serving.lake.opening import migrate_lake

    moved = migrate_lake(Settings(), lambda _: None)
    assert moved.rows == 2 * 120 + 2 + 1 == sum(added.stored + added.present for added in moved.tables.values())
    assert moved.repeated == 2 * 30 + 1


@pytest.mark.parametrize("survives", range(5))
def test_a_migration_killed_at_any_file_goes_on(old_root: Path, monkeypatch: pytest.MonkeyPatch, survives: int) -> None:
    kept = layout.keep_rows
    left = [survives]

    def dies(lake: Lake, table: str, rows: pa.Table, path: Path) -> object:
        added = kept(lake, table, rows, path)
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return added

    monkeypatch.setattr(layout, "keep_rows", dies)
    assert run(["migrate"]) == 130
    monkeypatch.undo()
    monkeypatch.setenv("AIOPS_HOME", str(old_root.parent))
    assert run(["migrate"]) == 0
    _check_moved(old_root)


def test_a_damaged_file_is_named_and_nothing_is_removed(old_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = old_root / "telemetry" / "day=2025-03-02" / "part-simulate-a.parquet"
    bad.write_bytes(b"no parquet")
    assert run(["migrate"]) == StateError.exit_code
    assert "part-simulate-a.parquet" in capsys.readouterr().err
    assert bad.exists()
    assert len(list(layout.old_files(old_root))) == 5
