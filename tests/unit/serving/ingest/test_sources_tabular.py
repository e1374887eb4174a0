"""CSV and Parquet: long and wide, mapped columns, every kind of time, and nothing lost of what cannot be read."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from aiops.errors import ConfigurationError, SourceError
from aiops.ports import ChangeLog
from data_contracts.telemetry.validate import validate
from serving.ingest.pull.source_options import ColumnMapping, SourceOptions, parse_series
from serving.ingest.pull.source_registry import SOURCES, open_source
from tests.conformance.source_suite import check_source, times_us

LONG = """timestamp,service,metric,value
2024-01-01T00:00:00Z,a,latency_ms,1.5
2024-01-01T00:01:00Z,a,latency_ms,abc
not a time,a,latency_ms,2
2024-01-01T00:03:00Z,a,latency_ms,
too,many,cells,in,line
2024-01-01 00:04:00,b,latency_ms,nan
2024-01-01T02:05:00+02:00,b,latency_ms,3
"""
NOW = datetime(2024, 1, 2, tzinfo=UTC)


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def rows_of(path: Path, kind: str = "csv", **options: object) -> list[dict[str, object]]:
    source = open_source(kind, SourceOptions(path=path, **options))  # type: ignore[arg-type]
    return [row for chunk in source.batches() for row in chunk.to_pylist()]


def test_readable_rows_are_typed_and_all_others_passed_on_as_text(tmp_path: Path) -> None:
    source = open_source("csv", SourceOptions(path=written(tmp_path / "t.csv", LONG)))
    readable, raw = list(source.batches())
    assert [str(at) for at in readable["timestamp"].to_pylist()] == [
        "2024-01-01 00:00:00+00:00",
        "2024-01-01 00:04:00+00:00",
        "2024-01-01 00:05:00+00:00",
    ]
    assert raw["value"].to_pylist() == ["abc", "2", "", "too,many,cells,in,line"]
    assert raw["timestamp"].to_pylist()[1] == "not a time"
    reasons = validate(raw, NOW).rejected["reason"].to_pylist()
    assert reasons == ["missing_value", "bad_timestamp", "missing_value", "missing_value"]
    assert validate(readable, NOW).rejected["reason"].to_pylist() == ["non_finite"]


def test_bytes_that_are_no_text_reach_the_contract(tmp_path: Path) -> None:
    text = b"timestamp,service,metric,value\n2024-01-01T00:00:00Z,\xff\xfe,m,4\n2024-01-01T00:00:00Z,ok,m,4\n"
    source = open_source("csv", SourceOptions(path=written(tmp_path / "t.csv", text)))
    readable, raw = list(source.batches())
    assert readable["service"].to_pylist() == ["ok"]
    assert validate(raw, NOW).rejected["reason"].to_pylist() == ["name"]


@pytest.mark.parametrize(
    ("cells", "unit"),
    [
        ("1704067200", "auto"),
        ("1704067200.0", "s"),
        ("1704067200000", "auto"),
        ("1704067200000000", "us"),
        ("1704067200000000000", "auto"),
        ("2024-01-01 00:00:00", "auto"),
        ("2024-01-01T01:00:00.000000+01:00", "auto"),
        ("2024-01-01", "auto"),
    ],
)
def test_times_in_every_unit(tmp_path: Path, cells: str, unit: str) -> None:
    path = written(tmp_path / "t.csv", f"timestamp,service,metric,value\n{cells},a,m,1\n")
    assert [row["timestamp"] for row in rows_of(path, time_unit=unit)] == [datetime(2024, 1, 1, tzinfo=UTC)]


def test_times_beyond_the_calendar_are_passed_on_as_they_stand(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "timestamp,service,metric,value\n1e18,a,m,1\n0,a,m,1\n")
    assert [row["timestamp"] for row in rows_of(path, time_unit="s")] == [datetime(1970, 1, 1, tzinfo=UTC), "1e18"]


def test_columns_are_mapped_and_label_columns_become_labels(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "ts,svc,name,v,region,zone,org\n1704067200,a,m,1,eu,,x\n1704067260,a,m,2,,,\n")
    mapping = ColumnMapping.parse("timestamp=ts,service=svc,metric=name,value=v,tenant=org,labels=region+zone")
    rows = rows_of(path, columns=mapping)
    assert [(row["labels"], row["tenant"]) for row in rows] == [([("region", "eu")], "x"), ([], None)]


def test_labels_as_json(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", 'timestamp,service,metric,value,labels\n1,a,m,1,"{""code"": 500}"\n2,a,m,1,oops\n')
    assert [row["labels"] for row in rows_of(path)] == [[("code", "500")], [("labels", "oops")]]


def test_wide_columns_are_named_service_dot_metric_and_empty_cells_are_no_samples(tmp_path: Path) -> None:
    path = written(tmp_path / "w.csv", "timestamp,a.b.cpu,c.mem\n60,1,2\n120,,x\n180,3,NaN\n")
    rows = [(row["service"], row["metric"], row["value"]) for row in rows_of(path)]
    assert rows[:3] == [("a.b", "cpu", 1.0), ("c", "mem", 2.0), ("a.b", "cpu", 3.0)]
    assert rows[-1] == ("c", "mem", "x")
    assert len(rows) == 5


def test_wide_columns_named_by_options(tmp_path: Path) -> None:
    path = written(tmp_path / "w.csv", "timestamp,c1,c2\n60,1,2\n")
    rows = rows_of(path, service="shop", series=parse_series("c2=cart.mem"))
    assert [(row["service"], row["metric"]) for row in rows] == [("shop", "c1"), ("cart", "mem")]
    with pytest.raises(ConfigurationError, match=r"'c1' is not called service\.metric; give --set service"):
        rows_of(path)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("form", ["long", "wide"])
def test_conformance(tmp_path: Path, kind: str, form: str) -> None:
    minutes = pa.array(
        [datetime(2024, 1, 1, h, m, tzinfo=UTC) for h in range(4) for m in range(60)], pa.timestamp("us", tz="UTC")
    )
    count = len(minutes)
    columns = {"a.cpu": [i / 7 for i in range(count)], "b.cpu": [float(i) for i in range(count)]}
    table = pa.table({"timestamp": minutes, **columns})
    if form == "long":
        parts = [
            table.select(["timestamp", name])
            .rename_columns(["timestamp", "value"])
            .append_column("service", pa.array([name[0]] * count))
            .append_column("metric", pa.array(["cpu"] * count))
            for name in columns
        ]
        table = pa.concat_tables(parts).sort_by("timestamp")
    path = tmp_path / f"t.{kind}"
    if kind == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path)
    assert check_source(open_source(kind, SourceOptions(path=path))) == 2 * count


def test_conformance_with_unreadable_rows(tmp_path: Path) -> None:
    good = "".join(f"2024-01-01T00:{minute:02}:00Z,a,m,{minute}\n" for minute in range(60))
    bad = "nope,a,m,1\n2024-01-01T00:05:00Z,a,m,x\na,b\n"
    path = written(tmp_path / "t.csv", "timestamp,service,metric,value\n" + bad + good + bad)
    assert check_source(open_source("csv", SourceOptions(path=path))) == 66


def test_a_folder_is_merged_in_order_of_time(tmp_path: Path) -> None:
    for number, name in enumerate(("x", "y", "z")):
        lines = [f"{60 * i + number},{name},m,{i}" for i in range(number * 20, 100)]
        written(tmp_path / f"{name}.csv", "timestamp,service,metric,value\n" + "\n".join(lines) + "\n")
    source = open_source("csv", SourceOptions(path=tmp_path))
    assert check_source(source, late_share=0.0) == 100 + 80 + 60


def test_a_long_file_comes_in_bounded_chunks_and_in_its_order(tmp_path: Path) -> None:
    count = 600_000
    table = pa.table(
        {
            "timestamp": pa.array(range(1_704_067_200, 1_704_067_200 + count)),
            "service": pa.array(["a"] * count),
            "metric": pa.array(["m"] * count),
            "value": pa.array([1.0] * count),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    chunks = list(open_source("parquet", SourceOptions(path=tmp_path / "t.parquet")).batches())
    assert max(chunk.num_rows for chunk in chunks) <= 250_000
    assert [int(at) for chunk in chunks for at in times_us(chunk)[:1]] == sorted(int(times_us(chunk)[0]) for chunk in chunks)
    assert sum(chunk.num_rows for chunk in chunks) == count


def test_history_is_the_first_share_of_the_rows(tmp_path: Path) -> None:
    lines = "".join(f"{60 * minute},a,m,1\n" for minute in range(100))
    path = written(tmp_path / "t.csv", "timestamp,service,metric,value\n" + lines)
    split = open_source("csv", SourceOptions(path=path, history_share=0.25)).split()
    assert split.history_start.timestamp() == 0
    assert split.history_end == split.replay_start == datetime.fromtimestamp(60 * 25, UTC)
    assert split.replay_end.timestamp() == pytest.approx(60 * 99 + 1e-6)


def test_truth_beside_the_telemetry(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "timestamp,service,metric,value\n0,a,m,1\n")
    incidents = written(tmp_path / "i.csv", "service,starts_at,ends_at\nb,2024-01-01T00:10:00Z,2024-01-01T00:20:00Z\n")
    edges = written(tmp_path / "e.csv", "caller,callee,valid_to,weight\na,b,,\na,c,2024-01-02,7\n")
    changes = written(tmp_path / "releases.csv", "at,service\n2024-01-01T00:05:00Z,b\n")
    source = open_source("csv", SourceOptions(path=path, incidents=incidents, edges=edges, changes=changes))
    assert isinstance(source, ChangeLog)
    (change,) = source.changes().to_pylist()
    assert (change["service"], change["kind"], change["source"]) == ("b", "deployment", "releases")
    (incident,) = source.incidents().to_pylist()
    assert (incident["service"], incident["kind"], incident["onset_at"]) == ("b", "unknown", incident["starts_at"])
    assert incident["known_at"] == incident["ends_at"] == datetime(2024, 1, 1, 0, 20, tzinfo=UTC)
    declared = {
        "valid_from": datetime(1970, 1, 1, tzinfo=UTC),
        "valid_to": None,
        "seen_at": None,
        "origin": "table",
        "weight": None,
    }
    ended = declared | {"valid_to": datetime(2024, 1, 2, tzinfo=UTC), "weight": 7.0}
    assert source.edges().to_pylist() == [{"caller": "a", "callee": "b"} | declared, {"caller": "a", "callee": "c"} | ended]


def test_truth_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", "timestamp,service,metric,value\n0,a,m,1\n")
    incidents = written(tmp_path / "i.csv", "service,starts_at,ends_at\nb,soon,2024-01-01T00:20:00Z\n")
    with pytest.raises(SourceError, match=r"no row can be taken; starts_at 'soon' is no time; .*row 1"):
        open_source("csv", SourceOptions(path=path, incidents=incidents)).incidents()
    with pytest.raises(SourceError, match="no column 'callee'"):
        open_source("csv", SourceOptions(path=path, edges=written(tmp_path / "e.csv", "caller\na\n"))).edges()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; give a CSV file with a header"),
        ("a,b\n1,2\n", "no column 'timestamp'; its columns are a, b"),
        ("timestamp,x,x\n1,2,3\n", "'x' is there twice"),
        ("timestamp\n1\n", "no column beside 'timestamp'"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        rows_of(written(tmp_path / "t.csv", text))
    with pytest.raises(SourceError, match="no row has a readable time"):
        open_source("csv", SourceOptions(path=written(tmp_path / "e.csv", "timestamp,service,metric,value\n"))).split()


def test_options_are_checked_and_name_their_fix(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"unknown field 'tiem'.*known fields: timestamp"):
        ColumnMapping.parse("tiem=ts")
    with pytest.raises(ConfigurationError, match="is not name=value"):
        ColumnMapping.parse("timestamp")
    with pytest.raises(ConfigurationError, match="given twice"):
        ColumnMapping.parse("value=a,value=b")
    with pytest.raises(ConfigurationError, match=r"series: 'cpu' is not service\.metric"):
        parse_series("c1=cpu")
    with pytest.raises(ConfigurationError, match=r"history_share: 1\.5 lies outside"):
        SourceOptions(history_share=1.5)
    with pytest.raises(ConfigurationError, match=r"start: .* has no time zone"):
        SourceOptions(start=datetime(2024, 1, 1))  # noqa: DTZ001
    with pytest.raises(ConfigurationError, match="'kafka' is not known; choose one of simulate, csv"):
        open_source("kafka", SourceOptions())
    with pytest.raises(ConfigurationError, match="url: the source 'csv' does not read this option"):
        open_source("csv", SourceOptions(url="http://x", path=tmp_path))
    with pytest.raises(ConfigurationError, match="path: not given"):
        open_source("csv", SourceOptions())
    with pytest.raises(SourceError, match=r"holds no csv file; files end in \.csv"):
        open_source("csv", SourceOptions(path=tmp_path))
    assert set(SOURCES) == {"simulate", "csv", "parquet", "nezha", "petshop", "nab", "prometheus"}


def test_the_token_is_in_no_text() -> None:
    assert "hush" not in repr(SourceOptions(token="hush"))


def test_the_simulation_conforms() -> None:
    assert check_source(open_source("simulate", SourceOptions(hours=4, services=3))) > 0
