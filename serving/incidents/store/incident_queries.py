"""Queries of the incident store: incidents by filter, one case, alerts, reports, verdicts, notifications, events."""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, func, select

from aiops.errors import ContractError
from aiops.incidents.correlation.suppression import MaintenanceWindow, Silence, Suppression
from aiops.incidents.incident import Incident, IncidentState
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.verdict import Verdict
from data_contracts.values.moments import microseconds_of
from serving.incidents.store.audit import entry_of
from serving.incidents.store.codec import plain_of, value_of
from serving.incidents.store.incident_rows import event_of, key_text, message_of, stored_alert_of, summary_of, without_nul
from serving.incidents.store.incident_tables import (
    ALERTS,
    AUDIT,
    DESK,
    EVENTS,
    INBOX,
    INCIDENT_SERVICES,
    INCIDENTS,
    NOTES,
    OUTBOX,
    REPORTS,
    SILENCE,
    SUPPRESSIONS,
    VERDICTS,
    WINDOW,
)
from serving.incidents.store.paging import page_of
from serving.incidents.store.records import (
    AuditEntry,
    IncidentCase,
    IncidentFilter,
    IncidentSummary,
    MessageState,
    OutboxMessage,
    Page,
    PageRequest,
    StoredAlert,
    StoreEvent,
)
from serving.incidents.store.tenant_connection import TenantConnection

_SUMMARY: Final = [column for column in INCIDENTS.columns if column.name not in ("tenant", "words", "document")]
_SHOWN: Final = 5
_ESCAPE: Final = "\\"


def cases(connection: TenantConnection, incident_filter: IncidentFilter, request: PageRequest) -> Page[IncidentSummary]:
    """Return incidents in one line each, the last opened first."""
    keys = (INCIDENTS.c.opened_us, INCIDENTS.c.incident_id)
    return page_of(connection, _filtered(connection, select(*_SUMMARY), incident_filter), keys, request, summary_of)


def case_count(connection: TenantConnection, incident_filter: IncidentFilter) -> int:
    """Return how many incidents fit, on all pages together."""
    return _count(connection, _filtered(connection, select(func.count()).select_from(INCIDENTS), incident_filter))


def incidents(connection: TenantConnection, incident_filter: IncidentFilter, request: PageRequest) -> Page[Incident]:
    """Return whole incidents, the last opened first."""
    keys = (INCIDENTS.c.opened_us, INCIDENTS.c.incident_id)
    statement = _filtered(connection, select(*keys, INCIDENTS.c.document), incident_filter)
    return page_of(connection, statement, keys, request, lambda row: value_of(Incident, row.document))


def case(connection: TenantConnection, incident_id: str) -> IncidentCase:
    """Return all about one incident, named by its id or the beginning of it.

    Raises:
        ContractError: none begins so, or several do.
    """
    whole = full_id(connection, incident_id)
    own = connection.own
    query = select(INCIDENTS.c.document).where(own(INCIDENTS), INCIDENTS.c.incident_id == whole)
    document = connection.execute(query).scalar_one()
    explained = select(REPORTS.c.document).where(own(REPORTS), REPORTS.c.incident_id == whole)
    report = connection.execute(explained.order_by(REPORTS.c.made_us.desc()).limit(1)).scalar()
    given = select(VERDICTS.c.document).where(own(VERDICTS), VERDICTS.c.incident_id == whole).order_by(VERDICTS.c.given_us)
    return IncidentCase(
        value_of(Incident, document),
        None if report is None else value_of(RootCauseReport, report),
        tuple(value_of(Verdict, text) for text in connection.execute(given).scalars()),
        tuple(_family(connection, whole)[1:]),
    )


def full_id(connection: TenantConnection, incident_id: str) -> str:
    """Return the id of the incident that is named by it or by the beginning of it.

    Raises:
        ContractError: none begins so, or several do.
    """
    column = INCIDENTS.c.incident_id
    ids = select(column).where(connection.own(INCIDENTS))
    incident_id = without_nul(incident_id)
    if connection.execute(ids.where(column == incident_id)).scalar() is not None:
        return incident_id
    like = column.like(_pattern(incident_id) + "%", escape=_ESCAPE)
    matches = connection.execute(ids.where(like).order_by(column).limit(_SHOWN)).scalars().all() if incident_id else []
    if not matches:
        raise ContractError(f"incident_id={incident_id!r} is not known; list the incidents for their ids")
    if len(matches) > 1:
        raise ContractError(f"incident_id={incident_id!r} begins several ({', '.join(matches)}, …); give more of it")
    return str(matches[0])


