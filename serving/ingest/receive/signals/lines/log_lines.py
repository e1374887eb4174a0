"""Log lines over HTTP: a body in one of several forms becomes rows of `LOGS`; each record is accepted or refused.

`auto` goes by the beginning of the body: journal, docker, CRI or syslog; all else is text, whose lines may be objects of JSON.
"""

import json
from collections.abc import Callable, Mapping
from typing import Final, Literal

from serving.ingest.receive.signals.lines.container_lines import FILE_PATH, cri_records, docker_records, file_resource, is_cri
from serving.ingest.receive.signals.lines.joined_lines import joined
from serving.ingest.receive.signals.lines.journal_entries import journal_records
from serving.ingest.receive.signals.lines.json_fields import decoded_object
from serving.ingest.receive.signals.lines.json_lines import array_items, json_records
from serving.ingest.receive.signals.lines.log_line import LineReading, LogLine, hold_to_lines
from serving.ingest.receive.signals.lines.log_rows import finished
from serving.ingest.receive.signals.lines.plain_text import pieces_of, record_of_piece
from serving.ingest.receive.signals.lines.syslog_lines import is_syslog, syslog_records
from serving.ingest.receive.signals.record_ids import record_ids
from serving.ingest.receive.signals.signal_outcome import SignalIntake, SignalOutcome

LineForm = Literal["auto", "json", "ecs", "syslog", "journald", "cri", "docker", "text"]
_HEAD_BYTES: Final = 65_536
_JOURNAL: Final = (b"__CURSOR=", b"__REALTIME_TIMESTAMP=")


def text_records(body: bytes, reading: LineReading) -> list[LogLine]:
    """Return the records of plain text: lines that belong together are one, a line that is an object of JSON is read as such."""
    return [record_of_piece(piece, reading) for piece in joined(pieces_of(body))]


FORMS: Final[Mapping[str, Callable[[bytes, LineReading], list[LogLine]]]] = {
    "json": json_records,
    "ecs": json_records,
    "syslog": syslog_records,
    "journald": journal_records,
    "cri": cri_records,
    "docker": docker_records,
    "text": text_records,
}
LINE_FORMS: Final = ("auto", *FORMS)


def accept_log_lines(
    body: bytes, form: LineForm, intake: SignalIntake, resource: Mapping[str, str] | None = None
) -> SignalOutcome:
    """Return what becomes of a decompressed body, whatever its bytes are. O(bytes) time and memory.

    `resource`: attributes of OpenTelemetry's resource that hold for all lines (`service.name`, `log.file.path`); what a line
    states itself counts above them.

    Raises:
        MalformedBody: it has more than `MOST_LINES` lines; nothing of it is kept.
    """
    hold_to_lines(max(body.count(b"\n"), body.count(b" <")))  # messages of syslog that are counted in octets need no line end
    stated = dict(resource or {})
    known = {**file_resource(stated.get(FILE_PATH, "")), **stated}
    lines = FORMS[recognised(body) if form == "auto" else form](body, LineReading(intake, known))
    for line in lines:
        if line.refusal is not None:
            line.resource = known
    seed = json.dumps([form, stated]).encode() + b"\n" + body
    return finished(lines, form, record_ids(seed, len(lines)), intake)


def recognised(body: bytes) -> str:
    """Return the form of a body by its beginning.

    >>> recognised(b"<34>1 - - - - - -"), recognised(b"2024-05-01T00:00:00Z stdout F a"), recognised(b"2024-05-01 00:00 a")
    ('syslog', 'cri', 'text')
    """
    head = body[:_HEAD_BYTES].lstrip().partition(b"\n")[0]
    if head.startswith(_JOURNAL):
        return "journald"
    if head.startswith(b"["):
        return "text" if array_items(body) is None else "json"
    if head.startswith(b"{"):
        return _json_form(decoded_object(head) or {})
    text = head.decode(errors="replace")
    if is_cri(text):
        return "cri"
    return "syslog" if is_syslog(text) else "text"


def _json_form(fields: Mapping[str, object]) -> str:
    if "__REALTIME_TIMESTAMP" in fields or "__CURSOR" in fields:
        return "journald"
    return "docker" if {"log", "stream", "time"} <= fields.keys() else "text"
