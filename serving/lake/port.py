"""The port of the lake: what everything outside this package may ask of it. A lake belongs to one tenant.

`Lakes` is the root that holds those of all tenants; it answers no query itself, so that none can be asked without a tenant.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Protocol

import pyarrow as pa

Rows = pa.Table | pa.RecordBatch


@dataclass(frozen=True, slots=True)
class Between:
    """Times with start <= time < end."""

    start: datetime
    end: datetime


Where = Mapping[str, Collection[str] | Collection[int] | Between]
"""Column: the texts, numbers or times that are wanted; every column must match. Row groups without them are not decoded."""


@dataclass(frozen=True, slots=True)
class Added:
    """What adding rows did: rows given = stored + present, exactly.

    `stored`: new, or in the place of a row of the same identity that was known earlier. `present`: the lake held the same row
    or one known later already, or the rows given held it.
    """

    stored: int = 0
    present: int = 0

    def __add__(self, other: "Added") -> "Added":
        return Added(self.stored + other.stored, self.present + other.present)


@dataclass(frozen=True, slots=True)
class Compacted:
    """What a compaction did: `files` became `into`, and `repeated` rows that were stored twice went."""

    files: int = 0
    into: int = 0
    repeated: int = 0

    def __add__(self, other: "Compacted") -> "Compacted":
        return Compacted(self.files + other.files, self.into + other.into, self.repeated + other.repeated)


class Lake(Protocol):
    """The tables of one tenant (`tables.LAKE_TABLES`). Any number of processes may read, write, compact and retain at once.

    A row of a table with an identity is read once, whatever files it lies in: of two, the one known later.
    """

    @property
    def tenant(self) -> str:
        """Return whose tables these are."""
        ...

    def add(self, table: str, rows: Rows) -> Added:
        """Keep rows of a table with an identity, each once; return what was new. Durable when it returns.

        The order, size and overlap of what is added at a time do not matter: the same rows give the same answers to `read`.

        Raises:
            ContractError: the rows do not fit the table's schema; the message names the difference.
            ConfigurationError: the table is unknown or has no identity.
        """
        ...

    def write(self, table: str, rows: Rows, key: str) -> int:
        """Write rows under `key`, replacing what the key held; return their number. Durable when it returns.

        For a writer that repeats itself after a crash. A table that is not partitioned is replaced as a whole, whatever the key.

        Raises:
            ContractError: the rows do not fit the table's schema; the message names the difference.
            ConfigurationError: the table is unknown or the key is no file name.
        """
        ...

    def replace(self, table: str, days: Collection[date], parts: Iterable[Rows]) -> int:
        """Put `parts` in the place of all that the days hold; return the rows written. A reader sees a day before or after.

        Raises:
            ContractError: the rows do not fit the table's schema or lie on other days.
            ConfigurationError: the table is unknown or not partitioned.
        """
        ...

    def read(
        self,
        table: str,
        start: datetime | None = None,
        end: datetime | None = None,
        columns: Sequence[str] | None = None,
        where: Where | None = None,
    ) -> pa.Table:
        """Return rows with start <= time < end and the wanted cells; an empty table where there are none.

        In order of time and identity where the table has one, else of day, key and writing. Only the days concerned are opened,
        and of these what the statistics of their row groups do not rule out. Columns default to all of the schema.

        Raises:
            ConfigurationError: the table or a column is unknown, or a time has no zone.
            StateError: a file is damaged.
        """
        ...

    def read_telemetry(self, start: datetime, end: datetime, services: Sequence[str]) -> pa.Table:
        """Return telemetry of some services with start <= timestamp < end: timestamp, names (dictionary-encoded), value.

        Raises:
            ConfigurationError: a time has no zone.
            StateError: a file is damaged.
        """
        ...

    def activity(self, start: datetime, end: datetime, recent: datetime) -> pa.Table:
        """Return a row a series that has telemetry with start <= timestamp < end, in any order.

        Columns: id, names, `oldest`, `newest` and `recent_points`, which counts the timestamps at `recent` or later.

        Raises:
            ConfigurationError: a time has no zone.
            StateError: a file is damaged.
        """
        ...

    def newest(self, table: str) -> datetime | None:
        """Return the time of the newest row, from the statistics of the newest day's files; None where there is none."""
        ...

    def days(self, table: str) -> list[date]:
        """Return the days that hold rows, ascending; none for a table that is not partitioned."""
        ...

    def keys(self, table: str, day: date) -> list[str]:
        """Return the keys that hold rows of a day, ascending."""
        ...

    def count(self, table: str) -> int:
        """Return the number of rows that `read` returns."""
        ...

    def version(self, table: str) -> str:
        """Return a word that changes with every change of a table that is replaced as a whole; empty while there is none."""
        ...

    def exclusive(self, table: str) -> AbstractContextManager[None]:
        """Wait for and hold the right to read, change and write a table; it goes with the process that holds it."""
        ...

    def folder(self, table: str) -> Path:
        """Return the folder of a table, for Feast, which opens Parquet by itself; nothing else may."""
        ...

    def retain(self, now: datetime, days: int, signals: bool = False) -> int:
        """Delete day partitions that ended `days` days before today or earlier; return how many. Labels and graph stay.

        `signals`: those of logs, spans and exemplars; else all others.

        Raises:
            ConfigurationError: `days` is below 1 or `now` has no zone.
        """
        ...

    def prune_series(self, newest: datetime, retention_days: int) -> int:
        """Take from the catalogue the series of which nothing is there and that nobody defines; return how many rows.

        Only what first came before the days that are kept is looked at; `newest` is the time of the newest telemetry.
        """
        ...

    def compact(self, least_files: int = 8, settled_s: float = 1800.0) -> Compacted:
        """Merge small files of the days that have `least_files` or more; rows that lie in several are kept once.

        Files written by key are left alone for `settled_s` seconds after their last change: they may be written again.

        A process that dies in between leaves nothing lost or doubled; the next call ends its work.
        """
        ...


class Lakes(Protocol):
    """The lakes of all tenants below one root."""

    @property
    def root(self) -> Path:
        """Return the folder that holds them; it may not exist yet."""
        ...

    def for_tenant(self, tenant: str) -> Lake:
        """Return the lake of a tenant; cheap.

        Raises:
            TenantError: no tenant was given, or the text is no name of one.
        """
        ...

    def tenants(self) -> tuple[str, ...]:
        """Return the tenants that have a lake, ascending."""
        ...
