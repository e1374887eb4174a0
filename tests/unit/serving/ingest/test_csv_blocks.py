"""CSV as people have it: dialects, encodings, quoted line breaks across blocks, files that are none; every row counted."""

import csv
import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from aiops.errors import FileError, SourceError
from serving.ingest.pull.csv_blocks import CsvBlocks, Dialect, rows_end
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_registry import open_source

ROWS = [(f"2024-05-01T00:{minute:02}:00Z", "cart", "queue_depth", str(minute)) for minute in range(60)]
LINES = ["timestamp,service,metric,value", *(",".join(row) for row in ROWS)]


def cells_of(path: Path, dialect: Dialect | None = None, block_bytes: int = 4 << 20) -> list[tuple[str, ...]]:
    file = CsvBlocks(path, dialect or Dialect(), block_bytes)
    cells = []
    for table in file.blocks(file.names):
        cells += [tuple(cell.decode() for cell in row.values()) for row in table.to_pylist()]
    assert not file.unreadable()
    return cells


def accepted(path: Path, **options: object) -> list[tuple[object, ...]]:
    source = open_source("csv", SourceOptions(path=path, **options))  # type: ignore[arg-type]
    rows = [row for chunk in source.batches() for row in chunk.to_pylist()]
    return [(row["service"], row["metric"], row["value"]) for row in rows]


@pytest.mark.parametrize(
    "content",
    [
        "\n".join(LINES).encode(),
        ("\n".join(LINES) + "\n\n\n").encode(),
        ("\r\n".join(LINES) + "\r\n").encode(),
        "\r".join(LINES).encode(),
        "\n".join(LINES).encode("utf-8-sig"),
        "\n".join(LINES).encode("utf-16"),
        "\n".join(line.replace(",", ";") for line in LINES).encode(),
        "\n".join(line.replace(",", "\t") for line in LINES).encode(),
        "\n".join(line.replace(",", ", ") for line in LINES).encode(),
        gzip.compress("\n".join(LINES).encode()),
        gzip.compress("\r\n".join(LINES).encode("utf-16")),
    ],
    ids=["lf", "blank lines", "crlf", "cr", "mark", "utf-16", "semicolons", "tabs", "spaces", "gzip", "gzip utf-16"],
)
@pytest.mark.parametrize("block_bytes", [40, 1000, 4 << 20])
def test_every_common_dialect_is_read_whole(tmp_path: Path, content: bytes, block_bytes: int) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    assert cells_of(path, block_bytes=block_bytes) == ROWS


@pytest.mark.parametrize("block_bytes", [16, 64, 333, 4096])
def test_quoted_line_breaks_and_quotes_across_blocks_lose_no_row(tmp_path: Path, block_bytes: int) -> None:
    texts = ["one\ntwo", "a,b", 'say "no"', '"', "", "x\r\ny", 'ends with quote"']
    rows = [(str(number), texts[number % len(texts)], "z") for number in range(200)]
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "text", "last"), *rows])
    assert cells_of(path, block_bytes=block_bytes) == rows


@pytest.mark.parametrize(
    ("block", "end"),
    [(b"a,b\nc", 4), (b'"a\n', 0), (b'"a\nb",c\nd', 8), (b'5" disk\nb', 8), (b'"a""\n"\nb', 7), (b'x "y\nz" w\nq', 10), (b"", 0)],
)
def test_a_row_ends_where_no_quote_is_open(block: bytes, end: int) -> None:
    assert rows_end(block, ",") == end


