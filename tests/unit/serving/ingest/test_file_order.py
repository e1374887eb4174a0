"""The order of a file's rows does not matter: every order gives what time order gives, in ingest and in a back-test."""

import random
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.schemas.telemetry_schemas import INCIDENTS
from data_contracts.telemetry.validate import validate
from models.vectors.page_budget import PageBudget
from orchestration.pipeline.backtest import run_backtest
from orchestration.pipeline.recorded_rows import validate_recorded
from orchestration.pipeline.replay import Replay
from serving.ingest.pull.csv_file import FORMAT
from serving.ingest.pull.file_order import sorted_rows
from serving.ingest.pull.files import FileSource
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_registry import open_source

START = datetime(2024, 2, 1, tzinfo=UTC)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPIKES = range(700, 712)


def rows_by_time(minutes: int = 900) -> list[tuple[int, str]]:
    chance = random.Random(3)
    rows = []
    for minute in range(minutes):
        for service in ("cart", "pay"):
            value = 90.0 if service == "pay" and minute in SPIKES else 10 + chance.random()
            rows.append((minute, f"{(START + timedelta(minutes=minute)).isoformat()},{service},queue_depth,{value}\n"))
    return rows


def written(path: Path, rows: list[tuple[int, str]], order: str) -> Path:
    ordered = {
        "by time": rows,
        "newest first": rows[::-1],
        "by series": sorted(rows, key=lambda row: row[1].split(",")[1]),
        "shuffled": random.Random(5).sample(rows, len(rows)),
        "two exports, the later first": rows[len(rows) // 2 :] + rows[: len(rows) // 2],
    }[order]
    path.write_text("timestamp,service,metric,value\n" + "".join(line for _, line in ordered))
    return path


def plain(row: dict[str, object]) -> dict[str, object]:
    """Return a row with its texts as bytes."""
    return {name: cell.encode() if isinstance(cell, str) else cell for name, cell in row.items()}


ORDERS = ["newest first", "by series", "shuffled", "two exports, the later first"]


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_gives_the_same_points_in_order_of_time(tmp_path: Path, order: str) -> None:
    rows = rows_by_time()
    expected = [
        row
        for chunk in open_source("csv", SourceOptions(path=written(tmp_path / "a.csv", rows, "by time"))).batches()
        for row in chunk.to_pylist()
    ]
    source = open_source("csv", SourceOptions(path=written(tmp_path / "b.csv", rows, order)))
    chunks = list(source.batches())
    rows_read = [row for chunk in chunks for row in chunk.to_pylist()]
    key = lambda row: (row["timestamp"], row["service"])  # noqa: E731
    assert sorted(rows_read, key=key) == sorted(expected, key=key)
    assert [row["timestamp"] for row in rows_read] == sorted(row["timestamp"] for row in rows_read)
    assert sum(validate_recorded(chunk, NOW, "csv").rejected.num_rows for chunk in chunks) == 0
    assert any("not in order of time" in text for text in source.remarks())  # type: ignore[attr-defined]


@pytest.mark.parametrize("order", ORDERS)
def test_a_back_test_sees_the_same_pages_in_every_order(tmp_path: Path, order: str) -> None:
    rows = rows_by_time()
    runs = [
        run_backtest(
            open_source("csv", SourceOptions(path=written(tmp_path / f"{name}.csv", rows, name))),
            "robust-stream",
            PageBudget(),
            lambda _: None,
        )
        for name in ("by time", order)
    ]
    assert runs[0].accepted == runs[1].accepted == len(rows)
    assert runs[0].result.rules[0].pages > 0
    assert runs[1].result.rules[0].pages == runs[0].result.rules[0].pages


def test_sorting_out_of_memory_gives_what_sorting_in_memory_gives(tmp_path: Path) -> None:
    """Unreadable rows, and bytes that are no text, wait in files as well as the others do."""
    rows = rows_by_time(300)
    lines = [line.encode() for _, line in random.Random(1).sample(rows, len(rows))]
    lines[40] = b"2024-02-01T01:00:00Z,pa\xff,queue_depth,1\n"
    lines[50] = b"nonsense,cart,queue_depth,1\n"
    lines[60] = b"2024-02-01T01:00:00Z,cart,queue_depth,many\n"
    lines[70] = b"2024-02-01T01:00:00Z,cart\n"
    path = tmp_path / "t.csv"
    path.write_bytes(b"timestamp,service,metric,value\n" + b"".join(lines))
    source = FileSource(FORMAT, SourceOptions(path=path))
    scan, read = source.scan(path), partial(source.rows, path)
    whole, parts = list(sorted_rows(read, scan)), list(sorted_rows(read, scan, part_rows=37))
    assert len(whole) == 1
    assert len(parts) > 10
    for kind in ("readable", "raw"):
        tables = [[plain(row) for part in sorting for row in getattr(part, kind).to_pylist()] for sorting in (whole, parts)]
        assert sorted(map(str, tables[0])) == sorted(map(str, tables[1]))
    times = np.concatenate([part.readable_at for part in parts])
    assert np.array_equal(times, whole[0].readable_at)
    assert sum(part.readable.num_rows + part.raw.num_rows for part in parts) == len(lines)


def test_rows_after_a_gap_are_valid_and_rows_after_now_are_not(tmp_path: Path) -> None:
    rows = rows_by_time(200)
    for days in (3, 4):
        rows.append((0, f"{(START + timedelta(days=days)).isoformat()},cart,queue_depth,11\n"))
    rows.append((0, f"{(NOW + timedelta(days=1)).isoformat()},cart,queue_depth,11\n"))
    source = open_source("csv", SourceOptions(path=written(tmp_path / "t.csv", rows, "by time")))
    (chunk,) = (chunk for chunk in source.batches() if chunk.num_rows)
    outcome = validate_recorded(chunk, NOW, "csv")
    assert outcome.accepted.num_rows == len(rows) - 1
    assert outcome.rejected["reason"].to_pylist() == ["future_timestamp"]
    assert validate(chunk, START, "csv").accepted.num_rows < len(rows) - 1


def test_a_row_now_and_then_that_comes_late_stays_where_it_is(tmp_path: Path) -> None:
    rows = rows_by_time(400)
    rows[500], rows[100] = rows[100], rows[500]
    source = open_source("csv", SourceOptions(path=written(tmp_path / "t.csv", rows, "by time")))
    times = [row["timestamp"] for chunk in source.batches() for row in chunk.to_pylist()]
    assert times != sorted(times)
    assert source.remarks() == ()  # type: ignore[attr-defined]


class RecordingProducer:
    """Takes what a replay publishes and judges it as the stream does: by the clock that comes with it."""

    def __init__(self) -> None:
        self.accepted = 0
        self.refused: list[str] = []

    def resume_from(self) -> int:
        return 0

    def publish(self, piece: pa.Table, seq: int, clock: datetime) -> int:
        outcome = validate(piece, clock, "csv")
        self.accepted += outcome.accepted.num_rows
        self.refused += outcome.rejected["reason"].to_pylist()
        return seq


@pytest.mark.parametrize("rows_before_the_gap", [200, 4094, 4095, 4096])
def test_a_replay_takes_the_rows_after_a_gap_wherever_its_pieces_end(rows_before_the_gap: int) -> None:
    minutes = [*range(rows_before_the_gap), *(rows_before_the_gap + 4000 + after for after in range(2))]
    times = [START + timedelta(minutes=minute) for minute in minutes]
    columns = {"timestamp": pa.array(times, pa.timestamp("us", tz="UTC")), "value": [1.0] * len(times)}
    table = pa.table({**columns, "service": ["a"] * len(times), "metric": ["m"] * len(times)})
    producer = RecordingProducer()
    Replay(producer, INCIDENTS.empty_table(), NOW).publish_recording(iter([table]), NOW)  # type: ignore[arg-type]
    assert (producer.accepted, producer.refused) == (len(times), [])
