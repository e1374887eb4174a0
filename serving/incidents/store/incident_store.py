"""The incident store of one tenant: alerts, incidents, analyses, verdicts, notifications and its audit log in a SQL database.

Any process may read and write it. Each change is one transaction that holds the desk's row; a commit is on disk when `writing`
returns. Delivery: what is committed survives kill -9 of any process, what is not leaves no trace.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final, Self, TypeVar

import msgspec
from sqlalchemy import select

from aiops.incidents.correlation.outcome import HeldBack
from aiops.incidents.correlation.suppression import MaintenanceWindow, Silence, Suppression
from aiops.incidents.incident import Incident
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.verdict import Verdict
from data_contracts.series.tenant import checked_tenant
from data_contracts.values.moments import moment_of_us
from serving.incidents.store import audit, incident_glances, incident_queries, retention
from serving.incidents.store.codec import text_of
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.incident_tables import DESK
from serving.incidents.store.records import (
    AuditCheck,
    AuditEntry,
    IncidentCase,
    IncidentFilter,
    IncidentGlance,
    IncidentSummary,
    OutboxMessage,
    Page,
    PageRequest,
    StoredAlert,
    StoreEvent,
)
from serving.incidents.store.store_writer import HELD_BACK, StoreWriter
from serving.incidents.store.tenant_connection import TenantConnection

Answer = TypeVar("Answer")


class IncidentStore:
    """What one tenant has in a database. Thread-safe as the database is.

    Every method raises `Unavailable` where the database does not answer, `StateError` where it is damaged.
    """

    def __init__(self, database: IncidentDatabase, tenant: str) -> None:
        """Bind a store to a tenant; closing it closes the database.

        Raises:
            TenantError: the name breaks the rule, or there is none.
        """
        self._database = database
        self.tenant: Final = checked_tenant(tenant)

    @classmethod
    def open(cls, url: str, tenant: str, memory_copy: bool = False) -> Self:
        """Open the database at a SQLAlchemy URL (SQLite file or PostgreSQL) for one tenant, which is all that is needed of it.

        Raises:
            ConfigurationError: the URL cannot be used.
            Unavailable: the database does not answer.
            StateError: the database is damaged, or of a newer release.
            TenantError: the name breaks the rule, or there is none.
        """
        checked_tenant(tenant)
        return cls(IncidentDatabase.open(url, memory_copy), tenant)

    @property
    def in_memory(self) -> bool:
        """Return whether the disk is full and the store goes on in memory (with `memory_copy` only)."""
        return self._database.in_memory

    @property
    def is_writing(self) -> bool:
        """Return whether a transaction of this process writes the tenant's rows now."""
        return self._database.is_writing(self.tenant)

    def close(self) -> None:
        """Let go of all connections of the database; do not use it any more."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def writing(self) -> Iterator[StoreWriter]:
        """Open one transaction, after all others; it is committed on leaving, or leaves no trace where something is raised."""
        with self._transaction() as connection:
            writer = StoreWriter(connection)
            yield writer
            writer.finish()

    def reading(self, ask: Callable[[TenantConnection], Answer]) -> Answer:
        """Return what a query gives, in one transaction that only reads; for tables of packages above."""
        return self._read(ask)

    def case(self, incident_id: str) -> IncidentCase:
        """Return all about one incident, named by its id or a unique beginning of it.

        Raises:
            ContractError: no incident, or several, are named so.
        """
        return self._read(lambda connection: incident_queries.case(connection, incident_id))

    def cases(self, incident_filter: IncidentFilter, request: PageRequest) -> Page[IncidentSummary]:
        """Return incidents in one line each, the last opened first.

        Raises:
            ContractError: the cursor is not one that a page gave.
        """
        return self._read(lambda connection: incident_queries.cases(connection, incident_filter, request))

    def glances(self, incident_ids: Sequence[str]) -> Mapping[str, IncidentGlance]:
        """Return what a list shows of incidents beside their lines, by id; at most 1,000 at once."""
        return self._read(lambda connection: incident_glances.glances(connection, incident_ids))

    def case_count(self, incident_filter: IncidentFilter) -> int:
        """Return how many incidents fit, on all pages together."""
        return self._read(lambda connection: incident_queries.case_count(connection, incident_filter))

    def incidents(self, incident_filter: IncidentFilter, request: PageRequest) -> Page[Incident]:
        """Return whole incidents, the last opened first.

        Raises:
            ContractError: the cursor is not one that a page gave.
        """
        return self._read(lambda connection: incident_queries.incidents(connection, incident_filter, request))

    def alerts(self, incident_id: str | None, request: PageRequest) -> Page[StoredAlert]:
        """Return alerts of an incident (and of those merged into it), None = all alerts; the last received first.

        Raises:
            ContractError: the incident is not known, or the cursor is not one that a page gave.
        """
        return self._read(lambda connection: incident_queries.alerts(connection, incident_id, request))

    def reports(self, incident_id: str) -> tuple[RootCauseReport, ...]:
        """Return all analyses of an incident, the oldest first.

        Raises:
            ContractError: the incident is not known.
        """
        return self._read(lambda connection: incident_queries.reports(connection, incident_id))

    def verdicts(self, since: datetime | None = None) -> tuple[Verdict, ...]:
        """Return verdicts given at or after a time, None = all; the oldest first."""
        return self._read(lambda connection: incident_queries.verdicts(connection, since))

    def audit(self, request: PageRequest) -> Page[AuditEntry]:
        """Return lines of the audit log, the newest first.

        Raises:
            ContractError: the cursor is not one that a page gave.
        """
        return self._read(lambda connection: incident_queries.audit_lines(connection, request))

    def verify_audit(self) -> AuditCheck:
        """Recompute the audit log's hash chain from its beginning."""
        return self._read(audit.check)

    def events_after(self, seq: int, limit: int) -> tuple[StoreEvent, ...]:
        """Return what changed after a sequence number, the oldest first; 0 = from the oldest that is kept."""
        return self._read(lambda connection: incident_queries.events_after(connection, seq, limit))

    def last_event_seq(self) -> int:
        """Return the sequence number of the newest event, 0 = there was none."""
        return self._read(lambda connection: incident_queries.desk_number(connection, "event_seq"))

    def due_messages(self, at: datetime, limit: int) -> tuple[OutboxMessage, ...]:
        """Return pending notifications that are due, the longest due first."""
        return self._read(lambda connection: incident_queries.due_messages(connection, at, limit))

    def pending_messages(self, channel: str, limit: int) -> tuple[OutboxMessage, ...]:
        """Return notifications of a channel that are not settled, due or not, the longest due first."""
        return self._read(lambda connection: incident_queries.pending_messages(connection, channel, limit))

    def messages(self, incident_id: str) -> tuple[OutboxMessage, ...]:
        """Return all notifications about an incident, by when they are due."""
        return self._read(lambda connection: incident_queries.messages(connection, incident_id))

    def silences(self) -> tuple[Silence, ...]:
        """Return all silences by name, past ones too."""
        return self.suppression().silences

    def maintenance_windows(self) -> tuple[MaintenanceWindow, ...]:
        """Return all maintenance windows by name, past ones too."""
        return self.suppression().windows

    def suppression(self) -> Suppression:
        """Return the silences and maintenance windows, as correlation takes it."""
        return self._read(incident_queries.suppression)

    def held_back(self) -> tuple[HeldBack, ...]:
        """Return what deserves a page and waits, the worst first."""
        return msgspec.convert(self.noted(HELD_BACK) or [], tuple[HeldBack, ...])

    def noted(self, key: str) -> Any:
        """Return the plain data that was kept under a name, None where there is none."""
        return self._read(lambda connection: incident_queries.noted(connection, key))

    def clock(self) -> datetime | None:
        """Return how far the desk's clock has come, None = it has seen no time yet."""
        at_us = self._read(lambda connection: incident_queries.desk_number(connection, "clock_us"))
        return moment_of_us(at_us) if at_us else None

    def retain(self, before: datetime) -> int:
        """Drop what closed before a time: incidents with all that belongs to them, suppressed alerts, past silences, old events.

        Returns how many incidents went. Open ones, the audit log and the notes stay. Many short transactions.
        """
        return retention.retain(self._transaction, before, self.last_event_seq())

    def counts(self) -> Mapping[str, int]:
        """Return rows by table, incidents by state, and `outbox_pending`."""
        return self._read(incident_queries.counts)

    @contextmanager
    def _transaction(self) -> Iterator[TenantConnection]:
        with self._database.writing(self.tenant) as plain:
            connection = TenantConnection(plain, self.tenant)
            held = select(DESK.c.seq).where(connection.own(DESK)).with_for_update()
            if connection.first(held) is None:
                connection.insert_missing(DESK, _first_row(self.tenant))
                connection.first(held)
            yield connection

    def _read(self, ask: Callable[[TenantConnection], Answer]) -> Answer:
        with self._database.reading() as connection:
            return ask(TenantConnection(connection, self.tenant))


def _first_row(tenant: str) -> dict[str, Any]:
    """Return the desk's row of a tenant that has nothing yet."""
    numbers = dict.fromkeys(("seq", "clock_us", "alert_seq", "inbox_seq", "event_seq", "audit_seq"), 0)
    return {**numbers, "offsets": text_of({}), "audit_digest": audit.beginning(tenant).digest}
