"""Traces and logs of a day of Nezha: ids stay text, clocks are the columns', commas that are not quoted belong to the line."""

import gzip
from pathlib import Path

import pytest

from aiops.errors import FileError
from serving.ingest.pull.nezha_requests import read_request_files

TRACES = """TraceID,SpanID,ParentID,PodName,OperationName,StartTimeUnixNano,EndTimeUnixNano,Duration
0e1,12e4567890123456,root,shop-cart-6f6cfc45b-h5m2n,GET /cart,1700000000123456789,1700000000223456789,100000
0e1,00000000000000ab,12e4567890123456,shop-store-6f6cfc45b-abcde,read,1700000000133456789,1700000000143456789,10000
"""
LOGS = """Timestamp,TimeUnixNano,Node,PodName,Container,TraceID,SpanID,Log
t,1700000000124000000,n,shop-cart-6f6cfc45b-h5m2n,server,0e1,12e4567890123456,"{""log"":""INFO got 3 items, user: ann\\n""}"
t,1700000000125000000,n,shop-cart-6f6cfc45b-h5m2n,server,0e1,12e4567890123456,plain text, with a comma 17
t,no number,n,pod,server,0e1,x,left out
"""


def day(folder: Path) -> Path:
    for kind, text in (("trace", TRACES), ("log", LOGS)):
        (folder / kind).mkdir()
        with gzip.open(folder / kind / f"08_00_{kind}.csv.gz", "wt", encoding="utf-8") as file:
            file.write(text)
    return folder


def test_spans_and_lines(tmp_path: Path) -> None:
    files = read_request_files([day(tmp_path)])
    assert files is not None
    first, second = files.spans.to_pylist()
    assert (first["span_id"], first["parent_id"], first["service"]) == ("12e4567890123456", None, "shop-cart")
    assert (second["parent_id"], second["duration_us"]) == ("12e4567890123456", 10_000)
    assert first["timestamp"].timestamp() == pytest.approx(1700000000.123456)
    assert files.lines["text"].to_pylist() == ["INFO got 3 items, user: ann", "plain text, with a comma 17"]


def test_a_day_without_traces_has_none(tmp_path: Path) -> None:
    assert read_request_files([tmp_path]) is None


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "trace").mkdir()
    (tmp_path / "trace" / "08_00_trace.csv").write_text("TraceID,SpanID\na,b\n")
    with pytest.raises(FileError, match=r"08_00_trace\.csv"):
        read_request_files([tmp_path])
