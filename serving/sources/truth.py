"""Incidents, call edges and changes from files beside the telemetry, in the schemas' columns; empty where there are none."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from aiops.errors import SourceError, legible
from data_contracts.moments import moment_of_us
from data_contracts.schemas import CHANGES, EDGES, INCIDENTS, TIMESTAMP
from serving.change_payload import changes_of_file
from serving.changes import table_of_changes
from serving.sources.rows import read_epochs

_UNREADABLE = np.iinfo(np.int64).min


def read_incidents(path: Path | None) -> pa.Table:
    """Return `schemas.INCIDENTS` from a CSV or Parquet file with service, starts_at and ends_at.

    Absent columns: incident_id = service and start, kind = unknown, onset_at = starts_at, known_at = ends_at.

    Raises:
        SourceError: the file, a needed column or a cell cannot be read.
    """
    if path is None:
        return INCIDENTS.empty_table()
    table = _read(path, ("service", "starts_at", "ends_at"))
    starts, ends = _times(table, "starts_at", path), _times(table, "ends_at", path)
    services = _texts(table, "service", path)
    given = set(table.column_names)
    identity = [f"{service}-{at:%Y%m%dT%H%M%S}" for service, at in zip(services, starts.to_pylist(), strict=True)]
    columns: dict[str, Any] = {
        "incident_id": _texts(table, "incident_id", path) if "incident_id" in given else identity,
        "service": services,
        "kind": _texts(table, "kind", path) if "kind" in given else ["unknown"] * len(services),
        "onset_at": _times(table, "onset_at", path) if "onset_at" in given else starts,
        "starts_at": starts,
        "ends_at": ends,
        "known_at": _times(table, "known_at", path) if "known_at" in given else ends,
    }
    return pa.table(columns, schema=INCIDENTS).sort_by("starts_at")


def read_edges(path: Path | None) -> pa.Table:
    """Return `schemas.EDGES` from a CSV or Parquet file with caller and callee; valid_from is 1970 where it is absent.

    Optional: valid_to (an empty cell = still called) and weight; the origin of what it says is a table.

    Raises:
        SourceError: the file, a needed column or a cell cannot be read, or a call ends before it begins.
    """
    if path is None:
        return EDGES.empty_table()
    table = _read(path, ("caller", "callee"))
    since: Any = [moment_of_us(0)] * table.num_rows
    if "valid_from" in table.column_names:
        since = _times(table, "valid_from", path)
    rows: dict[str, Any] = {"caller": _texts(table, "caller", path), "callee": _texts(table, "callee", path)}
    rows["valid_from"] = since
    if "valid_to" in table.column_names:
        rows["valid_to"] = _times(table, "valid_to", path, optional=True)
        _check_order(since, rows["valid_to"], path)
    if "weight" in table.column_names:
        rows["weight"] = _weights(table, path)
    return edge_table(rows)


def read_change_log(path: Path | None) -> pa.Table:
    """Return `schemas.CHANGES` from a CSV, Parquet or JSON file with service and at; see `change_payload.changes_of_file`.

    Raises:
        SourceError: the file cannot be read.
        ContractError: a change lacks or breaks a field.
    """
    return CHANGES.empty_table() if path is None else table_of_changes(changes_of_file(path, moment_of_us(0)))


def edge_table(columns: Mapping[str, Any]) -> pa.Table:
    """Return `schemas.EDGES` from some of its columns, caller, callee and valid_from at least: a table's word, still called."""
    rows = len(columns["caller"])
    absent: dict[str, Any] = {name: pa.nulls(rows, EDGES.field(name).type) for name in EDGES.names}
    return pa.table({**absent, "origin": ["table"] * rows, **columns}, schema=EDGES)


def call_table(pairs: Sequence[tuple[str, str]]) -> pa.Table:
    """Return `schemas.EDGES` of (caller, callee) pairs that hold whenever one looks: since 1970."""
    callers, callees = [caller for caller, _ in pairs], [callee for _, callee in pairs]
    return edge_table({"caller": callers, "callee": callees, "valid_from": [moment_of_us(0)] * len(pairs)})


def _read(path: Path, needed: tuple[str, ...]) -> pa.Table:
    try:
        table = pyarrow.parquet.read_table(path) if path.suffix == ".parquet" else pyarrow.csv.read_csv(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(
            f"{path}: cannot be read as {path.suffix or 'CSV'}: {legible(error)}; give a CSV or Parquet file"
        ) from error
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise SourceError(f"{path}: no column {missing[0]!r}; it needs {', '.join(needed)}")
    return table


def _times(table: pa.Table, name: str, path: Path, optional: bool = False) -> "pa.Array[Any]":
    """Return the column as times; null where `optional` and the cell is empty."""
    cells = table[name].combine_chunks()
    empty = np.asarray(pc.is_in(cells.cast(pa.string()), pa.array(["", None], pa.string()))) & optional
    if empty.all():
        return pa.nulls(len(cells), TIMESTAMP)
    at = read_epochs(cells)
    unreadable = np.flatnonzero((at == _UNREADABLE) & ~empty)
    if len(unreadable):
        cell = table[name][int(unreadable[0])].as_py()
        raise SourceError(f"{path}: {name} {cell!r} in row {int(unreadable[0]) + 1} is no time; write ISO 8601 or epoch seconds")
    return pa.array(at, pa.int64(), mask=empty).cast(TIMESTAMP)


def _check_order(since: Any, until: "pa.Array[Any]", path: Path) -> None:
    backwards = pc.call_function("less_equal", [until, pa.array(since, TIMESTAMP)])
    row = pc.call_function("index", [backwards], pc.IndexOptions(pa.scalar(True))).as_py()
    if row >= 0:
        raise SourceError(f"{path}: valid_to {until[row].as_py():%Y-%m-%dT%H:%M:%SZ} in row {row + 1} is not after valid_from")


def _weights(table: pa.Table, path: Path) -> "pa.Array[Any]":
    try:
        return table["weight"].combine_chunks().cast(pa.float64())
    except pa.ArrowInvalid as error:
        raise SourceError(f"{path}: weight is no number ({legible(error)}); give calls seen, or leave the cell empty") from error


def _texts(table: pa.Table, name: str, path: Path) -> list[str]:
    texts = ["" if cell is None else str(cell) for cell in table[name].to_pylist()]
    if "" in texts:
        raise SourceError(f"{path}: {name} in row {texts.index('') + 1} is empty; every row needs one")
    return texts
