"""The incident store: alerts, incidents, analyses, verdicts, notifications and the audit log in one SQL database.

Any process may read and write it. Each change is one transaction that holds the desk's row; a commit is on disk when `writing`
returns. Delivery: what is committed survives kill -9 of any process, what is not leaves no trace.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Self, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, select

from aiops.correlation.outcome import HeldBack
from aiops.correlation.suppression import MaintenanceWindow, Silence, Suppression
from aiops.errors import Unavailable
from aiops.incident import Incident
from aiops.root_cause import RootCauseReport
from aiops.verdict import Verdict
from data_contracts.moments import moment_of_us
from serving.incident_store import audit, reading, retention
from serving.incident_store.codec import plain_of
from serving.incident_store.engine import BUSY_MS, address_of, answering, engine_of, reading_engine, writing_engine
from serving.incident_store.migrate import migrate
from serving.incident_store.paging import page_of
from serving.incident_store.records import (
    AuditCheck,
    AuditEntry,
    IncidentCase,
    IncidentFilter,
    IncidentSummary,
    OutboxMessage,
    Page,
    PageRequest,
    StoredAlert,
    StoreEvent,
)
from serving.incident_store.rows import event_of, key_text
from serving.incident_store.tables import AUDIT, DESK, EVENTS, NOTES
from serving.incident_store.writer import HELD_BACK, StoreWriter

Answer = TypeVar("Answer")


class IncidentStore:
    """One database, open. Thread-safe: reading in any number of threads, writing one at a time.

    Every method raises `Unavailable` where the database does not answer, `StateError` where it is damaged.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reads = reading_engine(engine)
        self._writes = writing_engine(engine)
        self._turn = threading.Lock()

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the database at a SQLAlchemy URL (SQLite file or PostgreSQL), made or brought to the newest schema.

        Raises:
            ConfigurationError: the URL cannot be used.
            Unavailable: the database does not answer.
            StateError: the database is damaged, or of a newer release.
        """
        store = cls(engine_of(url))
        try:
            with answering(store._engine):
                migrate(store._writes)
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Let go of all connections; do not use the store any more."""
        self._engine.dispose()

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

    def case(self, incident_id: str) -> IncidentCase:
        """Return all about one incident, named by its id or a unique beginning of it.

        Raises:
            ContractError: no incident, or several, are named so.
        """
        return self._read(lambda connection: reading.case(connection, incident_id))

    def cases(self, wanted: IncidentFilter, request: PageRequest) -> Page[IncidentSummary]:
        """Return incidents in one line each, the last opened first.

        Raises:
            ContractError: the cursor is not one that a page gave.
        """
        return self._read(lambda connection: reading.cases(connection, wanted, request))

    def incidents(self, wanted: IncidentFilter, request: PageRequest) -> Page[Incident]:
        """Return whole incidents, the last opened first.

        Raises:
            ContractError: the cursor is not one that a page gave.
        """
        return self._read(lambda connection: reading.incidents(connection, wanted, request))

    def alerts(self, incident_id: str | None, request: PageRequest) -> Page[StoredAlert]:
        """Return alerts of an incident (and of those merged into it), None = all alerts; the last received first.

        Raises:
            ContractError: the incident is not known, or the cursor is not one that a page gave.
        """
        return self._read(lambda connection: reading.alerts(connection, incident_id, request))

    def reports(self, incident_id: str) -> tuple[RootCauseReport, ...]:
        """Return all analyses of an incident, the oldest first.

        Raises:
            ContractError: the incident is not known.
        """
        return self._read(lambda connection: reading.reports(connection, incident_id))

    def verdicts(self, since: datetime | None = None) -> tuple[Verdict, ...]:
        """Return verdicts given at or after a time, None = all; the oldest first."""
        return self._read(lambda connection: reading.verdicts(connection, since))

    def audit(self, request: PageRequest) -> Page[AuditEntry]:
        """Return lines of the audit log, the newest first.

        Raises:
            ContractError: the cursor is not one that a page gave.
        """
        return self._read(lambda connection: page_of(connection, select(AUDIT), (AUDIT.c.seq,), request, audit.entry_of))

    def verify_audit(self) -> AuditCheck:
        """Recompute the audit log's hash chain from its beginning."""
        return self._read(audit.check)

    def events_after(self, seq: int, limit: int) -> tuple[StoreEvent, ...]:
        """Return what changed after a sequence number, the oldest first; 0 = from the oldest that is kept."""
        statement = select(EVENTS).where(EVENTS.c.seq > seq).order_by(EVENTS.c.seq).limit(limit)
        return self._read(lambda connection: tuple(event_of(row) for row in connection.execute(statement)))

    def last_event_seq(self) -> int:
        """Return the sequence number of the newest event, 0 = there was none."""
        return self._read(lambda connection: int(connection.execute(select(DESK.c.event_seq)).scalar_one()))

    def due_messages(self, at: datetime, limit: int) -> tuple[OutboxMessage, ...]:
        """Return pending notifications that are due, the longest due first."""
        return self._read(lambda connection: reading.due_messages(connection, at, limit))

    def pending_messages(self, channel: str, limit: int) -> tuple[OutboxMessage, ...]:
        """Return notifications of a channel that are not settled, due or not, the longest due first."""
        return self._read(lambda connection: reading.pending_messages(connection, channel, limit))

    def messages(self, incident_id: str) -> tuple[OutboxMessage, ...]:
        """Return all notifications about an incident, by when they are due."""
        return self._read(lambda connection: reading.messages(connection, incident_id))

    def silences(self) -> tuple[Silence, ...]:
        """Return all silences by name, past ones too."""
        return self.suppression().silences

    def maintenance_windows(self) -> tuple[MaintenanceWindow, ...]:
        """Return all maintenance windows by name, past ones too."""
        return self.suppression().windows

    def suppression(self) -> Suppression:
        """Return all that is not to be heard, as correlation takes it."""
        return self._read(reading.suppression)

    def held_back(self) -> tuple[HeldBack, ...]:
        """Return what deserves a page and waits, the worst first."""
        return msgspec.convert(self.noted(HELD_BACK) or [], tuple[HeldBack, ...])

    def noted(self, key: str) -> Any:
        """Return the plain data that was kept under a name, None where there is none."""
        statement = select(NOTES.c.value).where(NOTES.c.key == key_text(key))
        text = self._read(lambda connection: connection.execute(statement).scalar())
        return None if text is None else plain_of(text)

    def clock(self) -> datetime | None:
        """Return how far the desk's clock has come, None = it has seen no time yet."""
        at_us = self._read(lambda connection: int(connection.execute(select(DESK.c.clock_us)).scalar_one()))
        return moment_of_us(at_us) if at_us else None

    def retain(self, before: datetime) -> int:
        """Drop what closed before a time: incidents with all that belongs to them, suppressed alerts, past silences, old events.

        Returns how many incidents went. Open ones, the audit log and the notes stay. Many short transactions.
        """
        return retention.retain(self._transaction, before, self.last_event_seq())

    def counts(self) -> Mapping[str, int]:
        """Return rows by table, incidents by state, and `outbox_pending`."""
        return self._read(reading.counts)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._my_turn(), answering(self._engine), self._writes.begin() as connection:
            connection.execute(select(DESK.c.id).with_for_update())
            yield connection

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        """Be the one writer of this process; not for ever, where those before wait for a database that hangs."""
        if not self._turn.acquire(timeout=BUSY_MS / 1000):
            address = address_of(self._engine)
            rule = f"others of this process have waited to write for {BUSY_MS / 1000:g} s"
            raise Unavailable(f"incident store {address} does not answer: {rule}; try again, or check the database")
        try:
            yield
        finally:
            self._turn.release()

    def _read(self, ask: Callable[[Connection], Answer]) -> Answer:
        with answering(self._engine), self._reads.begin() as connection:
            return ask(connection)
