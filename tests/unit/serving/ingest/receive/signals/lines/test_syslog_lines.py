"""Syslog, old and new: priority, time, host, program, structured data; what is none is refused."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.testing.line_rows import NOW, read_lines


def test_a_message_of_rfc_3164() -> None:
    row = read_lines("<34>Feb 28 22:14:15 web-1 su[12]: 'su root' failed", "syslog").row
    assert row["timestamp"] == datetime(2026, 2, 28, 22, 14, 15, tzinfo=UTC)
    assert (row["severity"], row["severity_number"], row["service"], row["body"]) == ("crit", 18, "su", "'su root' failed")
    assert json.loads(row["resource"]) == {"host.name": "web-1", "service.name": "su"}
    assert json.loads(row["attributes"]) == {"syslog.facility": "auth", "process.pid": "12"}


def test_a_message_of_rfc_5424() -> None:
    data = '[ex@1 iut="3" t="a\\]\\"b\\\\"][b x="y"]'
    row = read_lines(f"<165>1 2026-03-01T13:00:00.003+01:00 host shop.cart 8710 ID47 {data} \ufeffmsg here", "syslog").row
    assert row["timestamp"] == NOW + timedelta(milliseconds=3)
    assert (row["severity"], row["severity_number"], row["service"], row["body"]) == ("notice", 10, "shop.cart", "msg here")
    assert json.loads(row["attributes"]) == {
        "syslog.facility": "local4",
        "syslog.sd": {"ex@1": {"iut": "3", "t": 'a]"b\\'}, "b": {"x": "y"}},
        "process.pid": "8710",
        "syslog.msgid": "ID47",
    }


def test_nothing_need_be_stated() -> None:
    row = read_lines("<14>1 - - - - - -", "syslog").row
    assert (row["timestamp"], row["service"], row["body"], row["severity"]) == (NOW, "unknown_service", "", "info")
    row = read_lines("<13>just text", "syslog", service_name="given").row
    assert (row["body"], row["service"], row["timestamp"]) == ("just text", "given", NOW)


def test_the_year_is_the_one_before_where_the_time_would_lie_ahead() -> None:
    row = read_lines("Dec 31 23:59:59 host cron[5]: a", "auto").row
    assert row["timestamp"] == datetime(2025, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert (row["service"], row["severity"], row["severity_number"]) == ("cron", "", 0)


def test_messages_may_be_counted_in_octets_and_hold_line_ends() -> None:
    message = "<13>Mar  1 12:00:00 host app: a\nb"
    read = read_lines(f"{len(message)} {message}{len(message)} {message}", "auto")
    assert [row["body"] for row in read.rows] == ["a\nb", "a\nb"]
    assert {row["timestamp"] for row in read.rows} == {NOW}
    assert len({row["log_id"] for row in read.rows}) == 2


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("<192>a", "out_of_range"),
        ("hello", "undecodable"),
        ("<13>1 2026-13-01T00:00:00Z h a - - -", "bad_timestamp"),
        ("<13>Feb 31 00:00:00 h a: b", "bad_timestamp"),
        ('<13>1 - h a - - [x y="1" b', "undecodable"),
        ("<13>1 - h a|b - - - x", "name"),
    ],
)
def test_what_breaks_the_form_is_refused_alone(line: str, reason: str) -> None:
    read = read_lines(f"<13>before\n{line}\n<13>after", "syslog")
    assert [row["body"] for row in read.rows] == ["before", "after"]
    assert [row["reason"] for row in read.refused] == [reason]
