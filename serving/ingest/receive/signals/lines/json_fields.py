"""Objects of JSON as records: ECS, OpenTelemetry and what loggers write, by one table of names."""

from datetime import datetime

import msgspec

from serving.ingest.receive.signals.attribute_texts import Json
from serving.ingest.receive.signals.lines.field_names import FieldPlan, first_taken, plan_of, taken
from serving.ingest.receive.signals.lines.level_words import severity_of_number, severity_of_word, stated_number
from serving.ingest.receive.signals.lines.line_times import time_of
from serving.ingest.receive.signals.lines.log_line import LineReading, LogLine, bad_time, plain_json

_OTLP_VALUES = ("stringValue", "intValue", "doubleValue", "boolValue")


def decoded_object(text: str | bytes) -> dict[str, Json] | None:
    """Return a text as an object of JSON; None where it is none."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    plain = plain_json(value)
    return plain if isinstance(plain, dict) else None


def record_of(fields: dict[str, Json], text: str, reading: LineReading) -> LogLine:
    """Return what an object says; it loses the fields that have a place of their own, the rest are attributes."""
    now = reading.intake.available_at
    plan = plan_of(fields, reading.intake.rules.labels)
    line = LogLine(text)
    stated = first_taken(fields, plan.time)
    if stated is not None:
        line.time_us = _time_us(stated, fields, now)
        if line.time_us is None:
            return bad_time(text, "time", stated)
    numbered = _set_level(line, fields, plan)
    line.body = _message(fields, text, plan)
    line.trace_id = _text(first_taken(fields, plan.trace_id)).removeprefix("0x")
    line.span_id = _text(first_taken(fields, plan.span_id)).removeprefix("0x")
    line.event = _text(first_taken(fields, plan.event))
    _set_resource(line, fields, reading, plan)
    name = fields.get("name")
    if numbered and isinstance(name, str) and name:  # bunyan and pino: of the program
        line.resource.setdefault("service.name", str(fields.pop("name")))
    line.scope = _text(first_taken(fields, plan.scope if numbered else (*plan.scope, "name")))
    line.attributes = _spread(fields)
    return line


def _time_us(stated: Json, fields: dict[str, Json], now: datetime) -> int | None:
    if isinstance(stated, str) or not _is_instant(fields):
        return time_of(stated, now)
    nanos = taken(fields, ("instant.nanoOfSecond",))
    at_us = time_of(stated, now)
    return at_us if at_us is None or not isinstance(nanos, int) or not 0 <= nanos < 10**9 else at_us + nanos // 1000


def _is_instant(fields: dict[str, Json]) -> bool:
    instant = fields.get("instant")
    return isinstance(instant, dict) and "nanoOfSecond" in instant


def _set_level(line: LogLine, fields: dict[str, Json], plan: FieldPlan) -> bool:
    """Set the severity; return whether the level was a number, as bunyan and pino write it."""
    level = first_taken(fields, plan.level)
    line.severity_number = stated_number(first_taken(fields, plan.severity_number)) if plan.severity_number else 0
    line.severity = _text(level)
    is_number = isinstance(level, int) and not isinstance(level, bool)
    if not line.severity_number:
        line.severity_number = severity_of_number(int(line.severity)) if is_number else severity_of_word(line.severity)
    return is_number and line.severity_number > 0 and int(line.severity) >= 10


def _message(fields: dict[str, Json], text: str, plan: FieldPlan) -> Json:
    """Return the message, else the line as it came."""
    for name in ("body", "Body"):
        body = fields.get(name)
        if isinstance(body, dict) and body and name not in ("message", "msg"):
            return _any_value(fields.pop(name))
    message = first_taken(fields, plan.message)
    return text if message is None else message


def _any_value(value: Json) -> Json:
    """Return the content of an `AnyValue` of OTLP, another value as it is."""
    if isinstance(value, dict) and len(value) == 1:
        name = next(iter(value))
        return value[name] if name in _OTLP_VALUES else value
    return value


def _set_resource(line: LogLine, fields: dict[str, Json], reading: LineReading, plan: FieldPlan) -> None:
    """Set the resource: what the request states, and above it what the line does."""
    line.resource = dict(reading.resource)
    if plan.resource:
        _unpair_resource(fields)
        for attribute, names in plan.resource:
            text = _text(first_taken(fields, names))
            if text:
                line.resource[attribute] = text
    if "service.name" not in line.resource or line.resource["service.name"] == reading.resource.get("service.name"):
        text = _text(first_taken(fields, plan.service))
        if text:
            line.resource["service.name"] = text


def _unpair_resource(fields: dict[str, Json]) -> None:
    resource = fields.get("resource")
    if isinstance(resource, dict) and isinstance(resource.get("attributes"), list):
        resource["attributes"] = _unpaired(resource["attributes"])


def _spread(fields: dict[str, Json]) -> dict[str, Json]:
    """Return attributes; those of a record of OpenTelemetry stand beside its other fields."""
    own = _unpaired(fields.get("attributes"))
    if not isinstance(own, dict):
        return fields
    del fields["attributes"]
    return {**fields, **own}


def _unpaired(value: Json) -> Json:
    """Return a list of `{"key": …, "value": …}` as an object, another value as it is."""
    if not isinstance(value, list) or not value:
        return value
    pairs = [(item["key"], item.get("value")) for item in value if isinstance(item, dict) and isinstance(item.get("key"), str)]
    return {str(key): _any_value(content) for key, content in pairs} if len(pairs) == len(value) else value


def _text(value: Json) -> str:
    """Return a text or number as text, "" for another value."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else ""
