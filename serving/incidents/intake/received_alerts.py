"""What other systems' alerts become: alerts of ours, or refusals with the reason. One bad alert never costs the others.

Text is cleaned and bounded; ids are hashes, so that a delivery that is tried again doubles nothing.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from aiops.incidents.alert import VOLATILE_LABELS, Alert, Severity, fingerprint_of
from data_contracts.values.moments import microseconds_of
from data_contracts.values.time_forms import moment_of_number
from serving.http.problem import ProblemError, refused

MOST_ALERTS: Final = 20_000
"""Alerts taken from one request; more are counted as truncated."""
MOST_LABELS: Final = 64
NAME_CHARACTERS: Final = 200
VALUE_CHARACTERS: Final = 1000

VOLATILE: Final = VOLATILE_LABELS | {"prometheus_replica"}
MEASURED: Final = frozenset({"value", "timestamp", "generation", "severity"})
"""Labels that may be others when an alert ends than when it began, in systems that name no identity."""
SEVERITY_WORDS: Final[Mapping[str, Severity]] = {
    **dict.fromkeys(
        (
            "critical",
            "crit",
            "page",
            "error",
            "err",
            "fatal",
            "emergency",
            "emerg",
            "alert",
            "high",
            "major",
            "severe",
            "disaster",
        ),
        Severity.CRITICAL,
    ),
    **dict.fromkeys(("p0", "p1", "sev0", "sev1", "s0", "s1"), Severity.CRITICAL),
    **dict.fromkeys(("warning", "warn", "medium", "average", "minor", "p2", "p3", "sev2", "sev3", "s2", "s3"), Severity.WARNING),
    **dict.fromkeys(("info", "informational", "information", "notice", "none", "low", "debug", "ok"), Severity.INFO),
    **dict.fromkeys(("p4", "p5", "sev4", "sev5", "s4", "s5"), Severity.INFO),
}
"""What other systems call a severity; a word that is not here is a warning."""

_MINUTE_US: Final = 60_000_000
_NUMBER: Final = re.compile(r"\d+(\.\d*)?([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class RefusedAlert:
    """Why the alert at `index` of a request is refused."""

    index: int
    """place of the alert in the request, from 0"""
    field: str
    """name of the field that is wrong"""
    value: str
    """the value it had, cut to 100 characters"""
    rule: str
    """the rule that it breaks"""
    fix: str
    """what to send instead"""


@dataclass(frozen=True, slots=True)
class Received:
    """What a request brought. `truncated` = alerts that the sender, or the limit here, left out of it."""

    alerts: tuple[Alert, ...]
    refused: tuple[RefusedAlert, ...] = ()
    truncated: int = 0


@dataclass(frozen=True, slots=True)
class AlertFields:
    """One alert as another system reports it. `labels` make the fingerprint (but for volatile ones), `notes` are only kept.

    `starts_at` None = not given; `ends_at` counts where it is `resolved`; `until_ended` = the system also reports its end.
    `identity` = what the system itself distinguishes alerts by, the same while one fires and when it ends; "" = its labels.
    """

    service: str
    name: str
    severity: Severity
    resolved: bool
    labels: Mapping[str, str]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    value: float = float("nan")
    notes: Mapping[str, str] = field(default_factory=dict)
    stable: frozenset[str] | None = None
    until_ended: bool = False
    identity: str = ""


def body_of(body: bytes) -> Any:
    """Return a request's JSON.

    Raises:
        ProblemError: it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise refused("body", body[:100].decode(errors="replace"), f"is not JSON: {error}", "post JSON in UTF-8") from error


def collected(items: Sequence[Any], read: Callable[[Any], Alert], truncated: int = 0) -> Received:
    """Read each item; those that `read` refuses (ProblemError) are reported with their reason."""
    alerts, bad = [], []
    for index, item in enumerate(items[:MOST_ALERTS]):
        try:
            alerts.append(read(item))
        except ProblemError as error:
            problem = error.problem
            bad.append(RefusedAlert(index, problem.field, problem.value, problem.rule, problem.fix))
    return Received(tuple(alerts), tuple(bad), truncated + max(0, len(items) - MOST_ALERTS))