def alerts(connection: TenantConnection, incident_id: str | None, request: PageRequest) -> Page[StoredAlert]:
    """Return alerts filed under an incident or those merged into it, or all; the last received first.

    An alert stays where it was filed, also where its incident was split later.
    """
    statement = select(ALERTS).where(connection.own(ALERTS))
    if incident_id is not None:
        statement = statement.where(ALERTS.c.incident_id.in_(_family(connection, full_id(connection, incident_id))))
    return page_of(connection, statement, (ALERTS.c.seq,), request, stored_alert_of)


def reports(connection: TenantConnection, incident_id: str) -> tuple[RootCauseReport, ...]:
    """Return all analyses of an incident, the oldest first."""
    whole = full_id(connection, incident_id)
    statement = select(REPORTS.c.document).where(connection.own(REPORTS), REPORTS.c.incident_id == whole)
    texts = connection.execute(statement.order_by(REPORTS.c.made_us)).scalars()
    return tuple(value_of(RootCauseReport, text) for text in texts)


def verdicts(connection: TenantConnection, since: datetime | None) -> tuple[Verdict, ...]:
    """Return verdicts given at or after a time, the oldest first."""
    own = connection.own(VERDICTS)
    statement = select(VERDICTS.c.document).where(own).order_by(VERDICTS.c.given_us, VERDICTS.c.verdict_id)
    if since is not None:
        statement = statement.where(VERDICTS.c.given_us >= microseconds_of(since))
    return tuple(value_of(Verdict, text) for text in connection.execute(statement).scalars())


def due_messages(connection: TenantConnection, at: datetime, limit: int) -> tuple[OutboxMessage, ...]:
    """Return pending notifications that are due, the longest due first."""
    ready = (OUTBOX.c.state == str(MessageState.PENDING)) & (OUTBOX.c.due_us <= microseconds_of(at))
    statement = select(OUTBOX).where(connection.own(OUTBOX), ready).order_by(OUTBOX.c.due_us, OUTBOX.c.message_id).limit(limit)
    return tuple(message_of(row) for row in connection.execute(statement))


def pending_messages(connection: TenantConnection, channel: str, limit: int) -> tuple[OutboxMessage, ...]:
    """Return notifications of a channel that are not settled, due or not, the longest due first."""
    there = (OUTBOX.c.state == str(MessageState.PENDING)) & (OUTBOX.c.channel == channel)
    statement = select(OUTBOX).where(connection.own(OUTBOX), there).order_by(OUTBOX.c.due_us, OUTBOX.c.message_id).limit(limit)
    return tuple(message_of(row) for row in connection.execute(statement))


def messages(connection: TenantConnection, incident_id: str) -> tuple[OutboxMessage, ...]:
    """Return all notifications about an incident, by when they are due."""
    statement = select(OUTBOX).where(connection.own(OUTBOX), OUTBOX.c.incident_id == without_nul(incident_id))
    rows = connection.execute(statement.order_by(OUTBOX.c.due_us, OUTBOX.c.message_id))
    return tuple(message_of(row) for row in rows)


def suppression(connection: TenantConnection) -> Suppression:
    """Return all maintenance windows and silences, each by name."""
    statement = select(SUPPRESSIONS.c.kind, SUPPRESSIONS.c.document).where(connection.own(SUPPRESSIONS))
    rows = connection.execute(statement.order_by(SUPPRESSIONS.c.name)).all()
    windows = tuple(value_of(MaintenanceWindow, row.document) for row in rows if row.kind == WINDOW)
    return Suppression(windows, tuple(value_of(Silence, row.document) for row in rows if row.kind == SILENCE))


