"""Forms of time: what each is read as, what is refused, and which option says it."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from aiops.errors import ConfigurationError, FileError
from data_contracts.values.time_forms import read_moment
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_registry import open_source
from serving.ingest.pull.time_columns import TimeForm, read_epochs, recognised_form

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
S = int(NOON.timestamp())


def times_of(tmp_path: Path, cells: list[str], **options: object) -> list[object]:
    path = tmp_path / "t.csv"
    path.write_text("timestamp,service,metric,value\n" + "".join(f"{cell},a,m{n},1\n" for n, cell in enumerate(cells)))
    source = open_source("csv", SourceOptions(path=path, **options))  # type: ignore[arg-type]
    rows = [row for chunk in source.batches() for row in chunk.to_pylist()]
    return [row["timestamp"] for row in sorted(rows, key=lambda row: int(row["metric"][1:]))]


@pytest.mark.parametrize(
    "cell",
    [
        f"{S}",
        f"{S}.0",
        f"{S / 1e9}e+09",
        f"{S}000",
        f"{S}000000",
        f"{S}000000000",
        "20240501120000",
        "202405011200",
        "20240501120000000",
        "20240501T120000Z",
        "2024-05-01T12:00:00Z",
        "2024-05-01 12:00:00",
        "2024-05-01 12:00:00 UTC",
        "2024-05-01 12:00:00 GMT",
        "2024/05/01 12:00:00",
        "2024-05-01T14:00:00+02:00",
        "2024-05-01T11:59:60Z",
        "2024-05-01T12:00:00.000000000Z",
    ],
)
def test_a_form_that_is_sure_is_recognised(tmp_path: Path, cell: str) -> None:
    assert times_of(tmp_path, [cell, cell]) == [NOON, NOON]
    assert read_moment(cell) == NOON


def test_microseconds_of_every_unit_are_exact(tmp_path: Path) -> None:
    exact = datetime(2024, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)
    assert times_of(tmp_path, [f"{S}123456789"]) == [exact]
    assert times_of(tmp_path, [f"{S}123456"]) == [exact]
    assert times_of(tmp_path, [f"{S}.25"]) == [NOON.replace(microsecond=250_000)]


def test_iso_and_numbers_mix_in_a_column(tmp_path: Path) -> None:
    assert times_of(tmp_path, ["2024-05-01T12:00:00Z", f"{S}", "2024-05-01T12:00:00Z"]) == [NOON] * 3
    assert times_of(tmp_path, [f"{S}", f"{S}", "2024-05-01 12:00:00 UTC"]) == [NOON] * 3


def test_a_number_of_another_unit_than_its_column_is_no_time_of_it(tmp_path: Path) -> None:
    """One cell in milliseconds among seconds is passed on as it stands; the contract refuses it alone."""
    parsed = times_of(tmp_path, [f"{S}"] * 20 + [f"{S}000"])
    assert parsed[:20] == [NOON] * 20
    assert parsed[20] == f"{S}000"


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (
            [f"{S}", f"{S}000"] * 5,
            r"timestamp: of 10 numbers 5 are times as s, 5 as ms; write one form, or say it with time_unit",
        ),
        (["05/01/2024 00:00"] * 3, r"could be read in several ways; say which with time_format='%m/%d/%Y %H:%M' or .*%d/%m"),
        (
            ["05/13/2024 00:00"] * 3,
            r"is in no form that is recognised with certainty; say which with time_format='%m/%d/%Y %H:%M'",
        ),
        (["soon", "later"], r"'soon' is in no form that is recognised with certainty; say which with time_format, for example"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_with_the_option_to_give(tmp_path: Path, cells: list[str], says: str) -> None:
    with pytest.raises(FileError, match=says):
        times_of(tmp_path, cells)


def test_a_form_and_a_zone_that_are_given_count(tmp_path: Path) -> None:
    assert times_of(tmp_path, ["05/01/2024 12:00"], time_format="%m/%d/%Y %H:%M") == [NOON]
    assert times_of(tmp_path, ["01.05.2024 14:00"], time_format="%d.%m.%Y %H:%M", time_zone="Europe/Berlin") == [NOON]
    assert times_of(tmp_path, ["2024-05-01 14:00", "2024-05-01T12:00:00Z"], time_zone="Europe/Berlin") == [NOON, NOON]
    with pytest.raises(ConfigurationError, match="time_zone: 'Mars' is not known; give an IANA name"):
        SourceOptions(time_zone="Mars")


def test_an_hour_that_comes_twice_is_not_guessed(tmp_path: Path) -> None:
    cells = ["2024-10-27T01:30:00", "2024-10-27T02:30:00", "2024-10-27T03:30:00"]
    parsed = times_of(tmp_path, cells, time_zone="Europe/Berlin")
    assert parsed == [datetime(2024, 10, 26, 23, 30, tzinfo=UTC), cells[1], datetime(2024, 10, 27, 2, 30, tzinfo=UTC)]
    source = open_source("csv", SourceOptions(path=tmp_path / "t.csv", time_zone="Europe/Berlin"))
    list(source.batches())
    assert any("1 times come twice or never in Europe/Berlin" in text for text in source.remarks())  # type: ignore[attr-defined]
    plain = open_source("csv", SourceOptions(path=tmp_path / "t.csv"))
    list(plain.batches())
    assert any("3 times have no zone and count as UTC" in text for text in plain.remarks())  # type: ignore[attr-defined]


def test_compact_dates_as_whole_numbers_of_parquet(tmp_path: Path) -> None:
    path = tmp_path / "t.pq"
    columns = {"timestamp": [20240501120000], "service": [42], "metric": ["m"], "value": [1]}
    pyarrow.parquet.write_table(pa.table(columns), path)
    (chunk,) = (chunk for chunk in open_source("parquet", SourceOptions(path=path)).batches() if chunk.num_rows)
    assert chunk["timestamp"].to_pylist() == [NOON]
    assert chunk["service"].to_pylist() == ["42"]
    pyarrow.parquet.write_table(pa.table(columns | {"service": [42.0]}), path)
    with pytest.raises(FileError, match="the column 'service' holds names and has type double; names are text"):
        list(open_source("parquet", SourceOptions(path=path)).batches())


def test_dates_and_seconds_from_a_start_are_recognised_by_the_column() -> None:
    days = pa.array(["20240501", "20240502"])
    assert recognised_form(days, TimeForm(), "t").unit == "compact"
    seconds = pa.array([str(60 * number) for number in range(50)] + ["20240501"])
    assert recognised_form(seconds, TimeForm(), "t").unit == "s"
    assert read_epochs(seconds, TimeForm("s"))[-1] == 20240501 * 1_000_000
