"""A notice: what a notification says, the same for every channel. It holds no secret, so it may lie in the outbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from aiops.incidents.alert import Severity
from aiops.incidents.incident import Incident, IncidentState
from aiops.incidents.root_cause import RootCauseReport
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.incidents.store.records import MessageKind

_SHOWN_SERVICES: Final = 3
KEPT_SERVICES: Final = 20
"""Services that a notice names; the incident itself has them all."""
_NAME_CHARACTERS: Final = 200
_ALERT_CHARACTERS: Final = 80


@dataclass(frozen=True, slots=True)
class Cause:
    """The most probable root cause; `decided` = probable enough to be named alone."""

    service: str
    probability: float
    decided: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class PlanInShort:
    """A plan that waits for a person: `what` it would do, one line a step, and how that is taken back; `reach`: who calls there.

    `approve_url` opens a page that approves it once, "" = there is none: who approves does so with a token or by command.
    """

    plan_id: str
    runbook: str
    title: str
    what: tuple[str, ...]
    undo: str
    reach: tuple[str, ...]
    expires_at: datetime
    approve_url: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """What a notification says about an incident. `headline` is one line of plain text, nothing in it is escaped.

    `at` = when it happened (aware UTC); `services` the first 20, the worst or first first; `service_count` = all of them.
    `alert` = the name of the worst alert, the first of these; `tenant` = whose incident it is.
    """

    kind: MessageKind
    incident_id: str
    state: IncidentState
    severity: Severity
    at: datetime
    services: tuple[str, ...]
    service_count: int
    alert_count: int
    headline: str
    url: str
    cause: Cause | None = None
    alert: str = ""
    tenant: str = DEFAULT_TENANT
    plan: PlanInShort | None = None


def plain_notice(notice: Notice) -> dict[str, Any]:
    """Return a notice as plain data."""
    plain: dict[str, Any] = msgspec.to_builtins(notice)
    return plain


def plain_plan_in_short(plan: PlanInShort) -> dict[str, Any]:
    """Return what a notice says of a plan as plain data."""
    plain: dict[str, Any] = msgspec.to_builtins(plan)
    return plain


def notice_of_plain(fields: Mapping[str, Any]) -> Notice:
    """Return the notice of plain data.

    Raises:
        msgspec.ValidationError: the data is none.
    """
    return msgspec.convert(dict(fields), Notice)


def notice_of(incident: Incident, kind: MessageKind, at: datetime, headline: str, base_url: str) -> Notice:
    """Return a notice about an incident as it is."""
    return Notice(
        kind,
        incident.incident_id,
        incident.state,
        incident.severity,
        at,
        kept(incident.services),
        len(incident.services),
        incident.alert_count,
        headline,
        link_to(base_url, incident.incident_id),
        alert=_worst(incident),
    )


def link_to(base_url: str, incident_id: str) -> str:
    """Return the address that opens an incident for a person: a page, which asks for a token where the API needs one."""
    return f"{base_url.rstrip('/')}/open/{incident_id}"


def in_short(notice: Notice) -> str:
    """Return how bad it is, where, and what: the line that somebody who is woken reads first."""
    alerts = counted(notice.alert_count)
    what = f"{alerts}{':' if notice.alert_count == 1 else ', such as'} {notice.alert}" if notice.alert else alerts
    return f"{notice.severity.name.lower()}: {named(notice.services, notice.service_count)}; {what}"


def _worst(incident: Incident) -> str:
    """Return the name of the worst alert, of equal ones the first; short enough for one line."""
    worst = min(incident.alerts, key=lambda alert: (-alert.severity, alert.first_seen, alert.fingerprint), default=None)
    name = "" if worst is None else worst.name
    return name if len(name) <= _ALERT_CHARACTERS else name[: _ALERT_CHARACTERS - 1] + "…"


def cause_of(report: RootCauseReport | None) -> Cause | None:
    """Return the first cause of a report, None where there is no report or no cause."""
    if report is None or not report.causes:
        return None
    first = report.causes[0]
    return Cause(first.service, first.probability, report.decided, first.sentence if report.decided else report.statement)


def kept(services: Sequence[str]) -> tuple[str, ...]:
    """Return the services that a notice names."""
    return tuple(service[:_NAME_CHARACTERS] for service in services[:KEPT_SERVICES])


def named(services: Sequence[str], count: int) -> str:
    """Return services in a few words.

    >>> named(("cart", "web"), 2), named(("a", "b", "c", "d"), 9), named((), 0)
    ('cart, web', 'a, b, c and 6 more', 'no service')
    """
    shown = kept(services)[:_SHOWN_SERVICES]
    more = count - len(shown)
    return (", ".join(shown) or "no service") + (f" and {more} more" if more > 0 else "")


def counted(alerts: int) -> str:
    """Return a number of alerts in words.

    >>> counted(1), counted(1200)
    ('1 alert', '1,200 alerts')
    """
    return "1 alert" if alerts == 1 else f"{alerts:,} alerts"
