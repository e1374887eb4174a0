"""The layout of the lake on disk, and the way from that of 0.1 to today's. Only `opening` and `aiops migrate` need it.

Version 0.1 had no tenants: `<root>/<table>/day=…`. Its rows become the default tenant's, file by file: a file is written anew and
then removed, so that a process that dies in between leaves nothing lost; going on writes at most one file twice, which counts
once: rows of tables that only grow are added, the others keep the key of their file.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from aiops.errors import StateError
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.telemetry.v1 import rows_v2_of_v1
from serving.lake.day_files import PREFIX
from serving.lake.lake_tables import LAKE_TABLES, conformed, evolved
from serving.lake.port import Added, Lake

OF_SERIES: Final = frozenset({"telemetry", "series_features", "detections", "seasonal_bands", "series_character"})
"""Tables whose rows are about one series each: version 0.1 named it by service and a metric with the labels folded in."""
BY_CONTENT: Final = frozenset(name for name, table in LAKE_TABLES.items() if table.merged)
"""Tables whose writers only ever add rows."""


@dataclass(slots=True)
class Moved:
    """What a migration moved: files, rows read, and by table what became of them: rows = stored + present, exactly."""

    files: int = 0
    rows: int = 0
    tables: dict[str, Added] = field(default_factory=dict)

    @property
    def repeated(self) -> int:
        """Return rows that were stored twice, or that an interrupted migration had moved already."""
        return sum(added.present for added in self.tables.values())


def old_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield (table, file) of every file in the layout of 0.1, in the order of table, day and key."""
    for table in LAKE_TABLES:
        for path in sorted((root / table).rglob(f"{PREFIX}*.parquet")):
            yield table, path


def refuse_old(root: Path) -> None:
    """Refuse a lake of 0.1. One look at the folder.

    Raises:
        StateError: it has tables that belong to no tenant; the message names the command that moves them.
    """
    old = sorted(path.name for path in root.glob("*") if path.name in LAKE_TABLES)
    if old:
        raise StateError(f"the lake {root} was written by version 0.1 (tables {', '.join(old)}): run `aiops migrate` once")


def migrate(root: Path, lake: Lake, say: Callable[[str], None]) -> Moved:
    """Move a lake of 0.1 below `root` into `lake`, that of the default tenant; nothing where there is none. Repeatable.

    Raises:
        ContractError: rows do not fit today's schema; the file stays where it is.
        StateError: a file is damaged, or the counts do not add up.
    """
    moved = Moved()
    for table, path in old_files(root):
        rows = _rows(table, path)
        added = keep_rows(lake, table, rows, path)
        if added.stored + added.present != rows.num_rows:
            raise StateError(f"{path}: {rows.num_rows} rows became {added}; nothing was removed: report this")
        path.unlink()
        moved.files += 1
        moved.rows += rows.num_rows
        moved.tables[table] = moved.tables.get(table, Added()) + added
        if moved.files % 100 == 0:
            say(f"{moved.files:,} files moved, {moved.rows:,} rows")
    for leftover in (*(root / table for table in LAKE_TABLES), root / ".staging"):
        shutil.rmtree(leftover, ignore_errors=True)
    (root / ".edges.lock").unlink(missing_ok=True)
    return moved


def _rows(table: str, path: Path) -> pa.Table:
    """Return the rows of a file of 0.1 as today's schema has them."""
    spec = LAKE_TABLES[table]
    try:
        stored = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowException) as error:
        raise StateError(f"{path}: cannot be read ({error}); move it away to migrate the rest") from error
    if table in OF_SERIES and "labels" not in stored.column_names:
        stored = rows_v2_of_v1(spec.schema, stored, DEFAULT_TENANT)
    return conformed(table, spec, evolved(table, spec, spec.schema.names, stored))


def keep_rows(lake: Lake, table: str, rows: pa.Table, path: Path) -> Added:
    """Write the rows of a file of 0.1 into the lake: one by one where writers only add, else under the file's key.

    A corrected verdict finds the label that it replaces by its key.
    """
    if table in BY_CONTENT:
        return lake.add(table, rows)
    written = lake.write(table, rows, path.stem.removeprefix(PREFIX))
    return Added(written, rows.num_rows - written)
