"""One way to reach the database: SQLite (write-ahead log, every commit on disk) or PostgreSQL, by SQLAlchemy URL."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from aiops.errors import ConfigurationError, DiskFull, StateError, Unavailable
from serving.host.full_disk import free_bytes

BUSY_MS: Final = 30_000
"""How long a writer waits for another one, both databases."""

_AGAIN_S: Final = 0.02
_NO_ROOM: Final = 1 << 20
"""Bytes: with less, what fails to be written fails for want of room."""
_PRIMARY: Final = 0xFF
"""The bits of SQLite's result codes that give the kind."""


def engine_of(url: str) -> Engine:
    """Return an engine that has not connected yet; the folder of a SQLite file is made.

    Raises:
        ConfigurationError: the URL cannot be used.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        assert parsed.database is not None
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, connect_args={"timeout": BUSY_MS / 1000})
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", begin_sqlite)
        return engine
    theirs = parsed.query.get("options", "")
    connect = {
        "options": f"-c lock_timeout={BUSY_MS} {theirs}".strip(),
        "connect_timeout": parsed.query.get("connect_timeout", "10"),
    }
    return create_engine(parsed, pool_pre_ping=True, executemany_mode="values_plus_batch", connect_args=connect)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(
            "responder.database_url is no SQLAlchemy URL; give sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise ConfigurationError(f"responder.database_url: {parsed.drivername!r} is not supported; use sqlite or postgresql")
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg2")
    if parsed.database in (None, "", ":memory:") or str(parsed.database).startswith("file:"):
        raise ConfigurationError("responder.database_url: SQLite needs a file that several processes share; give sqlite:///FILE")
    return parsed


def reading_engine(engine: Engine) -> Engine:
    """Return the engine on which all queries of one connection see the same state."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writing_engine(engine: Engine) -> Engine:
    """Return the engine whose transactions wait for the one writer's place (SQLite: BEGIN IMMEDIATE)."""
    return engine.execution_options(aiops_writes=True)


@contextmanager
def answering(engine: Engine) -> Iterator[None]:
    """Turn what the database does not answer into our errors; the address is shown without its password and options.

    Raises:
        DiskFull: there is no room for what is written.
        Unavailable: no connection, or another writer did not let go in time.
        StateError: the database is damaged, or not ours.
    """
    address = address_of(engine)
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        if _is_full(engine, error):
            raise DiskFull(f"incident store {address}: the disk is full; make room, nothing else is needed") from error
        reason = str(getattr(error, "orig", None) or error).strip()
        raise Unavailable(f"incident store {address} does not answer: {reason}; try again, or check the server") from error
    except DatabaseError as error:
        if type(error) is not DatabaseError:  # a kind of its own, such as a broken constraint: a mistake of the program
            raise
        reason = str(error.orig).strip()
        raise StateError(f"incident store {address}: {reason}; check the database, or restore a backup") from error


def address_of(engine: Engine) -> str:
    """Return the address of a database as it may be shown: its options may hold a password too."""
    return engine.url.set(query={}).render_as_string(hide_password=True)


def _is_full(engine: Engine, error: Exception) -> bool:
    """Return whether SQLite found no room; where its files cannot grow it also says that input and output fail."""
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", None)
    if code is None:
        return False
    if code & _PRIMARY == sqlite3.SQLITE_FULL:
        return True
    folder = Path(str(engine.url.database)).parent
    return code & _PRIMARY in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN) and free_bytes(folder) < _NO_ROOM


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transaction by itself: begin_sqlite does
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    _write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _write_ahead(cursor: sqlite3.Cursor) -> None:
    """Give a new database its write-ahead log; SQLite itself does not wait where another process is just doing so.

    Raises:
        sqlite3.OperationalError: the database stays locked.
    """
    until_s = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            if cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",):
                return
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY != sqlite3.SQLITE_BUSY or time.monotonic() > until_s:
                raise
        time.sleep(_AGAIN_S)


def begin_sqlite(connection: Connection) -> None:
    """Begin a transaction; one that writes takes the writer's place at once."""
    writes = connection.get_execution_options().get("aiops_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
