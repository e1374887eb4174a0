"""Webhooks of any JSON layout, read by a source's mapping."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class SignedBody:
    """A request's body with its headers x-aiops-timestamp and x-aiops-signature, None = not sent."""

    body: bytes
    timestamp: str | None
    signature: str | None


@dataclass(frozen=True, slots=True)
class _Item:
    """One alert of a payload, and the whole payload, in which a path that begins with $ starts."""

    alert: Any
    payload: Any

    def follow(self, steps: Steps) -> Any:
        """Return what a path leads to, None where it leads nowhere."""
        at = self.payload if steps[:1] == ("$",) else self.alert
        for step in steps[1:] if steps[:1] == ("$",) else steps:
            if isinstance(at, dict):
                at = at.get(step)
            elif isinstance(at, list) and step.isascii() and step.isdecimal() and int(step) < len(at):
                at = at[int(step)]
            else:
                return None
        return at

    def values(self, paths: Sequence[Steps]) -> Iterator[Any]:
        """Yield what each path leads to."""
        return (self.follow(steps) for steps in paths)

    def first(self, paths: Sequence[Steps]) -> Any:
        """Return the first value that is not empty, None where there is none."""
        return next((value for value in self.values(paths) if value not in (None, "")), None)


def signed_at(source: AlertSource, sent: SignedBody, now: datetime) -> datetime:
    """Return the time that alerts count as received: the signed one, so that a replay repeats nothing; `now` without a secret.

    Only a `signed` source may be believed on the word of its headers.

    Raises:
        ProblemError: 401, the signature is missing, wrong or too old.
    """
    if source.secret is None:
        return now
    return check_signature(source.secret.get_secret_value(), sent.body, sent.timestamp, sent.signature, now)


def alerts_of(name: str, source: AlertSource, body: bytes, received_at: datetime) -> Received:
    """Return the alerts of one request to the source `name` and why others are refused. `received_at` aware UTC.

    Raises:
        ProblemError: the body is no JSON, or has no alerts where the mapping says.
    """
    payload = body_of(body)
    entries = _Item(payload, payload).follow(source.alerts)
    items = entries if isinstance(entries, list) else [entries] if isinstance(entries, dict) else None
    if items is None:
        place = ".".join(source.alerts) or "body"
        rule = "is neither a list of alerts nor one alert (an object)"
        raise refused(place, entries, rule, f"send it, or change sources.{name}.alerts of responder.alert_sources")
    return collected(items, lambda item: _alert(name, source, _Item(item, payload), received_at))


def _alert(name: str, source: AlertSource, item: _Item, received_at: datetime) -> Alert:
    if not isinstance(item.alert, dict):
        raise refused("alert", item.alert, "is not a JSON object", "send each alert as an object")
    defaults = source.defaults
    service = first_text((*item.values(source.service), defaults.service))
    title = first_text((*item.values(source.name), defaults.name))
    for field, text, paths in (("service", service, source.service), ("name", title, source.name)):
        if not text:
            tried = ", ".join(".".join(steps) for steps in paths)
            raise refused(field, "", f"there is nothing at {tried}", f"send it, or change sources.{name}.{field}")
    word = first_text(item.values(source.severity))
    status = first_text(item.values(source.status)).lower()
    fields = AlertFields(
        service,
        title,
        severity_of(word, source.severity_words) if word else defaults.severity,
        status in {text.lower() for text in source.resolved} if status else False,
        _labels(item, source),
        moment_of("starts_at", item.first(source.starts_at)),
        moment_of("ends_at", item.first(source.ends_at)),
        _number(item.first(source.value)),
        stable=frozenset(source.stable) if source.stable else None,
        until_ended=bool(source.status),
        identity=first_text(item.values(source.identity)),
    )
    return alert_of_fields(fields, name, received_at)


def _labels(item: _Item, source: AlertSource) -> dict[str, str]:
    if isinstance(source.labels, dict):
        return cleaned_labels({label: item.follow(steps) for label, steps in source.labels.items()})
    labels = item.follow(source.labels) if source.labels else None
    return cleaned_labels(labels) if isinstance(labels, dict) else {}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return float("nan")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return float("nan")
    return number if math.isfinite(number) else float("nan")
