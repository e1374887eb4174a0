"""Records into points by a mapping that is declared: which field is the time, the service, the metric, the value, the labels."""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from aiops.settings.topic_settings import RecordFields
from serving.ingest.receive.topics.otlp_records import MappedPoint
from serving.ingest.receive.wire.decoded import MalformedBody

CONSTANT: Final = "="
"""A field that begins with it is no path, but the value itself."""
_NS: Final = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_ISO: Final = "iso"
_MOST_NS: Final = 2**63
_SHOWN: Final = 60


def mapped(record: Mapping[str, Any], fields: RecordFields) -> MappedPoint:
    """Return the point of a record.

    Raises:
        MalformedBody: a field is absent or of another kind; it is named, with its value, the rule and the fix.
    """
    return MappedPoint(
        resource={"service.name": _text(record, fields.service, "service")},
        metric=_text(record, fields.metric, "metric"),
        labels=dict(_labels(record, fields.labels)),
        time_ns=_time_ns(record, fields),
        value=_number(record, fields.value),
        kind=fields.kind,
    )


def field_of(record: Mapping[str, Any], path: str) -> Any:
    """Return what lies at a path, None where nothing does; a name with dots in it goes before a path.

    >>> field_of({"a": {"b": 1}, "a.c": 2}, "a.b"), field_of({"a": {"b": 1}, "a.c": 2}, "a.c")
    (1, 2)
    """
    if path in record:
        return record[path]
    name, dot, rest = path.partition(".")
    inner = record.get(name)
    return field_of(inner, rest) if dot and isinstance(inner, Mapping) else None


def broken(path: str, value: object, rule: str, place: str) -> MalformedBody:
    """Return the fault of a field: path, value, rule and fix."""
    shown = "is absent" if value is None else f"= {str(value)[:_SHOWN]!r}"
    return MalformedBody(path, f"{shown}: {rule}; mend it, or map another field ({place} in AIOPS_INGEST__TOPICS)")


def _text(record: Mapping[str, Any], path: str, name: str) -> str:
    if path.startswith(CONSTANT):
        return path.removeprefix(CONSTANT)
    value = field_of(record, path)
    if not isinstance(value, str) or not value:
        raise broken(path, value, "must be a text that is not empty", f"fields.{name}")
    return value


def _number(record: Mapping[str, Any], path: str) -> float:
    value = field_of(record, path)
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise broken(path, value, "must be a number", "fields.value")
    try:
        return float(value)
    except OverflowError as error:
        raise broken(path, value, "must fit a double", "fields.value") from error


def _time_ns(record: Mapping[str, Any], fields: RecordFields) -> int:
    path, value = fields.timestamp, field_of(record, fields.timestamp)
    if isinstance(value, datetime):
        return _checked_ns(path, value, _datetime_ns(value))
    if fields.time_unit == _ISO:
        if not isinstance(value, str):
            raise broken(path, value, "must be a time in ISO 8601", "fields.timestamp, fields.time_unit")
        return iso_ns(path, value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise broken(path, value, f"must be a number of {fields.time_unit} since 1970", "fields.timestamp, fields.time_unit")
    return _checked_ns(path, value, int(value * _NS[fields.time_unit]))


def iso_ns(path: str, text: str) -> int:
    """Return a time in ISO 8601 as ns since 1970; one without a zone is UTC. Raises MalformedBody."""
    try:
        return _checked_ns(path, text, _datetime_ns(datetime.fromisoformat(text)))
    except ValueError as error:
        raise broken(path, text, "must be a time in ISO 8601", "fields.timestamp") from error


def _datetime_ns(moment: datetime) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    delta = aware - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 10**9 + delta.microseconds * 1000


def _checked_ns(path: str, value: object, time_ns: int) -> int:
    if not 0 < time_ns < _MOST_NS:
        raise broken(path, value, "must lie after 1970 and before 2262", "fields.timestamp, fields.time_unit")
    return time_ns


def _labels(record: Mapping[str, Any], paths: str | tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield names and texts of labels: of all fields of an object, or of single fields under their last name."""
    if isinstance(paths, str):
        value = field_of(record, paths) if paths else {}
        if value is None:
            return
        if not isinstance(value, Mapping):
            raise broken(paths, value, "must be an object of labels", "fields.labels")
        pairs = [(f"{paths}.{name}", str(name), inner) for name, inner in value.items()]
    else:
        pairs = [(path, path.rpartition(".")[2], field_of(record, path)) for path in paths]
    for path, name, value in pairs:
        if value is None:
            continue
        if isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, (str, int, float)):
            yield name, str(value)
        else:
            raise broken(path, value, "must be a text, a number or a truth value", "fields.labels")
