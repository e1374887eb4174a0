"""The journal of systemd, exported or as JSON."""

import json
import struct
from datetime import timedelta

from tests.testing.line_rows import NOW, read_lines

NOW_US = int(NOW.timestamp()) * 10**6


def exported(**fields: str) -> bytes:
    parts = []
    for name, value in fields.items():
        raw = value.encode()
        sized = b"\n" + struct.pack("<Q", len(raw)) + raw if "\n" in value else b"=" + raw
        parts.append(name.encode() + sized + b"\n")
    return b"".join(parts) + b"\n"


def test_an_exported_entry() -> None:
    body = exported(
        __CURSOR="s=1",
        __REALTIME_TIMESTAMP=str(NOW_US + 5),
        PRIORITY="3",
        _HOSTNAME="h",
        _SYSTEMD_UNIT="cart@2.service",
        MESSAGE="a\n\nB=c",
        CODE_LINE="7",
    )
    row = read_lines(body, "auto").row
    assert row["timestamp"] == NOW + timedelta(microseconds=5)
    assert (row["service"], row["severity"], row["severity_number"], row["body"]) == ("cart", "err", 17, "a\n\nB=c")
    assert json.loads(row["resource"]) == {"host.name": "h", "service.name": "cart"}
    assert json.loads(row["attributes"]) == {"_SYSTEMD_UNIT": "cart@2.service", "CODE_LINE": "7"}


def test_the_service_is_the_container_the_unit_or_the_program() -> None:
    entries = [
        {"CONTAINER_NAME": "web", "_SYSTEMD_UNIT": "docker.service"},
        {"_SYSTEMD_UNIT": "session-3.scope", "SYSLOG_IDENTIFIER": "su"},
        {"_SYSTEMD_UNIT": "user@1000.service", "_COMM": "bash"},
        {},
    ]
    read = read_lines(b"".join(exported(MESSAGE="a", **entry) for entry in entries), "journald")
    assert [row["service"] for row in read.rows] == ["web", "su", "bash", "unknown_service"]


def test_json_entries_with_bytes_and_repeated_fields() -> None:
    entry = {"__REALTIME_TIMESTAMP": str(NOW_US), "MESSAGE": [104, 105], "PRIORITY": "6", "SYSLOG_IDENTIFIER": ["su", "sudo"]}
    row = read_lines(json.dumps(entry), "auto").row
    assert (row["body"], row["severity"], row["service"], row["timestamp"]) == ("hi", "info", "su", NOW)


def test_a_broken_entry_costs_no_other() -> None:
    cut = b"MESSAGE\n" + struct.pack("<Q", 10**9) + b"abc\n\n"
    body = (
        exported(MESSAGE="a") + b"lower=case\n\n" + exported(MESSAGE="b") + cut + exported(MESSAGE="c") + exported(PRIORITY="3")
    )
    read = read_lines(body + exported(MESSAGE="d", __REALTIME_TIMESTAMP="soon"), "journald")
    assert [row["body"] for row in read.rows] == ["a", "b", "c"]
    assert [row["reason"] for row in read.refused] == ["undecodable", "undecodable", "missing_value", "bad_timestamp"]
