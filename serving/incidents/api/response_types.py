"""What the API answers, as types, from which /docs.json is made. Times are RFC 3339 in UTC; null = not known."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from aiops.incidents.incident import IncidentState, TimelineEvent
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.verdict import Verdict

SeverityName = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True)
class IncidentLine:
    """An incident in one line of a list. `merged_into` "" = not merged."""

    incident_id: str
    """id of the incident"""
    state: IncidentState
    """where it stands"""
    severity: SeverityName
    """that of the worst of its alerts so far"""
    opened_at: datetime
    """when it opened"""
    updated_at: datetime
    """when it last changed"""
    anchor: str
    """the service that showed it first"""
    services: tuple[str, ...]
    """names of its services, in order of appearance"""
    alert_count: int
    """alerts in it, repetitions included"""
    notified_at: datetime | None
    """when somebody was first notified; null = nobody was yet"""
    merged_into: str
    """id of the incident that goes on in its place; "" = it was not merged"""
    storm: bool
    """whether the storm breaker opened or fed it"""
    statement: str
    """the finding of the newest analysis in a sentence or two; "" = none was made yet"""
    cause: str
    """the service that most probably began it; "" = not known"""
    probability: float | None
    """probability that it did, 0..1; null = not known"""
    decided: bool
    """whether it is probable enough to be named alone"""
    foreseen: bool
    """whether it is but foreseen: all of its alerts are forecasts, and nothing has strayed yet"""
    alert_names: tuple[str, ...]
    """names of its alerts, each once, in order of appearance, at most five"""
    different_alerts: int
    """alerts in it, repetitions counted once"""
    firing: int
    """their instances (pods, hosts, levels) that are not over"""
    acknowledged_at: datetime | None
    """when somebody took it on; null = nobody does"""
    acknowledged_by: str
    """who did; "" = nobody"""
    plans_waiting: int
    """plans for it that wait for an approval"""


@dataclass(frozen=True, slots=True)
class IncidentPage:
    """A page of incidents, the newest first; `next_cursor` "" = there are no more; `total` = those on all pages together."""

    items: tuple[IncidentLine, ...]
    """the incidents of this page, the newest first"""
    next_cursor: str
    """give it as `cursor` for the next page; "" = there are no more"""
    total: int
    """incidents on all pages together"""


@dataclass(frozen=True, slots=True)
class AlertGroup:
    """All repetitions of one alert in an incident; `firing` = instances (pods, hosts, levels) of it that are not over."""

    fingerprint: str
    """what the alerts are about, 16 hex digits of the labels that stay; equal ones are repetitions"""
    service: str
    """the service that they are about"""
    name: str
    """name of the alert"""
    severity: SeverityName
    """that of the worst of the repetitions"""
    first_seen: datetime
    """when the first of them began"""
    last_seen: datetime
    """when the last of them came"""
    count: int
    """how many came, the first included"""
    ended: bool
    """whether none of its instances is left"""
    firing: int
    """its instances (pods, hosts, levels) that are not over"""


@dataclass(frozen=True, slots=True)
class IncidentView:
    """An incident with what is known of it. `root_cause` is the newest analysis; `merged` names incidents that go on in it."""

    incident_id: str
    """id of the incident"""
    state: IncidentState
    """where it stands"""
    severity: SeverityName
    """that of the worst of its alerts so far"""
    opened_at: datetime
    """when it opened"""
    updated_at: datetime
    """when it last changed"""
    anchor: str
    """the service that showed it first"""
    services: tuple[str, ...]
    """names of its services, in order of appearance"""
    alerts: tuple[AlertGroup, ...]
    """its alerts, one entry for each fingerprint, in order of appearance"""
    alert_count: int
    """alerts in it, repetitions included"""
    timeline: tuple[TimelineEvent, ...]
    """what happened to it, the oldest first; at most 200 events: the first and the newest"""
    notified_at: datetime | None
    """when somebody was first notified; null = nobody was yet"""
    merged_into: str
    """id of the incident that goes on in its place; "" = it was not merged"""
    storm: bool
    """whether the storm breaker opened or fed it"""
    root_cause: RootCauseReport | None
    """the newest analysis; null = none was made yet"""
    verdicts: tuple[Verdict, ...]
    """what operators said of it, the oldest first; the last is in force"""
    merged: tuple[str, ...]
    """ids of the incidents that go on in it"""


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert as it arrived, and what became of it: `fate` "" = not decided yet, `incident_id` "" = in no incident.

    `score`: of what the suite found itself, 0..1.
    """

    alert_id: str
    """id of this arrival"""
    fingerprint: str
    """what it is about, 16 hex digits of the labels that stay; equal ones are repetitions"""
    service: str
    """the service that it is about"""
    name: str
    """name of the alert"""
    severity: SeverityName
    """how bad it is"""
    starts_at: datetime
    """when it began"""
    ends_at: datetime | None
    """since when it is over; null = it fires"""
    value: float | None
    """the measured value in the metric's unit, or the chance of a forecast (0..1); null = not given"""
    z: float | None
    """distance from the baseline in spreads, where the source gives it; null = not given"""
    score: float | None
    """of the suite's own detections, 0..1; null = unknown, or of another source"""
    labels: Mapping[str, str]
    """its labels by name"""
    source: str
    """name of the source that sent it"""
    incident_id: str
    """id of its incident; "" = in none, or not decided yet"""
    fate: str
    """what became of it and by which rule, for example joined or silence: deploy-freeze; "" = not decided yet"""
    received_at: datetime
    """when it came in"""


@dataclass(frozen=True, slots=True)
class AlertPage:
    """A page of alerts, the newest first; `next_cursor` "" = there are no more."""

    items: tuple[AlertView, ...]
    """the alerts of this page, the newest first"""
    next_cursor: str
    """give it as `cursor` for the next page; "" = there are no more"""


@dataclass(frozen=True, slots=True)
class ReportList:
    """All analyses of an incident, the newest first."""

    items: tuple[RootCauseReport, ...]
    """the analyses, the newest first"""


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """Something that happened to an incident: a change of it, an analysis, or a verdict."""

    at: datetime
    """when it happened"""
    kind: Literal["event", "analysis", "verdict"]
    """a change of the incident, an analysis or a verdict"""
    what: str
    """what happened, in words"""
    by: str
    """who did it: correlator, responder, or a person"""


@dataclass(frozen=True, slots=True)
class Timeline:
    """What happened to an incident, the oldest first."""

    items: tuple[TimelineEntry, ...]
    """what happened, the oldest first"""


@dataclass(frozen=True, slots=True)
class HeldBackView:
    """An incident whose page waits."""

    incident_id: str
    """id of the incident"""
    since: datetime
    """since when its page waits"""
    severity: SeverityName
    """that of the worst of its alerts so far"""


@dataclass(frozen=True, slots=True)
class HeldBackList:
    """Incidents that deserve a page which waits, the worst first."""

    items: tuple[HeldBackView, ...]
    """the incidents, the worst first"""


@dataclass(frozen=True, slots=True)
class AuditView:
    """One line of the audit log; `digest` covers it and all before it."""

    seq: int
    """number of the entry, from 1"""
    at: datetime
    """when it was done"""
    by: str
    """who did it"""
    what: str
    """what was done, a word"""
    subject: str
    """to what: id or name"""
    detail: Mapping[str, Any]
    """more of it, by name"""
    digest: str
    """hex digest of this entry and all before it"""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A page of the audit log, the newest first."""

    items: tuple[AuditView, ...]
    """the entries of this page, the newest first"""
    next_cursor: str
    """give it as `cursor` for the next page; "" = there are no more"""
