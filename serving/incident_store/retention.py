"""Retention: what closed long ago goes, in short transactions; open incidents, the audit log and notes stay."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Connection, and_, delete, or_, select

from aiops.incident import IncidentState
from data_contracts.moments import microseconds_of
from serving.incident_store.records import MessageState
from serving.incident_store.tables import ALERTS, EVENTS, INCIDENT_SERVICES, INCIDENTS, OUTBOX, REPORTS, SUPPRESSIONS, VERDICTS

EVENTS_KEPT: Final = 100_000
"""Newest events that are kept at most: those who watch are never further behind."""

_BATCH: Final = 200
_ROWS: Final = 2000

Transaction = Callable[[], AbstractContextManager[Connection]]


def retain(transaction: Transaction, before: datetime, newest_event: int) -> int:
    """Drop what was over before a time; return how many incidents went.

    A merged incident goes after the one that it went on in, since its alerts belong there.
    """
    before_us = microseconds_of(before)
    columns, target = INCIDENTS.c, INCIDENTS.alias()
    goes_on = select(target.c.incident_id).where(target.c.incident_id == columns.merged_into).exists()
    old = columns.updated_us < before_us
    gone = _drop_incidents(transaction, and_(columns.state == str(IncidentState.RESOLVED), old))
    gone += _drop_incidents(transaction, and_(columns.state == str(IncidentState.MERGED), old, ~goes_on))
    there = select(columns.incident_id).where(columns.incident_id == OUTBOX.c.incident_id).exists()
    settled = and_(OUTBOX.c.state != str(MessageState.PENDING), OUTBOX.c.due_us < before_us, ~there)
    _drop(transaction, OUTBOX.c.message_id, settled)
    decided = and_(ALERTS.c.incident_id == "", ALERTS.c.fate != "", ALERTS.c.received_us < before_us)
    _drop(transaction, ALERTS.c.alert_id, decided)
    _drop(transaction, EVENTS.c.seq, or_(EVENTS.c.at_us < before_us, EVENTS.c.seq <= newest_event - EVENTS_KEPT))
    with transaction() as connection:
        connection.execute(delete(SUPPRESSIONS).where(SUPPRESSIONS.c.ends_us < before_us))
    return gone


def _drop_incidents(transaction: Transaction, over: ColumnElement[bool]) -> int:
    gone = 0
    while True:
        with transaction() as connection:
            ids = connection.execute(select(INCIDENTS.c.incident_id).where(over).limit(_BATCH)).scalars().all()
        if not ids:
            return gone
        _drop(transaction, ALERTS.c.alert_id, ALERTS.c.incident_id.in_(ids))
        with transaction() as connection:
            gone += _drop_rows_of(connection, ids)


def _drop_rows_of(connection: Connection, ids: Sequence[str]) -> int:
    for table in (REPORTS, VERDICTS, INCIDENT_SERVICES):
        connection.execute(delete(table).where(table.c.incident_id.in_(ids)))
    return connection.execute(delete(INCIDENTS).where(INCIDENTS.c.incident_id.in_(ids))).rowcount


def _drop(transaction: Transaction, key: Column[Any], over: ColumnElement[bool]) -> None:
    """Drop rows of the key's table, some thousand in each transaction."""
    while True:
        with transaction() as connection:
            keys = connection.execute(select(key).where(over).limit(_ROWS)).scalars().all()
            connection.execute(delete(key.table).where(key.in_(keys)))
        if len(keys) < _ROWS:
            return
