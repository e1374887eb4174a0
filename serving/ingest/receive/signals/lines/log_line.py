"""One log record as its line says it, before it is checked, and what all lines of a body are read with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from data_contracts.telemetry.rejects import MOST_DETAIL, Refusal
from data_contracts.values.moments import microseconds_of
from serving.ingest.receive.signals.attribute_texts import MOST_DEPTH, Json
from serving.ingest.receive.signals.signal_outcome import SignalIntake
from serving.ingest.receive.wire.decoded import MalformedBody

MOST_LINES: Final = 400_000
"""So many lines may be in a body: each costs memory beyond its bytes, some 700 bytes."""
_INT64: Final = range(-(2**63), 2**63)


@dataclass(frozen=True, slots=True)
class LineReading:
    """How lines are read: the intake, and `resource` attributes that the request states for all of them."""

    intake: SignalIntake
    resource: Mapping[str, str]

    @property
    def now_us(self) -> int:
        """Return when the body reached the suite, in µs since 1970."""
        return microseconds_of(self.intake.available_at)


class LogLine(msgspec.Struct, gc=False):
    """A record; `text` as it came, `time_us` None = not stated, `refusal` why it cannot be read (None = it can).

    `nanos`: what its carrier says of its time below a microsecond.

    The collector of garbage need not know of records, which hold no cycles: its passes would take a fifth of the reading.
    """

    text: str
    body: Json = None
    time_us: int | None = None
    severity: str = ""
    severity_number: int = 0
    event: str = ""
    trace_id: str = ""
    span_id: str = ""
    scope: str = ""
    attributes: dict[str, Json] = {}
    resource: dict[str, str] = {}
    refusal: Refusal | None = None
    nanos: int = 0


def hold_to_lines(count: int) -> None:
    """Raise MalformedBody where a body has more than `MOST_LINES` lines."""
    if count > MOST_LINES:
        raise MalformedBody("body", f"has {count} lines, more than {MOST_LINES}: send fewer a request")


def undecodable(text: str, rule: str) -> LogLine:
    """Return a line that cannot be read, with the rule that it breaks; the text itself stands in the refused row, masked."""
    return LogLine(text, refusal=Refusal("undecodable", "line", f"the line {rule}"[:MOST_DETAIL]))


def bad_time(text: str, field_name: str, value: object) -> LogLine:
    """Return a line that states a time which cannot be read."""
    rule = "is no time that is known: write ISO 8601, or seconds, ms, µs or ns since 1970"
    detail = f"{field_name} {str(value)[:40]!r} {rule}"
    return LogLine(text, refusal=Refusal("bad_timestamp", field_name, detail[:MOST_DETAIL]))


def plain_json(value: object, depth: int = 0) -> Json:
    """Return a decoded JSON value as it is stored: integers beyond 64 bits as text, at most `MOST_DEPTH` levels deep."""
    if isinstance(value, dict):
        if not depth and all(map(_is_plain, value.values())):
            return value  # flat, as most lines are: it is the caller's own
        return {str(name): plain_json(item, depth + 1) for name, item in value.items()} if depth < MOST_DEPTH else "…"
    if isinstance(value, list):
        return [plain_json(item, depth + 1) for item in value] if depth < MOST_DEPTH else "…"
    if isinstance(value, int) and value not in _INT64:
        return str(value)
    return value if value is None or isinstance(value, str | bool | int | float) else str(value)


def _is_plain(value: object) -> bool:
    """Return whether a value of an object is stored as it is."""
    kind = type(value)
    return kind is str or kind is bool or kind is float or value is None or (kind is int and value in _INT64)
