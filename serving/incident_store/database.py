"""The incident database of all tenants: one connection pool, a store for each tenant, and who has anything at all in it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Self

from sqlalchemy import Connection, Engine, select

from aiops.errors import Unavailable
from data_contracts.series.tenant import checked_tenant
from serving.incident_store.engine import BUSY_MS, address_of, answering, engine_of, reading_engine, writing_engine
from serving.incident_store.migrate import migrate
from serving.incident_store.tables import DESK, INBOX, OUTBOX

MOST_TENANTS: Final = 10_000
"""Names that are listed at most."""


class IncidentDatabase:
    """One database, open. Thread-safe: reading in any number of threads, writing one at a time (PostgreSQL: one a tenant).

    Rows are reached by `IncidentStore`, which is one tenant's; only names of tenants are told from here.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reads = reading_engine(engine)
        self._writes = writing_engine(engine)
        self._shared = threading.Lock()
        self._turns: dict[str, threading.Lock] = {}

    @classmethod
    def open(cls, url: str) -> Self:
        """Open the database at a SQLAlchemy URL (SQLite file or PostgreSQL), made or brought to the newest schema.

        Raises:
            ConfigurationError: the URL cannot be used.
            Unavailable: the database does not answer.
            StateError: the database is damaged, or of a newer release.
        """
        database = cls(engine_of(url))
        try:
            with answering(database._engine):
                migrate(database._writes)
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Let go of all connections; do not use the database any more."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tenants(self) -> tuple[str, ...]:
        """Return the tenants that have anything, by name."""
        with self.reading() as connection:
            names = select(DESK.c.tenant).union(select(INBOX.c.tenant)).limit(MOST_TENANTS)
            return tuple(sorted(connection.execute(names).scalars()))

    def waiting(self) -> frozenset[str]:
        """Return the tenants with alerts in their inbox."""
        with self.reading() as connection:
            return frozenset(connection.execute(select(INBOX.c.tenant).distinct().limit(MOST_TENANTS)).scalars())

    def notifying(self) -> frozenset[str]:
        """Return the tenants with notifications that are not settled."""
        with self.reading() as connection:
            pending = select(OUTBOX.c.tenant).where(OUTBOX.c.state == "pending").distinct().limit(MOST_TENANTS)
            return frozenset(connection.execute(pending).scalars())

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that only reads; all its queries see the same state."""
        with answering(self._engine), self._reads.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, tenant: str) -> Iterator[Connection]:
        """Open a transaction that writes a tenant's rows, after those of this process that do so already.

        Raises:
            Unavailable: those before wait for a database that hangs.
        """
        turn = self._turn(tenant)
        if not turn.acquire(timeout=BUSY_MS / 1000):
            address = address_of(self._engine)
            rule = f"others of this process have waited to write for {BUSY_MS / 1000:g} s"
            raise Unavailable(f"incident store {address} does not answer: {rule}; try again, or check the database")
        try:
            with answering(self._engine), self._writes.begin() as connection:
                yield connection
        finally:
            turn.release()

    def _turn(self, tenant: str) -> threading.Lock:
        """Return the lock of those who write: SQLite has one writer, PostgreSQL one a tenant."""
        if self._engine.dialect.name == "sqlite":
            return self._shared
        return self._turns.setdefault(checked_tenant(tenant), threading.Lock())