def noted(connection: TenantConnection, key: str) -> Any:
    """Return the plain data kept under a name, None where there is none."""
    statement = select(NOTES.c.value).where(connection.own(NOTES), NOTES.c.key == key_text(key))
    text = connection.execute(statement).scalar()
    return None if text is None else plain_of(text)


def events_after(connection: TenantConnection, seq: int, limit: int) -> tuple[StoreEvent, ...]:
    """Return what changed after a sequence number, the oldest first."""
    statement = select(EVENTS).where(connection.own(EVENTS), EVENTS.c.seq > seq).order_by(EVENTS.c.seq).limit(limit)
    return tuple(event_of(row) for row in connection.execute(statement))


def desk_number(connection: TenantConnection, name: str) -> int:
    """Return a number of the desk's row, 0 where the tenant has none yet."""
    row = connection.first(select(DESK.c[name]).where(connection.own(DESK)))
    return 0 if row is None else int(row[0])


def audit_lines(connection: TenantConnection, request: PageRequest) -> Page[AuditEntry]:
    """Return lines of the audit log, the newest first."""
    return page_of(connection, select(AUDIT).where(connection.own(AUDIT)), (AUDIT.c.seq,), request, entry_of)


def counts(connection: TenantConnection) -> dict[str, int]:
    """Return how many rows there are, and how many incidents in each state."""
    tables = (INCIDENTS, ALERTS, REPORTS, VERDICTS, INBOX, OUTBOX, EVENTS, AUDIT)
    own = connection.own
    row_counts = {table.name: _count(connection, select(func.count()).select_from(table).where(own(table))) for table in tables}
    waiting = select(func.count()).where(own(OUTBOX), OUTBOX.c.state == str(MessageState.PENDING))
    states = dict.fromkeys(map(str, IncidentState), 0)
    by_state = select(INCIDENTS.c.state, func.count().label("many")).where(own(INCIDENTS)).group_by(INCIDENTS.c.state)
    for row in connection.execute(by_state):
        states[row.state] = row.many
    return row_counts | {"outbox_pending": _count(connection, waiting)} | states


def _count(connection: TenantConnection, statement: Select[Any]) -> int:
    return int(connection.execute(statement).scalar_one())


def _family(connection: TenantConnection, incident_id: str) -> list[str]:
    """Return an incident and all that went on in it, over any number of merges."""
    family = [incident_id]
    at = 0
    while at < len(family):
        into = family[at : at + 500]
        at += len(into)
        merged = select(INCIDENTS.c.incident_id).where(connection.own(INCIDENTS), INCIDENTS.c.merged_into.in_(into))
        names = connection.execute(merged.order_by(INCIDENTS.c.incident_id)).scalars()
        family += [name for name in names if name not in family]
    return family


def _filtered(connection: TenantConnection, statement: Select[Any], incident_filter: IncidentFilter) -> Select[Any]:
    columns = INCIDENTS.c
    statement = statement.where(connection.own(INCIDENTS))
    if incident_filter.states:
        statement = statement.where(columns.state.in_([str(state) for state in incident_filter.states]))
    if incident_filter.services:
        named = INCIDENT_SERVICES.c.service.in_([key_text(service) for service in incident_filter.services])
        touched = select(INCIDENT_SERVICES.c.incident_id).where(connection.own(INCIDENT_SERVICES), named)
        statement = statement.where(columns.incident_id.in_(touched))
    if incident_filter.severity_at_least is not None:
        statement = statement.where(columns.severity >= int(incident_filter.severity_at_least))
    if incident_filter.since is not None:
        statement = statement.where(columns.opened_us >= microseconds_of(incident_filter.since))
    if incident_filter.until is not None:
        statement = statement.where(columns.opened_us < microseconds_of(incident_filter.until))
    if incident_filter.text:
        statement = statement.where(columns.words.like(f"%{_pattern(incident_filter.text.lower())}%", escape=_ESCAPE))
    return statement


def _pattern(text: str) -> str:
    """Return text in which LIKE finds no signs of its own, nor PostgreSQL a NUL."""
    for sign in (_ESCAPE, "%", "_"):
        text = text.replace(sign, _ESCAPE + sign)
    return without_nul(text)
