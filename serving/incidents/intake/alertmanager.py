"""Webhooks of Prometheus' Alertmanager, payload version 4, which other systems send too.

Several alerts of theirs may be one of ours: labels that only say where (pod, instance) or how bad (severity) do not count, so
restarts repeat an alert. Alertmanager distinguishes alerts by all labels, and ends each by itself: ours is over with the last.
Alertmanager's own fingerprint and the key of its group are kept as `alertmanager_fingerprint` and `alertmanager_group`.

Source: documentation of Alertmanager, `webhook_config`; notify/webhook and template.Data in its sources.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from aiops.incidents.alert import Alert, fingerprint_of
from serving.http.problem import refused
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

SOURCE: Final = "alertmanager"
SERVICE_LABELS: Final = ("service", "job", "app", "service_name")
"""Labels that name the service; the first that is there counts."""

_NOTES: Final = ("summary", "description", "runbook_url", "dashboard_url")
_STATES: Final = {"firing": False, "resolved": True}


def alerts_of(body: bytes, received_at: datetime, service_labels: Sequence[str] = SERVICE_LABELS) -> Received:
    """Return the alerts of one webhook and why others are refused. `received_at` aware UTC.

    Raises:
        ProblemError: the body is no payload of version 4.
    """
    payload = body_of(body)
    if not isinstance(payload, dict):
        raise refused("body", type(payload).__name__, "is not a JSON object", "post Alertmanager's webhook payload, version 4")
    if payload.get("version") != "4":
        fix = "point Alertmanager's webhook_configs here; other layouts go to a webhook of their own (responder.alert_sources)"
        raise refused("version", payload.get("version"), "must be the text '4'", fix)
    items = payload.get("alerts")
    if not isinstance(items, list):
        raise refused("alerts", type(items).__name__, "must be a list of alerts", "send the payload as Alertmanager makes it")
    group = cleaned_labels({"alertmanager_group": payload.get("groupKey")})
    return collected(items, lambda item: _alert(item, received_at, service_labels, group), _count(payload.get("truncatedAlerts")))


def _alert(item: Any, received_at: datetime, service_labels: Sequence[str], group: Mapping[str, str]) -> Alert:
    labels, annotations = _texts(item, "labels"), _texts(item, "annotations")
    state = _STATES.get(str(item.get("status")))
    if state is None:
        raise refused("status", item.get("status"), "must be firing or resolved", "send the alert as Alertmanager makes it")
    service = first_text(labels.get(name) for name in service_labels)
    if not service:
        fix = "add one to the alerting rule, or name another label in [alertmanager] service_labels of responder.alert_sources"
        raise refused("labels", ", ".join(sorted(labels)), f"none of {', '.join(service_labels)} names the service", fix)
    name = first_text([labels.get("alertname")])
    if not name:
        raise refused("labels.alertname", "", "is missing or empty", "give the alerting rule a name")
    fields = AlertFields(
        service,
        name,
        severity_of(labels.get("severity", "")),
        state,
        labels,
        moment_of("startsAt", item.get("startsAt")),
        moment_of("endsAt", item.get("endsAt")),
        _value(annotations),
        {**_notes(item, annotations), **group},
        until_ended=True,
        identity=fingerprint_of(labels, frozenset()),
    )
    return alert_of_fields(fields, SOURCE, received_at)


def _texts(item: Any, name: str) -> dict[str, str]:
    if not isinstance(item, dict):
        raise refused("alert", item, "is not a JSON object", "send the alert as Alertmanager makes it")
    texts = item.get(name)
    if texts is not None and not isinstance(texts, dict):
        raise refused(name, texts, "is not an object of texts", "send the alert as Alertmanager makes it")
    return cleaned_labels(texts or {})


def _notes(item: Mapping[str, Any], annotations: Mapping[str, str]) -> dict[str, str]:
    notes = {name: annotations[name] for name in _NOTES if name in annotations}
    own = {"alertmanager_fingerprint": item.get("fingerprint"), "generator_url": item.get("generatorURL")}
    return cleaned_labels(own) | notes


def _value(annotations: Mapping[str, str]) -> float:
    """Return the annotation `value` where a rule has it, else NaN."""
    try:
        value = float(annotations.get("value", "nan"))
    except ValueError:
        return float("nan")
    return value if math.isfinite(value) else float("nan")


def _count(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
