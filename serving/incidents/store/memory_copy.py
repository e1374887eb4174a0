"""A SQLite database goes on in memory while its disk is full, and what changed there is written back when there is room.

Copied are all open incidents and what is newest of the rest, so memory is bounded (about 150 MB at most). The file stays locked
for other writers meanwhile: they wait, and read what was there before. Writing back is one transaction: all of it or none. What
is only in memory is lost where the process is killed before that; the broker, and senders that repeat, bring most of it again
under the same ids. A notification that is sent again has the same key, by which receivers recognise repetitions.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Column, Connection, Engine, Select, Table, create_engine, delete, event, or_, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.pool import StaticPool

from serving.incidents.store.automation_tables import AUTOMATION_RUNS
from serving.incidents.store.engine import begin_sqlite, writing_engine
from serving.incidents.store.incident_tables import ALERTS, AUDIT, DESK, EVENTS, INCIDENTS, METADATA, REPORTS

_CLOSED: Final = ("resolved", "merged")
_NEWEST: Final[Mapping[str, tuple[Column[Any], int]]] = {
    ALERTS.name: (ALERTS.c.seq, 50_000),
    AUDIT.name: (AUDIT.c.seq, 2_000),
    EVENTS.name: (EVENTS.c.seq, 10_000),
    INCIDENTS.name: (INCIDENTS.c.updated_us, 2_000),
    REPORTS.name: (REPORTS.c.made_us, 2_000),
    AUTOMATION_RUNS.name: (AUTOMATION_RUNS.c.made_us, 2_000),
}
"""What a table is ordered by, and how many of its newest rows are copied; all rows of other tables."""
_BATCH: Final = 500

_Rows = dict[tuple[Any, ...], int]


class MemoryCopy:
    """One database in memory. Thread-safe: one transaction at a time; a thread that writes may read what it wrote."""

    def __init__(self, file: Engine) -> None:
        """Lock the file for other writers and copy it.

        Raises:
            sqlalchemy.exc.OperationalError: another writer does not let go, or the file cannot be read.
        """
        self._file = writing_engine(file)
        self._memory = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        event.listen(self._memory, "connect", _by_hand)
        event.listen(self._memory, "begin", begin_sqlite)
        self._lock = threading.RLock()
        self._inside: Connection | None = None
        self._held: Connection = self._file.connect()
        try:
            self._held.begin()
            with self._memory.begin() as memory:
                METADATA.create_all(memory)
                self._known = {table.name: _copied(self._held, memory, table) for table in METADATA.sorted_tables}
            self._desks = self._desk_rows()
        except BaseException:
            self._held.close()
            self._memory.dispose()
            raise

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Open a transaction on the copy; within one of the same thread, it is that one."""
        with self._lock:
            if self._inside is not None:
                yield self._inside
                return
            with self._memory.begin() as connection:
                self._inside = connection
                try:
                    yield connection
                finally:
                    self._inside = None

    @contextmanager
    def at_rest(self) -> Iterator[None]:
        """Hold off all transactions."""
        with self._lock:
            yield

    def write_back(self) -> None:
        """Write what changed into the file and let other writers in again.

        Raises:
            sqlalchemy.exc.OperationalError: there is no room yet; the copy goes on, and so does the lock on the file.
        """
        try:
            with self.transaction() as memory:
                moved = self._desk_rows() != self._desks
                for table in METADATA.sorted_tables:
                    if not (moved and table in (DESK, AUDIT, EVENTS)):  # numbered by another writer meanwhile: theirs stay
                        _merge(self._held, memory, table, self._known[table.name])
            self._held.commit()
        except BaseException:
            self._held.rollback()
            self._held.begin()
            raise
        self.close()

    def close(self) -> None:
        """Let go of the file and of the memory."""
        self._held.close()
        self._memory.dispose()

    def _desk_rows(self) -> list[tuple[Any, ...]]:
        return sorted(tuple(row) for row in self._held.execute(select(DESK)))


def _by_hand(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where ours do


def _wanted(table: Table) -> Select[Any]:
    """Return the query of the rows that are copied."""
    if table.name not in _NEWEST:
        return select(table)
    order, limit = _NEWEST[table.name]
    newest = select(order).order_by(order.desc()).offset(limit).limit(1).scalar_subquery()
    recent = or_(newest.is_(None), order > newest)
    return select(table).where(or_(recent, table.c.state.not_in(_CLOSED)) if table is INCIDENTS else recent)


def _copied(file: Connection, memory: Connection, table: Table) -> _Rows:
    """Copy a table and return a hash of each row by its key."""
    known: _Rows = {}
    for rows in file.execute(_wanted(table)).partitions(_BATCH):
        memory.execute(table.insert(), [row._asdict() for row in rows])
        known |= {_key(table, row): hash(tuple(row)) for row in rows}
    return known


def _key(table: Table, row: Any) -> tuple[Any, ...]:
    return tuple(row._mapping[column] for column in table.primary_key.columns)


def _merge(file: Connection, memory: Connection, table: Table, known: _Rows) -> None:
    """Bring the file's table to what the copy has of it: new and changed rows are written, those that went are deleted."""
    there: set[tuple[Any, ...]] = set()
    names = [column.name for column in table.primary_key.columns]
    statement = insert(table)
    others = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in names}
    upsert = statement.on_conflict_do_update(index_elements=names, set_=others) if others else statement.on_conflict_do_nothing()
    for rows in memory.execute(select(table)).partitions(_BATCH):
        there.update(_key(table, row) for row in rows)
        changed = [row._asdict() for row in rows if known.get(_key(table, row)) != hash(tuple(row))]
        if changed:
            file.execute(upsert, changed)
    for key in known.keys() - there:
        same = [column == value for column, value in zip(table.primary_key.columns, key, strict=True)]
        file.execute(delete(table).where(*same))
