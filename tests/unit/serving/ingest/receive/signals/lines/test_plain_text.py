"""Text: time and level where programs write them, lines that belong together, bytes that are no text."""

from datetime import UTC, datetime, timedelta

import pytest

from data_contracts.values.masking import Masks
from serving.ingest.receive.signals.lines.log_line import MOST_LINES
from serving.ingest.receive.signals.lines.log_lines import accept_log_lines
from serving.ingest.receive.signals.signal_outcome import SignalIntake
from serving.ingest.receive.wire.decoded import MalformedBody
from tests.testing.line_rows import NOW, read_lines, read_outcome

HALF = timedelta(milliseconds=500)
TRACEBACK = """\
Traceback (most recent call last):
  File "a.py", line 1, in f
ValueError: no

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2
app.Gone"""


@pytest.mark.parametrize(
    ("line", "time", "level", "number"),
    [
        ("2026-03-01 12:00:00,500 INFO [main] a", NOW + HALF, "INFO", 9),
        ("[2026-03-01T13:00:00.5+01:00] [error] a", NOW + HALF, "error", 17),
        ("2026/03/01 12:00:00 [warn] 5#5: a", NOW, "warn", 13),
        ("DEBUG 2026-03-01T12:00:00Z a", NOW, "DEBUG", 5),
        ('10.0.0.1 - - [01/Mar/2026:13:00:00 +0100] "GET / HTTP/1.1" 200 5', NOW, "", 0),
        ("[Sun Mar  1 12:00:00.500 2026] [core:error] a", NOW + HALF, "", 0),
        ("1:M 01 Mar 2026 12:00:00.500 * Ready", NOW + HALF, "", 0),
        ("E0301 12:00:00.500000       1 main.go:5] a", NOW + HALF, "E", 17),
        ('time="2026-03-01T12:00:00Z" level=warning msg="a INFO"', NOW, "warning", 13),
        ("1772366400.5 FATAL a", NOW + HALF, "FATAL", 21),
        ("\x1b[2m2026-03-01T12:00:00Z\x1b[0m \x1b[32m INFO\x1b[0m a", NOW, "INFO", 9),
        ("warning: low disk", NOW, "warning", 13),
        ("an error occurred, no information", NOW, "", 0),
        ("2026-13-45 99:00:00 ERROR-free", NOW, "", 0),
    ],
)
def test_time_and_level_are_recognised(line: str, time: datetime, level: str, number: int) -> None:
    row = read_lines(line, "text").row
    assert (row["timestamp"], row["severity"], row["severity_number"], row["body"]) == (time, level, number, line)


@pytest.mark.parametrize(
    "record",
    [
        "2026-03-01 12:00:00 ERROR a\n  indented\n\ttabbed",
        "ERROR a\njava.lang.IllegalStateException: no\n\tat a.B.c(B.java:1)\nCaused by: java.io.IOException\n\t... 5 more",
        "ERROR a\n" + TRACEBACK.replace("\n\n", "\n"),
        "ERROR a\nat Object.run (a.js:5:1)\nat main (a.js:7:1)",
        "panic: no\ngoroutine 1 [running]:\n\t/src/main.go:5",
    ],
)
def test_lines_of_one_record_are_one(record: str) -> None:
    read = read_lines(f"INFO before\n{record}\nINFO after\n", "text")
    assert [row["body"] for row in read.rows] == ["INFO before", record, "INFO after"]


def test_tracebacks_that_follow_one_another_are_two() -> None:
    single = 'Traceback (most recent call last):\n  File "a.py", line 1\nValueError: no'
    read = read_lines(f"{single}\n{single}\n", "text")
    assert [row["body"] for row in read.rows] == [single, single]
    assert [row["body"] for row in read_lines(TRACEBACK, "text").rows] == [TRACEBACK.replace("\n\n", "\n")]


def test_bytes_that_are_no_text_are_refused_alone() -> None:
    garbage = [b"\xff\xfe\x01\x02", b"a\0b", b"\x01\x02\x03ab"]
    read = read_lines(b"\n".join([b"before", *garbage, "größer".encode(), b"bell \x07 rings once, long text"]), "text")
    assert [row["body"] for row in read.rows] == ["before", "größer", "bell \x07 rings once, long text"]
    assert [row["reason"] for row in read.refused] == ["undecodable"] * 3
    assert "byte 0 that is not UTF-8" in read.refused[0]["detail"]


def test_a_long_line_is_cut() -> None:
    assert read_lines("x" * 70_000, "text").row["body"].endswith("… (cut: 70000 bytes)")


def test_lines_of_json_among_text_are_read_as_such() -> None:
    read = read_lines('starting\n{"level":"info","msg":"a","service":"cart"}\n{broken\n', "auto", service_name="given")
    assert [(row["body"], row["severity"], row["service"]) for row in read.rows] == [
        ("starting", "", "given"),
        ("a", "info", "cart"),
        ("{broken", "", "given"),
    ]


def test_secrets_are_masked_in_rows_and_refused_lines() -> None:
    secret = "hunter2-Xy"
    intake = SignalIntake(NOW, masks=Masks.of(["secrets"], {}))
    broken = read_outcome(accept_log_lines(f"{{broken password={secret}\n".encode(), "json", intake))
    assert (len(broken.refused), secret in str(broken.refused) + broken.outcome.message) == (1, False)
    read = read_outcome(accept_log_lines(f"ERROR password={secret}\n  at x password={secret}\n".encode(), "text", intake))
    assert secret not in read.row["body"]
    assert read.outcome.masked == {"named_secret": 1}


@pytest.mark.parametrize("body", [b"a\n" * (MOST_LINES + 1), b"1 <1" * (MOST_LINES + 1), b"[" + b"1," * MOST_LINES + b"1]"])
def test_more_lines_than_memory_is_kept_for_are_refused_as_a_whole(body: bytes) -> None:
    with pytest.raises(MalformedBody, match="more than 400000"):
        read_lines(body, "auto")


def test_a_body_that_is_repeated_has_the_same_ids() -> None:
    first, again = (read_lines("a\nb", "text", service_name="x") for _ in range(2))
    other = read_lines("a\nb", "text", service_name="y")
    ids = [[row["log_id"] for row in read.rows] for read in (first, again, other)]
    assert ids[0] == ids[1]
    assert len({*ids[0], *ids[2]}) == 4


def test_29_february_of_the_year_before_is_no_time() -> None:
    assert read_lines("Feb 29 00:00:00 a", "text").row["timestamp"] == datetime(2026, 3, 1, 12, tzinfo=UTC)
