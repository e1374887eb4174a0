"""Syslog as records: RFC 5424 and 3164, a message a line or octet-counted (RFC 6587); files without priority too.

Facility and severity are the priority's; APP-NAME or tag is the service, HOSTNAME the host, structured data are attributes
`syslog.sd`, by id. Source: RFC 3164, RFC 5424, RFC 6587; OpenTelemetry semantic conventions for the severity numbers.
"""

import re
from collections.abc import Iterator
from typing import Final

from data_contracts.telemetry.rejects import Refusal
from serving.ingest.receive.signals.attribute_texts import Json
from serving.ingest.receive.signals.lines.level_words import SYSLOG, severity_of_word
from serving.ingest.receive.signals.lines.line_times import time_of
from serving.ingest.receive.signals.lines.log_line import LineReading, LogLine, bad_time, undecodable
from serving.ingest.receive.signals.lines.plain_text import piece_of

FACILITIES: Final = (
    "kern",
    "user",
    "mail",
    "daemon",
    "auth",
    "syslog",
    "lpr",
    "news",
    "uucp",
    "cron",
    "authpriv",
    "ftp",
    "ntp",
    "audit",
    "alert",
    "clock",
    *(f"local{number}" for number in range(8)),
)
_NIL: Final = "-"
_COUNTED: Final = re.compile(rb"([1-9]\d{0,6}) (?=<\d)")
_PRIORITY: Final = re.compile(r"<(\d{1,3})>")
_NEW: Final = re.compile(r"1 (\S+) (\S+) (\S+) (\S+) (\S+) (?=[-\[])")
_ELEMENT: Final = re.compile(r'\[([^\s=\]"]{1,64})((?: +[^\s=\]"]+="(?:[^"\\\]]|\\.)*")*) *\]', re.DOTALL)
_PARAMETER: Final = re.compile(r'([^\s=\]"]+)="((?:[^"\\\]]|\\.)*)"', re.DOTALL)
_ESCAPED: Final = re.compile(r'\\(["\\\]])')
_OLD_TIME: Final = (
    r"(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d(?:\.\d+)?|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?)"
)
_OLD: Final = re.compile(rf"{_OLD_TIME} (?:(?P<host>[^\s:\[]+) )?(?P<tag>[^\s:\[]{{1,128}})(?:\[(?P<pid>[^\]\s]*)\])?:(?: |$)")
_OLD_UNTAGGED: Final = re.compile(rf"{_OLD_TIME} (?P<host>[^\s:\[]+) ")
_RULE: Final = "is no syslog: it begins neither with a priority, <0> to <191>, nor with time, host and tag"


def syslog_records(body: bytes, reading: LineReading) -> list[LogLine]:
    """Return a record a message."""
    return [syslog_record(raw, reading) for raw in _messages(body)]


def is_syslog(head: str) -> bool:
    """Return whether a line begins as syslog does."""
    return _PRIORITY.match(head) is not None or _OLD.match(head) is not None or _COUNTED.match(head.encode()) is not None


def _messages(body: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(body):
        counted = _COUNTED.match(body, at)
        end = counted.end() + int(counted[1]) if counted else body.find(b"\n", at)
        end = len(body) if end < 0 else min(end, len(body))
        message = body[counted.end() if counted else at : end].rstrip(b"\r\n")
        if message.strip():
            yield message
        at = end if counted else end + 1


def syslog_record(raw: bytes, reading: LineReading) -> LogLine:
    """Return one message as a record."""
    piece = piece_of(raw)
    text = piece.text
    if piece.refusal is not None:
        return LogLine(text, refusal=piece.refusal)
    priority = _PRIORITY.match(text)
    line = LogLine(text, resource=dict(reading.resource))
    if priority is not None:
        number = int(priority[1])
        if number >= 8 * len(FACILITIES):
            line.refusal = Refusal("out_of_range", "priority", f"priority <{number}> is not 0 to 191")
            return line
        line.severity = SYSLOG[number % 8]
        line.severity_number = severity_of_word(line.severity)
        line.attributes["syslog.facility"] = FACILITIES[number // 8]
    start = priority.end() if priority is not None else 0
    new = _NEW.match(text, start)
    if new is not None and priority is not None:
        return _new_form(line, new, reading)
    return _old_form(line, start, reading)


def _new_form(line: LogLine, header: "re.Match[str]", reading: LineReading) -> LogLine:
    time, host, program, process, message_id = header.groups()
    if time != _NIL:
        line.time_us = time_of(time, reading.intake.available_at)
        if line.time_us is None:
            return bad_time(line.text, "TIMESTAMP", time)
    at = header.end()
    data: dict[str, Json] = {}
    if line.text[at] == _NIL:
        at += 1
    else:
        while (element := _ELEMENT.match(line.text, at)) is not None:
            data[element[1]] = {name: _ESCAPED.sub(r"\1", value) for name, value in _PARAMETER.findall(element[2])}
            at = element.end()
        if not data or line.text[at : at + 1] not in ("", " "):
            return undecodable(line.text, "has structured data that is not as RFC 5424 says")
        line.attributes["syslog.sd"] = data
    line.body = line.text[at:].removeprefix(" ").removeprefix("\ufeff")
    _set_origin(line, host, program, process)
    if message_id != _NIL:
        line.attributes["syslog.msgid"] = message_id
    return line


def _old_form(line: LogLine, start: int, reading: LineReading) -> LogLine:
    header = _OLD.match(line.text, start)
    if header is not None:
        _set_origin(line, header["host"] or _NIL, header["tag"], header["pid"] or _NIL)
    elif not start:
        return undecodable(line.text, _RULE)
    else:
        header = _OLD_UNTAGGED.match(line.text, start)
        if header is not None:
            _set_origin(line, header["host"], _NIL, _NIL)
    if header is not None:
        line.time_us = time_of(header["time"], reading.intake.available_at)
        if line.time_us is None:
            return bad_time(line.text, "TIMESTAMP", header["time"])
    line.body = line.text[header.end() if header is not None else start :]
    return line


def _set_origin(line: LogLine, host: str, program: str, process: str) -> None:
    for name, text in (("host.name", host), ("service.name", program)):
        if text != _NIL:
            line.resource[name] = text
    if process != _NIL:
        line.attributes["process.pid"] = process