def test_a_quote_that_is_never_closed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('timestamp,service,metric,value\n2024-05-01T00:00:00Z,"cart,m,1\n' + "2024-05-01T00:00:00Z,a,m,1\n" * 9)
    with pytest.raises(
        FileError, match=r"a quote is opened and never closed, in the row that begins '2024-05-01T00:00:00Z,\"cart"
    ):
        cells_of(path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty; give a CSV file with a header"),
        ("\n".join(LINES).replace("cart", "caf\u00e9").encode("cp1252"), r"line 2 is not UTF-8: .*caf\\xe9.*encoding=cp1252"),
        (b"timestamp,Ger\xe4t,metric,value\n2024-05-01T00:00:00Z,a,m,1\n", r"line 1 is not UTF-8: timestamp,Ger\\xe4t"),
        ("\n".join(LINES).encode("utf-16-le"), "UTF-16 without a byte order mark; if so, say it with encoding=utf-16-le"),
        (b"PAR1abcdefg", "is a Parquet file, no text"),
        (b"PK\x03\x04abcdefg", "is a ZIP archive or a spreadsheet, no text"),
        (gzip.compress("\n".join(LINES).encode() * 50)[:200], "cannot be read as csv"),
        (b'timestamp,service,metric,value\n1714521600,a,m,"1,5"\n', r"value '1,5' holds a comma; give decimal=, if"),
    ],
)
def test_what_is_no_such_file_is_refused_in_a_sentence_with_exit_code_2(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=says) as refused:
        accepted(path)
    assert refused.value.exit_code == 2


def test_the_option_that_a_refusal_names_mends_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("timestamp,service,metric,value\n1714521600,caf\u00e9,m,1\n".encode("cp1252"))
    assert accepted(path, encoding="cp1252") == [("caf\u00e9", "m", 1.0)]
    path.write_text('timestamp;service;metric;value\n1714521600;a;m;1,5\n1714521660;a;m;"1.234,25"\n')
    assert [value for _, _, value in accepted(path, decimal=",", thousands=".")] == [1.5, 1234.25]
    path.write_text('timestamp,service,metric,value\n1714521600,a,m,"1,234.5"\n')
    assert accepted(path, thousands=",") == [("a", "m", 1234.5)]


def test_a_few_lines_that_are_no_utf8_cost_their_neighbours_nothing(tmp_path: Path) -> None:
    lines = [line.encode() for line in LINES]
    lines[7] = b"2024-05-01T00:06:00Z,caf\xe9,queue_depth,6"
    lines[9] = b"2024-05-01T00:08:00Z,caf\xe9,queue_depth"
    path = tmp_path / "t.csv"
    path.write_bytes(b"\n".join(lines))
    rows = accepted(path)
    assert len(rows) == 60
    assert sum(service == "cart" for service, _, _ in rows) == 58


def test_names_are_text_whatever_they_look_like(tmp_path: Path) -> None:
    names = ["0042", "1.10", "72225e2", "NA", "null", "None", "nan", "true", "12e4567890123456", "2024-05-01", "-"]
    path = tmp_path / "t.csv"
    path.write_text(
        "timestamp,service,metric,value\n" + "".join(f"{1714521600 + n},{name},m,1\n" for n, name in enumerate(names))
    )
    assert [service for service, _, _ in accepted(path)] == names


_MANY_ERRORS = """
import sys
from orchestration.cli import run
sys.exit(run(["ingest", "--source", "csv", "--path", sys.argv[1]]))
"""


def test_an_error_in_a_long_file_ends_the_process_with_its_exit_code(tmp_path: Path) -> None:
    """Nothing of the file is read in another thread, which an interpreter that ends would abort (134)."""
    path = tmp_path / "t.csv"
    path.write_text(
        "timestamp,service,metric,value\n" + "2024-05-01T00:00:00Z,a,m,1,too,many\n" * 50_000 + '1,"x\n' + "1,x\n" * 300_000
    )
    for _ in range(3):
        words = [sys.executable, "-c", _MANY_ERRORS, str(path)]
        ended = subprocess.run(words, capture_output=True, text=True, check=False, env={"AIOPS_HOME": str(tmp_path / "home")})
        assert ended.returncode == 2, ended.stderr
        assert "never closed" in ended.stderr
        assert "Traceback" not in ended.stderr
