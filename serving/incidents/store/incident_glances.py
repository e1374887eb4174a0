"""What a list shows of many incidents beside their rows: alerts, acknowledgement, newest analysis, plans; in three queries."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Select, func, select

from aiops.incidents.incident import IncidentState
from serving.incidents.store.automation_tables import AUTOMATION_RUNS
from serving.incidents.store.codec import value_of
from serving.incidents.store.incident_tables import INCIDENTS, REPORTS
from serving.incidents.store.records import IncidentGlance
from serving.incidents.store.tenant_connection import TenantConnection

_WAITING: Final = "waiting"


class _Alerts(msgspec.Struct):
    """Part of an entry of an incident's document."""

    name: str
    firing: int = 0


class _Event(msgspec.Struct):
    """Part of an event of its timeline."""

    at: datetime
    by: str = ""
    became: IncidentState | None = None


class _Incident(msgspec.Struct):
    """The parts of an incident's document that a list shows; the rest is skipped."""

    alerts: list[_Alerts]
    timeline: list[_Event]


class _Cause(msgspec.Struct):
    service: str
    probability: float


class _Report(msgspec.Struct):
    """The parts of an analysis that a list shows."""

    causes: list[_Cause]
    decided: bool
    statement: str


def glances(connection: TenantConnection, incident_ids: Sequence[str]) -> Mapping[str, IncidentGlance]:
    """Return what a list shows of each incident, by its id. O(size of their documents and newest analyses)."""
    reports = {row.incident_id: value_of(_Report, row.document) for row in connection.execute(_newest(connection, incident_ids))}
    waiting = {row.incident_id: int(row.many) for row in connection.execute(_waiting(connection, incident_ids))}
    columns = INCIDENTS.c
    documents = select(columns.incident_id, columns.document)
    statement = documents.where(connection.own(INCIDENTS), columns.incident_id.in_(incident_ids))
    return {
        row.incident_id: _glance(value_of(_Incident, row.document), reports.get(row.incident_id), waiting.get(row.incident_id, 0))
        for row in connection.execute(statement)
    }


def _newest(connection: TenantConnection, incident_ids: Sequence[str]) -> Select[Any]:
    columns = REPORTS.c
    times = select(columns.tenant, columns.incident_id, func.max(columns.made_us).label("made_us"))
    wanted = times.where(connection.own(REPORTS), columns.incident_id.in_(incident_ids))
    newest = wanted.group_by(columns.tenant, columns.incident_id).subquery()
    same = (newest.c.incident_id == columns.incident_id) & (newest.c.made_us == columns.made_us)
    joined = select(columns.incident_id, columns.document).join(newest, same)
    return joined.where(connection.own(REPORTS), connection.own(newest))


def _waiting(connection: TenantConnection, incident_ids: Sequence[str]) -> Select[Any]:
    columns = AUTOMATION_RUNS.c
    counts = select(columns.incident_id, func.count().label("many"))
    wanted = counts.where(connection.own(AUTOMATION_RUNS), columns.incident_id.in_(incident_ids), columns.state == _WAITING)
    return wanted.group_by(columns.incident_id)


def _glance(incident: _Incident, report: _Report | None, plans_waiting: int) -> IncidentGlance:
    acknowledged: _Event | None = None
    for event in incident.timeline:
        if event.became in (IncidentState.ACKNOWLEDGED, IncidentState.OPEN):
            acknowledged = event if event.became is IncidentState.ACKNOWLEDGED else None
    first = report.causes[0] if report and report.causes else None
    return IncidentGlance(
        statement=report.statement if report else "",
        cause=first.service if first else "",
        probability=first.probability if first else None,
        decided=report.decided if report else False,
        alert_names=tuple(dict.fromkeys(alerts.name for alerts in incident.alerts)),
        different_alerts=len(incident.alerts),
        firing=sum(alerts.firing for alerts in incident.alerts),
        acknowledged_at=acknowledged.at if acknowledged else None,
        acknowledged_by=acknowledged.by if acknowledged else "",
        plans_waiting=plans_waiting,
    )
