"""The incident database of all tenants: one connection pool, a store for each tenant, and who has anything at all in it."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import OperationalError

from aiops.errors import DiskFull, Unavailable
from data_contracts.series.tenant import checked_tenant
from serving.host.full_disk import LEAST_FREE, free_bytes
from serving.host.log_rate_limit import LineLimit
from serving.incidents.store.engine import BUSY_MS, address_of, answering, engine_of, reading_engine, writing_engine
from serving.incidents.store.incident_tables import DESK, INBOX, OUTBOX
from serving.incidents.store.memory_copy import MemoryCopy
from serving.incidents.store.migrate import migrate

_logger = logging.getLogger(__name__)
_lines = LineLimit(_logger)
BACK_EVERY_S: Final = 2.0
"""How often it is looked whether there is room again."""
MOST_TENANTS: Final = 10_000
"""Names that are listed at most."""


class IncidentDatabase:
    """One database, open. Thread-safe: reading in any number of threads, writing one at a time (PostgreSQL: one a tenant).

    Rows are reached by `IncidentStore`, which is one tenant's; only names of tenants are read here.

    With `memory_copy` a SQLite database goes on in memory while its disk is full: the write that finds no room fails, the next
    one, and all reading, is answered from a copy, until there is room again. For the one process that pages people.
    """

    def __init__(self, engine: Engine, memory_copy: bool = False) -> None:
        self._engine = engine
        self._may_copy = memory_copy and engine.dialect.name == "sqlite"
        self._memory_copy: MemoryCopy | None = None
        self._back_at_s = 0.0
        self._reads = reading_engine(engine)
        self._writes = writing_engine(engine)
        self._shared = threading.Lock()
        self._write_locks: dict[str, threading.Lock] = {}

    @classmethod
    def open(cls, url: str, memory_copy: bool = False) -> Self:
        """Open the database at a SQLAlchemy URL (SQLite file or PostgreSQL), made or brought to the newest schema.

        Raises:
            ConfigurationError: the URL cannot be used.
            Unavailable: the database does not answer.
            StateError: the database is damaged, or of a newer release.
        """
        database = cls(engine_of(url), memory_copy)
        try:
            with answering(database._engine):
                migrate(database._writes)
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        """Let go of all connections, after a last try to write what is in memory; do not use the database any more."""
        self.settle(at_once=True)
        if self._memory_copy is not None:
            _logger.error("what came since the disk of %s was full is lost: there is no room for it", address_of(self._engine))
            self._memory_copy.close()
        self._engine.dispose()

    @property
    def in_memory(self) -> bool:
        """Return whether the disk is full and the database goes on in memory."""
        return self._memory_copy is not None

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
        memory_copy = self._memory_copy
        if memory_copy is not None:
            with memory_copy.at_rest():
                if self._memory_copy is memory_copy:
                    with memory_copy.transaction() as connection:
                        yield connection
                    return
        with answering(self._engine), self._reads.begin() as connection:
            yield connection

    @contextmanager
    def writing(self, tenant: str) -> Iterator[Connection]:
        """Open a transaction that writes a tenant's rows, after those of this process that do so already.

        Raises:
            Unavailable: those before wait for a database that hangs.
        """
        write_lock = self._write_lock(tenant)
        if not write_lock.acquire(timeout=BUSY_MS / 1000):
            address = address_of(self._engine)
            rule = f"others of this process have waited to write for {BUSY_MS / 1000:g} s"
            raise Unavailable(f"incident store {address} does not answer: {rule}; try again, or check the database")
        try:
            self.settle()
            if self._memory_copy is not None:
                with self._memory_copy.transaction() as connection:
                    yield connection
            else:
                with answering(self._engine), self._writes.begin() as connection:
                    yield connection
        except DiskFull:
            self._go_on_in_memory()
            raise
        finally:
            write_lock.release()

    def is_writing(self, tenant: str) -> bool:
        """Return whether a transaction of this process writes a tenant's rows now (on SQLite: anybody's)."""
        return self._write_lock(tenant).locked()

    def settle(self, at_once: bool = False) -> None:
        """Go back to the file where there is room again; asked every two seconds at most, or `at_once`."""
        memory_copy = self._memory_copy
        if memory_copy is None or (not at_once and time.monotonic() < self._back_at_s):
            return
        self._back_at_s = time.monotonic() + BACK_EVERY_S
        if free_bytes(Path(str(self._engine.url.database)).parent) < LEAST_FREE:
            return
        with memory_copy.at_rest():
            try:
                memory_copy.write_back()
            except OperationalError as error:
                _lines.warn("back", f"incident store {address_of(self._engine)}: not written back yet: {error.orig}")
                return
            self._memory_copy = None
        _logger.warning("incident store %s: there is room again, all is written", address_of(self._engine))

    def _go_on_in_memory(self) -> None:
        """Go on in memory."""
        if not self._may_copy or self._memory_copy is not None:
            return
        try:
            self._memory_copy = MemoryCopy(self._engine)
        except OperationalError as error:
            _lines.warn("flee", f"incident store {address_of(self._engine)}: cannot go on in memory yet: {error.orig}")
            return
        _logger.error(
            "the disk of incident store %s is full: alerts, incidents and notifications go on in memory and are written when "
            "there is room; make some",
            address_of(self._engine),
        )

    def _write_lock(self, tenant: str) -> threading.Lock:
        """Return the lock of those who write: SQLite has one writer, PostgreSQL one a tenant."""
        if self._engine.dialect.name == "sqlite":
            return self._shared
        return self._write_locks.setdefault(checked_tenant(tenant), threading.Lock())
