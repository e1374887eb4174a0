"""The lake on a real disk: atomic, idempotent by key, safe between processes, honest about damage."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aiops.errors import ConfigurationError, ContractError, StateError
from data_contracts.schemas.telemetry_schemas import EDGES, INCIDENTS, LAKE_TELEMETRY, SERVED
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.lake import parquet_reading
from serving.lake.lake_tables import LAKE_TABLES
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from tests.testing.deadlines import within
from tests.testing.series_names import lake_rows

START = datetime(2026, 3, 1, 22, tzinfo=UTC)


def telemetry(rows: int, start: datetime = START, value: float = 1.0, service: str = "cart") -> pa.Table:
    """Return one point a minute."""
    times = [start + timedelta(minutes=row) for row in range(rows)]
    texts, values = pa.array([service] * rows, pa.string()), pa.array([value] * rows, pa.float64())
    moments = pa.array(times, pa.timestamp("us", tz="UTC"))
    return lake_rows(
        pa.table({"timestamp": moments, "service": texts, "metric": texts, "value": values, "available_at": moments})
    )


@pytest.fixture
def lake(home: Path) -> Lake:
    return open_lake(home / "lake [1] *").for_tenant(DEFAULT_TENANT)  # characters that a glob would read


def files(lake: Lake, pattern: str = "**/*.parquet") -> list[str]:
    root = lake.folder("telemetry").parent
    return sorted(str(path.relative_to(root)) for path in root.glob(pattern))


def test_rows_come_back_as_they_were_written(lake: Lake) -> None:
    rows = telemetry(240)
    assert lake.write("telemetry", rows, "a-1") == 240
    assert lake.read("telemetry").equals(rows)
    assert lake.read("telemetry").schema.equals(LAKE_TELEMETRY, check_metadata=True)
    assert lake.count("telemetry") == 240
    assert lake.days("telemetry") == [date(2026, 3, 1), date(2026, 3, 2)]
    assert files(lake) == ["telemetry/day=2026-03-01/part-a-1.parquet", "telemetry/day=2026-03-02/part-a-1.parquet"]


def test_telemetry_of_some_services_is_what_reading_all_of_it_gives(lake: Lake) -> None:
    columns = ["timestamp", "service", "metric", "labels", "value"]
    assert lake.read_telemetry(START, START + timedelta(hours=9), ["cart"]).num_rows == 0
    for number, service in enumerate(("cart", "pay", "web")):
        rows = telemetry(240, value=float(number), service=service)
        lake.write("telemetry", rows, f"part-{number}")
    begin, end = START + timedelta(minutes=30), START + timedelta(minutes=200)
    of_services = lake.read_telemetry(begin, end, ["web", "cart", "nobody"])
    assert of_services.num_rows == 340
    whole = lake.read("telemetry", begin, end, columns)
    wanted = [row for row in whole.to_pylist() if row["service"] != "pay"]
    key = lambda row: (row["timestamp"], row["service"])  # noqa: E731
    assert sorted(of_services.to_pylist(), key=key) == sorted(wanted, key=key)
    with pytest.raises(ConfigurationError, match="has no time zone"):
        lake.read_telemetry(datetime(2026, 3, 1), end, ["cart"])  # noqa: DTZ001
    Path(lake.folder("telemetry").parent, files(lake)[0]).write_bytes(b"junk")
    with pytest.raises(StateError, match="telemetry"):
        lake.read_telemetry(begin, end, ["cart"])


@pytest.mark.parametrize("table", list(LAKE_TABLES))
def test_every_table_is_empty_first_and_takes_its_own_schema(lake: Lake, table: str) -> None:
    schema = LAKE_TABLES[table].schema
    assert lake.read(table).equals(schema.empty_table())
    assert (lake.count(table), lake.days(table)) == (0, [])
    cells: dict[Any, Any] = {
        pa.types.is_timestamp: START,
        pa.types.is_string: "x",
        pa.types.is_boolean: True,
        pa.types.is_integer: 1,
    }
    row = {field.name: next((cell for is_kind, cell in cells.items() if is_kind(field.type)), 0.5) for field in schema}
    row |= {field.name: None for field in schema if field.nullable}
    rows = pa.Table.from_pylist([row], schema=schema)
    assert lake.write(table, rows, "k") == 1
    assert lake.read(table).equals(rows)


def test_start_is_included_and_end_is_not(lake: Lake) -> None:
    lake.write("telemetry", telemetry(240), "a")
    first, last = START + timedelta(minutes=10), START + timedelta(minutes=200)
    times = lake.read("telemetry", first, last, columns=["timestamp"]).column("timestamp").to_pylist()
    assert (times[0], times[-1], len(times)) == (first, last - timedelta(minutes=1), 190)
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    assert lake.read("telemetry", midnight, midnight).num_rows == 0
    assert lake.read("telemetry", end=midnight).num_rows == 120
    assert lake.read("telemetry", start=midnight.astimezone()).num_rows == 120


def test_columns_come_in_the_order_asked(lake: Lake) -> None:
    lake.write("telemetry", telemetry(3), "a")
    assert lake.read("telemetry", columns=["value", "service"]).column_names == ["value", "service"]
    assert lake.read("telemetry", START, columns=["value"]).column_names == ["value"]


def test_a_key_written_again_replaces_its_rows_on_every_day(lake: Lake) -> None:
    lake.write("telemetry", telemetry(240), "a")
    lake.write("telemetry", telemetry(5, value=2.0, service="pay"), "b")
    lake.write("telemetry", telemetry(240), "a")
    assert lake.count("telemetry") == 245
    lake.write("telemetry", telemetry(7, value=3.0), "a")
    assert sorted(map(str, lake.read("telemetry").column("value").to_pylist())) == ["2.0"] * 5 + ["3.0"] * 7
    assert lake.write("telemetry", telemetry(0), "a") == 0
    assert lake.count("telemetry") == 5


def test_points_come_back_in_order_of_time_and_others_in_that_of_writing(lake: Lake) -> None:
    rows = telemetry(240).take(list(range(239, -1, -1)))
    lake.write("telemetry", rows, "a")
    assert lake.read("telemetry").equals(telemetry(240))
    row = {"served_at": START, "request_id": "r", "model": "m", "model_version": "1", "role": "champion"}
    served = pa.Table.from_pylist([{**row, "request_id": name} for name in "cab"], schema=SERVED)
    lake.write("served", served, "a")
    assert lake.read("served", columns=["request_id"])["request_id"].to_pylist() == ["c", "a", "b"]


def test_the_graph_is_one_file_that_is_replaced(lake: Lake) -> None:
    for callee in ("a", "b"):
        edge = {"caller": "x", "callee": callee, "valid_from": START}
        lake.write("edges", pa.Table.from_pylist([edge], schema=EDGES), f"graph-{callee}")
    assert lake.read("edges").column("callee").to_pylist() == ["b"]
    assert files(lake) == ["edges/part-all.parquet"]


def test_loose_encodings_are_cast_and_columns_reordered(lake: Lake) -> None:
    rows = telemetry(3)
    loose = rows.select(rows.column_names[::-1])
    loose = loose.set_column(4, "service", rows.column("service").combine_chunks().dictionary_encode())
    loose = loose.set_column(6, "timestamp", rows.column("timestamp").cast(pa.timestamp("ns", tz="Europe/Berlin")))
    lake.write("telemetry", loose.to_batches()[0], "a")
    assert lake.read("telemetry").equals(rows)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (telemetry(2).drop_columns(["value"]), "columns missing: value; unknown or twice: none"),
        (telemetry(2).append_column("extra", pa.array([1, 2])), "unknown or twice: extra"),
        (telemetry(2).set_column(5, "value", pa.array(["one", "two"])), "column 'value' has type string; it must be double"),
        (telemetry(2).set_column(5, "value", pa.array([1.0, None])), "column 'value' has 1 nulls in 2 rows"),
        (telemetry(2).set_column(0, "timestamp", pa.array([1, None], pa.timestamp("us", "UTC"))), "'timestamp' has 1 nulls"),
    ],
)
def test_rows_that_break_the_schema_are_refused(lake: Lake, rows: pa.Table, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        lake.write("telemetry", rows, "a")
    assert lake.count("telemetry") == 0


@pytest.mark.parametrize("key", ["", "../x", "a/b", ".hidden", "-x", "k" * 121, "a\n", "ä"])
def test_keys_that_are_no_file_names_are_refused(lake: Lake, key: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a file"):
        lake.write("telemetry", telemetry(1), key)


def test_signals_are_retained_by_themselves_and_the_catalogue_of_series_stays(lake: Lake) -> None:
    for table in ("telemetry", "logs", "spans", "exemplars", "series"):
        schema = LAKE_TABLES[table].schema
        row = {field.name: None if field.nullable else _cell(field.type) for field in schema}
        lake.write(table, pa.Table.from_pylist([row], schema=schema), "k")
    later = START + timedelta(days=10)
    assert lake.retain(later, 5) == 1
    assert [lake.count(table) for table in ("telemetry", "logs", "spans", "exemplars", "series")] == [0, 1, 1, 1, 1]
    assert lake.retain(later, 5, signals=True) == 3
    assert [lake.count(table) for table in ("logs", "spans", "exemplars", "series")] == [0, 0, 0, 1]
    with pytest.raises(ConfigurationError, match=r"telemetry\.signals_retention_days"):
        lake.retain(later, 0, signals=True)


def _cell(kind: Any) -> Any:
    if pa.types.is_timestamp(kind):
        return START
    return "x" if pa.types.is_string(kind) else True if pa.types.is_boolean(kind) else 1


def test_what_a_sender_repeats_is_stored_once_and_small_files_of_signals_are_merged(lake: Lake) -> None:
    schema = LAKE_TABLES["logs"].schema
    row = {field.name: None if field.nullable else _cell(field.type) for field in schema}
    for number in range(10):
        cells = {"log_id": number // 2, "available_at": START + timedelta(seconds=number)}
        lake.write("logs", pa.Table.from_pylist([row | cells], schema=schema), f"signals-0-{number}")
    before = lake.read("logs")
    assert before["available_at"].to_pylist() == [START + timedelta(seconds=2 * number) for number in range(5)]
    compacted = lake.compact(settled_s=0.0)
    assert (compacted.files, compacted.into, compacted.repeated) == (10, 1, 5)
    assert lake.read("logs").equals(before)


def test_wrong_requests_are_refused(lake: Lake) -> None:
    with pytest.raises(ConfigurationError, match="'profiles' is unknown; tables of the lake: telemetry"):
        lake.read("profiles")
    with pytest.raises(ConfigurationError, match="no column price"):
        lake.read("telemetry", columns=["price"])
    with pytest.raises(ConfigurationError, match="no column of table"):
        lake.read("telemetry", columns=[])
    with pytest.raises(ConfigurationError, match=r"start .* has no time zone"):
        lake.read("telemetry", START.replace(tzinfo=None))
    with pytest.raises(ConfigurationError, match="days is 0"):
        lake.retain(START, 0)


def test_files_of_an_older_schema_are_read_with_nulls(lake: Lake) -> None:
    row = {"served_at": START, "request_id": "r", "model": "m", "model_version": "1", "role": "champion", "score": 0.5}
    served = pa.Table.from_pylist([row], schema=SERVED)
    lake.write("served", served, "new")
    lake.write("served", served, "old")
    path = lake.folder("telemetry").parent / "served/day=2026-03-01/part-old.parquet"
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["score", "hour"]), path)
    back = lake.read("served")
    assert back.column("score").to_pylist() == [0.5, None]
    path.unlink()
    only_old = pq.read_table(lake.folder("telemetry").parent / "served/day=2026-03-01/part-new.parquet", partitioning=None)
    pq.write_table(only_old.drop_columns(["score"]), path.with_name("part-new.parquet"))
    assert lake.read("served").column("score").to_pylist() == [None]
    pq.write_table(only_old.drop_columns(["model"]), path.with_name("part-new.parquet"))
    with pytest.raises(ContractError, match="lack column 'model'"):
        lake.read("served")


def test_a_damaged_file_is_named(lake: Lake) -> None:
    lake.write("telemetry", telemetry(3), "a")
    path = lake.folder("telemetry").parent / "telemetry/day=2026-03-01/part-a.parquet"
    path.write_bytes(path.read_bytes()[:-9] + b"garbage!!")
    with pytest.raises(StateError, match=r"part-a\.parquet"):
        lake.read("telemetry")


def test_retention_deletes_whole_days_and_keeps_labels(lake: Lake) -> None:
    for back in range(5):
        lake.write("telemetry", telemetry(3, START - timedelta(days=back)), f"day-{back}")
    incident = {name: START - timedelta(days=400) for name in ("onset_at", "starts_at", "ends_at", "known_at")}
    texts = {"incident_id": "i", "service": "cart", "kind": "disk_fill"}
    lake.write("incidents", pa.Table.from_pylist([{**texts, **incident}], schema=INCIDENTS), "truth")
    assert lake.retain(START, 2) == 2
    assert lake.days("telemetry") == [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1)]
    assert (lake.retain(START, 2), lake.count("telemetry"), lake.count("incidents")) == (0, 9, 1)
    assert sorted(path.name for path in lake.folder("telemetry").parent.iterdir()) == [
        ".locks",
        ".staging",
        "incidents",
        "telemetry",
    ]


WRITER = """
import sys, time
from pathlib import Path
import pyarrow.parquet as pq
from serving.lake import parquet_writing
from serving.lake.opening import open_lake
sys.path.insert(0, sys.argv[2])
from tests.integration.serving.lake.test_lake import telemetry
real = pq.write_table
def stuck(rows, handle, **options):
    real(rows.slice(0, 1), handle, **options)
    handle.flush()
    print("half", flush=True)
    time.sleep(60)
