"""Retention: what closed long ago goes, a tenant's own, in short transactions; open incidents, the audit log and notes
stay. So do runs that have not ended."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, and_, delete, or_, select

from aiops.incidents.incident import IncidentState
from data_contracts.values.moments import microseconds_of
from serving.incidents.store.automation_tables import AUTOMATION_LINKS, AUTOMATION_RUNS
from serving.incidents.store.incident_tables import (
    ALERTS,
    EVENTS,
    INCIDENT_SERVICES,
    INCIDENTS,
    OUTBOX,
    REPORTS,
    SUPPRESSIONS,
    VERDICTS,
)
from serving.incidents.store.records import MessageState
from serving.incidents.store.tenant_connection import TenantConnection

EVENTS_KEPT: Final = 100_000
"""Newest events that are kept at most: those who watch are never further behind."""

_BATCH: Final = 200
_ROWS: Final = 2000

Transaction = Callable[[], AbstractContextManager[TenantConnection]]
Condition = Callable[[TenantConnection], ColumnElement[bool]]


def retain(transaction: Transaction, before: datetime, newest_event: int) -> int:
    """Drop what was over before a time; return how many incidents went.

    A merged incident goes after the one that it went on in, since its alerts belong there.
    """
    before_us = microseconds_of(before)
    columns, target = INCIDENTS.c, INCIDENTS.alias()
    old = columns.updated_us < before_us

    def merged(connection: TenantConnection) -> ColumnElement[bool]:
        goes_on = select(target.c.incident_id).where(connection.own(target), target.c.incident_id == columns.merged_into)
        return and_(columns.state == str(IncidentState.MERGED), old, ~goes_on.exists())

    def settled(connection: TenantConnection) -> ColumnElement[bool]:
        there = select(columns.incident_id).where(connection.own(INCIDENTS), columns.incident_id == OUTBOX.c.incident_id)
        return and_(OUTBOX.c.state != str(MessageState.PENDING), OUTBOX.c.due_us < before_us, ~there.exists())

    gone = _drop_incidents(transaction, lambda _: and_(columns.state == str(IncidentState.RESOLVED), old))
    gone += _drop_incidents(transaction, merged)
    _drop(transaction, OUTBOX.c.message_id, settled)
    decided = and_(ALERTS.c.incident_id == "", ALERTS.c.fate != "", ALERTS.c.received_us < before_us)
    _drop(transaction, ALERTS.c.alert_id, lambda _: decided)
    past = or_(EVENTS.c.at_us < before_us, EVENTS.c.seq <= newest_event - EVENTS_KEPT)
    _drop(transaction, EVENTS.c.seq, lambda _: past)
    _drop(transaction, AUTOMATION_RUNS.c.run_id, lambda _: AUTOMATION_RUNS.c.ended_us < before_us)
    _drop(transaction, AUTOMATION_LINKS.c.link_id, lambda _: AUTOMATION_LINKS.c.used_us < before_us)
    with transaction() as connection:
        connection.execute(delete(SUPPRESSIONS).where(connection.own(SUPPRESSIONS), SUPPRESSIONS.c.ends_us < before_us))
    return gone


def _drop_incidents(transaction: Transaction, over: Condition) -> int:
    gone = 0
    while True:
        with transaction() as connection:
            closed = select(INCIDENTS.c.incident_id).where(connection.own(INCIDENTS), over(connection)).limit(_BATCH)
            ids = connection.execute(closed).scalars().all()
        if not ids:
            return gone
        _drop(transaction, ALERTS.c.alert_id, _is_in(ALERTS.c.incident_id, ids))
        with transaction() as connection:
            gone += _drop_rows_of(connection, ids)


def _is_in(column: Column[Any], values: Sequence[str]) -> Condition:
    return lambda _: column.in_(values)


def _drop_rows_of(connection: TenantConnection, ids: Sequence[str]) -> int:
    for table in (REPORTS, VERDICTS, INCIDENT_SERVICES):
        connection.execute(delete(table).where(connection.own(table), table.c.incident_id.in_(ids)))
    return connection.execute(delete(INCIDENTS).where(connection.own(INCIDENTS), INCIDENTS.c.incident_id.in_(ids))).rowcount


def _drop(transaction: Transaction, key: Column[Any], over: Condition) -> None:
    """Drop rows of the key's table, some thousand in each transaction."""
    while True:
        with transaction() as connection:
            keys = connection.execute(select(key).where(connection.own(key.table), over(connection)).limit(_ROWS)).scalars().all()
            connection.execute(delete(key.table).where(connection.own(key.table), key.in_(keys)))
        if len(keys) < _ROWS:
            return
