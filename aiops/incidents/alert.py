"""Alerts: one source says that something is wrong with a service; equal fingerprints say the same thing again."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any, Final

from data_contracts.values.moments import microseconds_of, moment_of_us

VOLATILE_LABELS: Final = frozenset(
    {"pod", "instance", "node", "host", "container", "endpoint", "uid", "replica", "value", "timestamp", "severity", "generation"}
)
"""Labels that change while the trouble stays the same: restarts, scaling, the measured value, how bad it is by now."""


class Severity(IntEnum):
    """How bad an alert is; greater is worse."""

    INFO = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert as it arrived. Times aware UTC; `value`, `z` NaN = not given; `score` of our own detections, NaN = unknown.

    `ends_at` = it is over, since then; None = it fires (a source's guess of when it may end does not belong here).
    `until_ended` = its source says when it is over, so silence does not mean that it is.

    `alert_id` names this arrival, `fingerprint` what it is about: equal ones are repetitions. One rule fires for several
    instances (pods, hosts, levels of severity): `instance` says for which, "" = there is but one; each ends by itself.
    """

    alert_id: str
    fingerprint: str
    service: str
    name: str
    severity: Severity
    starts_at: datetime
    ends_at: datetime | None = None
    value: float = float("nan")
    z: float = float("nan")
    labels: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    until_ended: bool = False
    instance: str = ""
    score: float = float("nan")

    def label(self, name: str) -> str:
        """Return a label; `service`, `alertname`, `severity` and `source` are always there, an unknown one is empty."""
        known = {"service": self.service, "alertname": self.name, "severity": self.severity.name.lower(), "source": self.source}
        return known.get(name) or self.labels.get(name, "")


def fingerprint_of(labels: Mapping[str, str], volatile: frozenset[str] = VOLATILE_LABELS) -> str:
    """Return 16 hex digits of the labels that stay; the same in any order, process and release.

    >>> fingerprint_of({"service": "cart", "pod": "a"}) == fingerprint_of({"pod": "b", "service": "cart"})
    True
    >>> fingerprint_of({"a": "bc"}) == fingerprint_of({"ab": "c"})
    False
    """
    kept = sorted((name, value) for name, value in labels.items() if name not in volatile)
    text = "".join(f"{len(name)}:{name}{len(value)}:{value}" for name, value in kept)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def plain_alert(alert: Alert) -> list[object]:
    """Return an alert as plain data: numbers, texts, lists and dicts."""
    ends = None if alert.ends_at is None else microseconds_of(alert.ends_at)
    *numbers, score = [None if number != number else number for number in (alert.value, alert.z, alert.score)]  # noqa: PLR0124
    names = [alert.alert_id, alert.fingerprint, alert.service, alert.name, int(alert.severity)]
    return [
        *names,
        microseconds_of(alert.starts_at),
        ends,
        *numbers,
        dict(alert.labels),
        alert.source,
        alert.until_ended,
        alert.instance,
        score,
    ]


def alert_of_plain(fields: list[Any]) -> Alert:
    """Return the alert of plain data; what was stored before alerts named instance and score has none."""
    alert_id, fingerprint, service, name, severity, starts, ends, value, z, labels, source, until_ended, *later = fields
    instance, score = (*later, "", None)[:2] if len(later) < 2 else later
    value, z, score = (float("nan") if number is None else number for number in (value, z, score))
    ends_at = None if ends is None else moment_of_us(ends)
    starts_at = moment_of_us(starts)
    about = (alert_id, fingerprint, service, name, Severity(severity), starts_at, ends_at)
    return Alert(*about, value, z, labels, source, until_ended, instance, score)