if sys.argv[3] == "stuck":
    parquet_writing.pq.write_table = stuck
for turn in range(int(sys.argv[4])):
    rows = telemetry(400, value=float(turn), service=sys.argv[3])
    open_lake(Path(sys.argv[1])).for_tenant("default").write("telemetry", rows, sys.argv[3])
"""


def writer(lake: Lake, name: str, turns: int = 1) -> "subprocess.Popen[str]":
    """Start another process that writes 400 rows over two days under key `name`, `turns` times."""
    arguments = [
        sys.executable,
        "-c",
        WRITER,
        str(lake.folder("telemetry").parents[1]),
        str(Path(__file__).parents[4]),
        name,
        str(turns),
    ]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[4])


def test_a_writer_killed_in_the_middle_leaves_nothing_to_see(lake: Lake) -> None:
    lake.write("telemetry", telemetry(3, service="before"), "before")
    process = writer(lake, "stuck")
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    assert files(lake, ".staging/*") != []
    lake.write("telemetry", telemetry(4, service="while"), "while")  # sweeps, but the living writer's file is locked
    assert len(files(lake, ".staging/*")) == 1
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert lake.count("telemetry") == 7
    assert "part-stuck.parquet" not in " ".join(files(lake, "telemetry/**/*"))
    lake.write("telemetry", telemetry(2, service="after"), "after")
    assert files(lake, ".staging/*") == []
    assert lake.read("telemetry").num_rows == 9


@pytest.mark.parametrize("outcome", ["garbage", "error"])
def test_what_is_read_of_a_file_that_is_replaced_meanwhile_does_not_count(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    lake.write("telemetry", telemetry(30, value=1.0), "a")
    read, answers = parquet_reading.read_once, []

    def replaced_meanwhile(*arguments: Any) -> pa.Table:
        rows = read(*arguments)
        answers.append(rows.num_rows)
        if len(answers) == 1:
            lake.write("telemetry", telemetry(60, value=2.0), "a")
            if outcome == "error":
                raise duckdb.Error("TProtocolException: Negative size")
        return rows

    monkeypatch.setattr(parquet_reading, "read_once", replaced_meanwhile)
    assert lake.read("telemetry")["value"].to_pylist() == [2.0] * 60
    assert answers == [30, 60]


def test_readers_and_retention_beside_writers_in_other_processes(lake: Lake) -> None:
    writers = [writer(lake, name, turns=25) for name in ("a", "b")]
    sizes = set()
    deadline = time.monotonic() + within(60)
    while any(process.poll() is None for process in writers) and time.monotonic() < deadline:
        rows = lake.read("telemetry", columns=["value"])
        sizes.add(rows.num_rows)
        lake.retain(START + timedelta(days=10), 1)
        lake.count("telemetry")
    for process in writers:
        process.communicate(timeout=within(30))
    assert [process.returncode for process in writers] == [0, 0]
    for name in ("a", "b"):
        lake.write("telemetry", telemetry(400, service=name), name)
    assert lake.read("telemetry").num_rows == lake.count("telemetry") == 800
    assert sizes <= {0, 120, 240, 280, 400, 520, 560, 680, 800}
