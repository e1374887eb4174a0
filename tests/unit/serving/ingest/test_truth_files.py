"""Incidents, calls and changes beside the telemetry: each row for itself, names as text, labels that are none named as such."""

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from aiops.errors import FileError
from serving.ingest.pull.csv_blocks import Dialect
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_registry import open_source
from serving.ingest.pull.truth_files import read_edges, read_incidents, remarks_of

TWO, HALF = datetime(2024, 4, 1, 2, tzinfo=UTC), datetime(2024, 4, 1, 2, 30, tzinfo=UTC)
HEAD = "service,starts_at,ends_at\n"
GOOD = "cart,2024-04-01T02:00:00Z,2024-04-01T02:30:00Z\n"


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("cart,2024-04-01T08:00:00Z,\n", "the incident of cart goes on (ends_at is empty); it is a label when it is over"),
        ("cart,2024-04-01T08:00:00Z,2024-04-01T07:00:00Z\n", "ends_at 2024-04-01T07:00:00Z is not after starts_at"),
        ("cart,2024-04-01T08:00:00Z,2024-04-01T08:00:00Z\n", "is not after starts_at 2024-04-01T08:00:00Z; correct one of them"),
        ("cart,,2024-04-01T08:00:00Z\n", "starts_at is empty; every row needs one"),
        (",2024-04-01T08:00:00Z,2024-04-01T09:00:00Z\n", "service is empty; every row needs one"),
        ("cart,04/01/2024 08:00,2024-04-01T09:00:00Z\n", "starts_at '04/01/2024 08:00' is no time; write ISO 8601 or epoch"),
        ('"a\nb",2024-04-01T08:00:00Z,2024-04-01T09:00:00Z\n', "contains control character U+000A; none is allowed"),
        ("cart,2024-04-01T08:00:00Z\n", "has not as many cells as the header"),
    ],
)
def test_a_label_that_is_none_is_left_out_with_its_reason(tmp_path: Path, row: str, says: str) -> None:
    read = read_incidents(written(tmp_path / "i.csv", HEAD + GOOD + row + GOOD.replace("cart", "pay")))
    assert sorted(read.rows["service"].to_pylist()) == ["cart", "pay"]
    (refused,) = read.refused
    assert says in refused.reason
    assert says in next(iter(remarks_of(tmp_path / "i.csv", read.refused)))


def test_the_same_label_twice_counts_once_and_an_id_stands_for_one(tmp_path: Path) -> None:
    twice = read_incidents(written(tmp_path / "i.csv", HEAD + GOOD + GOOD))
    assert (twice.rows.num_rows, twice.refused) == (1, ())
    head = "incident_id," + HEAD
    other = read_incidents(written(tmp_path / "i.csv", head + "7," + GOOD + "7," + GOOD.replace("cart", "pay")))
    assert other.rows["service"].to_pylist() == ["cart"]
    assert other.refused[0].reason.startswith("incident_id '7' was there before with other cells")


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000])
@pytest.mark.parametrize("ending", ["csv", "pq", "parquet"])
def test_labels_in_epochs_of_any_unit_and_in_either_format(tmp_path: Path, unit: int, ending: str) -> None:
    at = {name: [int(moment.timestamp()) * unit] for name, moment in (("starts_at", TWO), ("ends_at", HALF))}
    table, path = pa.table({"service": ["0042"], **at}), tmp_path / f"i.{ending}"
    if ending == "csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pyarrow.parquet.write_table(table, path)
    (row,) = read_incidents(path).rows.to_pylist()
    assert (row["service"], row["starts_at"], row["ends_at"], row["known_at"]) == ("0042", TWO, HALF, HALF)


def test_a_file_of_which_no_row_can_be_taken_is_refused_but_open_labels_are_nothing_wrong(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"i\.csv: no row can be taken; service is empty; every row needs one \(row 1\)"):
        read_incidents(written(tmp_path / "i.csv", HEAD + GOOD.replace("cart", "")))
    still = read_incidents(written(tmp_path / "i.csv", HEAD + "cart,2024-04-01T08:00:00Z,\n"))
    assert (still.rows.num_rows, len(still.refused)) == (0, 1)


def test_calls_between_services_whose_names_are_numbers(tmp_path: Path) -> None:
    text = "caller;callee\n0042;0107\nNA;null\n 0042 ;0107\n1.10;12e4567890123456\n"
    edges = read_edges(written(tmp_path / "e.csv", text)).rows
    pairs = list(zip(edges["caller"].to_pylist(), edges["callee"].to_pylist(), strict=True))
    assert pairs == [("0042", "0107"), ("NA", "null"), ("1.10", "12e4567890123456")]
    typed = tmp_path / "e.pq"
    pyarrow.parquet.write_table(pa.table({"caller": [42, 43], "callee": ["a", "b"]}), typed)
    assert read_edges(typed).rows["caller"].to_pylist() == ["42", "43"]
    pyarrow.parquet.write_table(pa.table({"caller": [42.0], "callee": ["a"]}), typed)
    with pytest.raises(FileError, match=r"caller '42\.0' is a float; texts are text: write the column as text"):
        read_edges(typed)


def test_a_wrong_call_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    text = "caller,callee,weight,valid_to\na,b,many,\na,c,3,\nb,,1,\nc,d,,2024-01-01\ne,f,,soon\n"
    read = read_edges(written(tmp_path / "e.csv", text))
    assert read.rows["callee"].to_pylist() == ["c", "d"]
    assert [row.number for row in read.refused] == [1, 3, 5]
    assert "weight 'many' is no number" in read.refused[0].reason


def test_encoding_zone_and_form_of_the_source_hold_for_its_labels_too(tmp_path: Path) -> None:
    telemetry = written(tmp_path / "t.csv", "timestamp,service,metric,value\n1711929600,a,m,1\n")
    labels = tmp_path / "i.csv"
    labels.write_bytes((HEAD + "caf\u00e9,01.04.2024 04:00,2024-04-01 04:30\n").encode("cp1252"))
    with pytest.raises(FileError, match="line 2 is not UTF-8"):
        read_incidents(labels)
    assert read_edges(written(tmp_path / "e.csv", "caller\tcallee\na\tb\n"), Dialect()).rows.num_rows == 1
    options = SourceOptions(
        path=telemetry, incidents=labels, encoding="cp1252", time_zone="Europe/Berlin", time_format="%d.%m.%Y %H:%M"
    )
    (row,) = open_source("csv", options).incidents().to_pylist()
    assert (row["service"], row["starts_at"], row["ends_at"]) == ("caf\u00e9", TWO, HALF)