def alert_of_fields(fields: AlertFields, source: str, received_at: datetime) -> Alert:
    """Return the alert; its id holds the minute of receipt: the same again is the same alert, later it is a repetition."""
    starts = min(fields.starts_at or received_at, received_at)  # where a beginning is not given, no end can be compared with it
    ends = max(starts, min(fields.ends_at or received_at, received_at)) if fields.resolved else None
    own = {"service": fields.service, "alertname": fields.name}
    labels = {**fields.labels, **own}
    stable = (
        labels if fields.stable is None else {name: text for name, text in labels.items() if name in fields.stable | own.keys()}
    )
    times = [
        None if at is None else microseconds_of(at) for at in (fields.starts_at, fields.ends_at if fields.resolved else None)
    ]
    minute = microseconds_of(received_at) // _MINUTE_US
    identity = [source, sorted(labels.items()), fields.severity.name, fields.resolved, times, minute]
    return Alert(
        f"in-{hashlib.blake2b(orjson.dumps(identity), digest_size=12).hexdigest()}",
        fingerprint_of(stable, VOLATILE),
        fields.service,
        fields.name,
        fields.severity,
        starts,
        ends,
        value=fields.value,
        labels={**_kept(fields.notes), **_kept(fields.labels)},
        source=source,
        until_ended=fields.until_ended,
        instance=_instance(fields, labels, source),
    )


def _instance(fields: AlertFields, labels: Mapping[str, str], source: str) -> str:
    """Return what names the one of several alerts of a fingerprint: all its labels but for measured ones, or its own identity.

    Where a source says which labels distinguish its alerts, there are no others.
    """
    if fields.identity:
        return fingerprint_of({"source": source, "identity": fields.identity}, frozenset())
    if fields.stable is not None:
        labels = {name: text for name, text in labels.items() if name in fields.stable}
    return fingerprint_of({**labels, "source of the alert": source}, MEASURED)


def cleaned(text: str, most: int) -> str:
    """Return text in one line without control characters, in at most `most` characters.

    >>> cleaned(" a\\x00b\\nc ", 9), cleaned("abcdef", 3)
    ('a b c', 'ab…')
    """
    plain = (
        text
        if text.isprintable()
        else "".join(" " if unicodedata.category(character) in {"Cc", "Zl", "Zp"} else character for character in text)
    )
    line = " ".join(plain.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def cleaned_labels(labels: Mapping[str, Any]) -> dict[str, str]:
    """Return labels with texts and numbers as values; others are left out."""
    plain = {name: _plain(value) for name, value in labels.items()}
    pairs = ((cleaned(name, NAME_CHARACTERS), cleaned(text, VALUE_CHARACTERS)) for name, text in plain.items() if text)
    return {name: text for name, text in pairs if name and text}


def first_text(values: Iterable[Any]) -> str:
    """Return the first value that is a text or number and not empty, as a name."""
    return next((name for name in (cleaned(_plain(value), NAME_CHARACTERS) for value in values) if name), "")


def severity_of(word: str, own: Mapping[str, Severity] | None = None) -> Severity:
    """Return the severity that a word means, a source's own words first; unknown ones mean a warning.

    >>> severity_of("Critical").name, severity_of("whatever").name, severity_of("").name
    ('CRITICAL', 'WARNING', 'WARNING')
    """
    plain = word.strip().lower()
    if own is not None and plain in own:
        return own[plain]
    return SEVERITY_WORDS.get(plain, Severity.WARNING)


def moment_of(name: str, value: Any) -> datetime | None:
    """Return a time: RFC 3339 text, or seconds, milli-, micro- or nanoseconds since 1970, as number or text.

    None = absent, or year 1.

    Raises:
        ProblemError: it is none of these, or has no time zone.
    """
    if value is None or value == "":
        return None
    fix = "send RFC 3339 with a time zone, such as 2026-03-01T12:00:00Z, or seconds since 1970"
    try:
        moment = _of_number(value) if isinstance(value, int | float) and not isinstance(value, bool) else _of_text(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise refused(name, value, "is not a time", fix) from error
    if moment is None:
        raise refused(name, value, "has no time zone", fix)
    return None if moment.year == 1 else moment


def _of_text(value: Any) -> datetime | None:
    if not isinstance(value, str):
        raise TypeError(type(value).__name__)
    if _NUMBER.fullmatch(value.strip()):
        return _of_number(float(value) if not value.strip().isdecimal() else int(value))
    moment = datetime.fromisoformat(value.strip())
    if moment.tzinfo is None:
        return None
    return moment.replace(tzinfo=UTC) if moment.year == 1 else moment.astimezone(UTC)


def _of_number(value: float) -> datetime:
    moment = moment_of_number(value)
    if moment is None:
        raise ValueError(f"{value} is in no unit a time of the years 2000 to 2099")
    return moment


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, int | float) else ""


def _kept(labels: Mapping[str, str]) -> dict[str, str]:
    """Return at most 64 labels: the first by name."""
    return {name: labels[name] for name in sorted(labels)[:MOST_LABELS]}
