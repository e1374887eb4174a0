"""Webhooks of any JSON layout, read by a source's mapping."""

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from aiops.incidents.alert import Alert
from serving.http.problem import refused
from serving.http.signature import check_signature
from serving.incidents.intake.alert_sources import AlertSource, Steps
from serving.incidents.intake.received_alerts import (
    AlertFields,
    Received,
    alert_of_fields,
    body_of,
    cleaned_labels,
    collected,
    first_text,
    moment_of,
    severity_of,
)


def signed_at(source: AlertSource, body: bytes, headers: tuple[str | None, str | None], now: datetime) -> datetime:
    """Return the time that alerts count as received: the signed one, so that a replay repeats nothing; `now` without a secret.

    `headers`: values of x-aiops-timestamp and x-aiops-signature. Only a `signed` source may be believed on their word.

    Raises:
        ProblemError: 401, the signature is missing, wrong or too old.
    """
    if source.secret is None:
        return now
    return check_signature(source.secret.get_secret_value(), body, *headers, now)


def alerts_of(name: str, source: AlertSource, body: bytes, received_at: datetime) -> Received:
    """Return the alerts of one request to the source `name` and why others are refused. `received_at` aware UTC.

    Raises:
        ProblemError: the body is no JSON, or has no alerts where the mapping says.
    """
    payload = body_of(body)
    entries = _follow(payload, payload, source.alerts)
    items = entries if isinstance(entries, list) else [entries] if isinstance(entries, dict) else None
    if items is None:
        place = ".".join(source.alerts) or "body"
        rule = "is neither a list of alerts nor one alert (an object)"
        raise refused(place, entries, rule, f"send it, or change sources.{name}.alerts of responder.alert_sources")
    return collected(items, lambda item: _alert(name, source, (item, payload), received_at))


def _alert(name: str, source: AlertSource, item: tuple[Any, Any], received_at: datetime) -> Alert:
    if not isinstance(item[0], dict):
        raise refused("alert", item[0], "is not a JSON object", "send each alert as an object")
    defaults = source.defaults
    service = first_text((*_values(item, source.service), defaults.service))
    title = first_text((*_values(item, source.name), defaults.name))
    for field, text, paths in (("service", service, source.service), ("name", title, source.name)):
        if not text:
            tried = ", ".join(".".join(steps) for steps in paths)
            raise refused(field, "", f"nothing is told at {tried}", f"send it, or change sources.{name}.{field}")
    word = first_text(_values(item, source.severity))
    status = first_text(_values(item, source.status)).lower()
    fields = AlertFields(
        service,
        title,
        severity_of(word, source.severity_words) if word else defaults.severity,
        status in {text.lower() for text in source.resolved} if status else False,
        _labels(item, source),
        moment_of("starts_at", _first(item, source.starts_at)),
        moment_of("ends_at", _first(item, source.ends_at)),
        _number(_first(item, source.value)),
        stable=frozenset(source.stable) if source.stable else None,
        until_ended=bool(source.status),
        identity=first_text(_values(item, source.identity)),
    )
    return alert_of_fields(fields, name, received_at)


def _labels(item: tuple[Any, Any], source: AlertSource) -> dict[str, str]:
    if isinstance(source.labels, dict):
        return cleaned_labels({label: _follow(*item, steps) for label, steps in source.labels.items()})
    labels = _follow(*item, source.labels) if source.labels else None
    return cleaned_labels(labels) if isinstance(labels, dict) else {}


def _values(item: tuple[Any, Any], paths: Sequence[Steps]) -> Iterator[Any]:
    return (_follow(*item, steps) for steps in paths)


def _first(item: tuple[Any, Any], paths: Sequence[Steps]) -> Any:
    return next((value for value in _values(item, paths) if value not in (None, "")), None)


def _follow(item: Any, body: Any, steps: Steps) -> Any:
    """Return what a path leads to, None where it leads nowhere."""
    at = body if steps[:1] == ("$",) else item
    for step in steps[1:] if steps[:1] == ("$",) else steps:
        if isinstance(at, dict):
            at = at.get(step)
        elif isinstance(at, list) and step.isascii() and step.isdecimal() and int(step) < len(at):
            at = at[int(step)]
        else:
            return None
    return at


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return float("nan")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return float("nan")
    return number if math.isfinite(number) else float("nan")
