"""Compaction: the files of a day that will hardly change any more become one; rows that lay in several lie in one.

Only tables whose writers never take rows back from a key are merged (`LakeTable.merged`); a key that its writer writes again
afterwards brings rows back that are stored already, which reading counts once and the next compaction removes.
"""

import time
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from serving.host.atomic_file import sweep
from serving.lake.day_files import PREFIX, counting_files, day_of, finish_all, locked, put_in_place
from serving.lake.lake_tables import LAKE_TABLES, LakeTable, evolved
from serving.lake.parquet_reading import RowQuery, retried, select
from serving.lake.parquet_writing import BATCH, DAY, staging, writer_of
from serving.lake.port import Compacted
from serving.lake.row_identity import each_once

SETTLED_S: Final = 1800.0
"""A file that its writer has not touched for so long will hardly be written again: a stream's part is open 15 minutes."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""What is merged at a time, which bounds memory; files of half of it stay as they are."""
_MERGED: Final = "-merged-"


def compact(folder: Path, least_files: int, settled_s: float = SETTLED_S) -> Compacted:
    """Merge what can be merged in all days that have `least_files` files or more, and end merges that a death cut short."""
    done = Compacted()
    sweep(staging(folder))
    for table, spec in LAKE_TABLES.items():
        for day in sorted((folder / table).glob("day=????-??-??")):
            with locked(folder, table, day_of(day)):
                finish_all(day)
                if spec.merged and len(counting_files(day)) >= least_files:
                    for files in _groups(day, settled_s):
                        done += retried(table, partial(_merge, folder, table, spec, files))
    return done


def _groups(day: Path, settled_s: float) -> Iterator[list[Path]]:
    """Yield files of one writer each, two or more, that are merged together; of all writers where nothing has to settle."""
    now, writers = time.time(), dict[str, list[Path]]()
    for path in counting_files(day):
        entry, key = path.stat(), path.stem.removeprefix(PREFIX)
        writer = key.partition("-")[0]
        settled = writer in (BATCH, DAY) or _MERGED in key or now - entry.st_mtime >= settled_s
        if settled and entry.st_size < MOST_BYTES // 2:
            writers.setdefault(writer if settled_s else "", []).append(path)
    for files in writers.values():
        group: list[Path] = []
        for path in files:
            if group and sum(member.stat().st_size for member in (*group, path)) > MOST_BYTES:
                yield from [group] if len(group) > 1 else []
                group = []
            group.append(path)
        yield from [group] if len(group) > 1 else []


def _merge(folder: Path, table: str, spec: LakeTable, files: Sequence[Path]) -> Compacted:
    names = list(spec.schema.names)
    rows = evolved(table, spec, names, select(files, RowQuery(names, spec.time)))
    once = each_once(spec, rows)
    writer = files[0].stem.removeprefix(PREFIX).partition("-")[0]
    target = files[0].with_name(f"{PREFIX}{writer}{_MERGED}{uuid.uuid4().hex[:16]}.parquet")
    put_in_place(staging(folder), target, files, writer_of(once))
    return Compacted(len(files), 1, rows.num_rows - once.num_rows)
