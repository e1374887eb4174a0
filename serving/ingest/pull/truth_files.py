"""Incidents, call edges and changes from files beside the telemetry, in the schemas' columns; empty where there are none.

A row that cannot be taken is left out with its reason; a file of which none can be taken is an error.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from aiops.errors import FileError
from data_contracts.schemas.telemetry_schemas import CHANGES, EDGES, INCIDENTS
from data_contracts.values.moments import moment_of_us
from serving.ingest.pull.change_payload import changes_of_file
from serving.ingest.pull.csv_blocks import Dialect
from serving.ingest.pull.source_options import SourceOptions, zone_of
from serving.ingest.pull.table_file import (
    PLAIN,
    Cells,
    RefusedRow,
    RowError,
    TimeReading,
    moment_of,
    name_of,
    open_table,
    text_of,
)
from serving.tables.changes import table_of_changes

_SHOWN: Final = 20
_AS_UTC: Final = TimeReading()


class _OpenIncident(RowError):
    """An incident that goes on: nothing is wrong with it, it is no label yet."""


@dataclass(frozen=True, slots=True)
class TruthTable:
    """Rows in a schema of `data_contracts.schemas.telemetry_schemas`, and why others were left out."""

    rows: pa.Table
    refused: tuple[RefusedRow, ...] = ()


class TruthFiles:
    """The files of a source's options `incidents`, `edges` and `changes`, each read when it is asked for."""

    def __init__(self, options: SourceOptions) -> None:
        self._options = options
        zone = UTC if options.time_zone is None else zone_of(options.time_zone)
        self._times = TimeReading(zone, options.time_format)
        self._remarks: dict[Path, tuple[str, ...]] = {}

    def incidents(self) -> pa.Table:
        """Return `schemas.INCIDENTS`; see `read_incidents`."""
        path = self._options.incidents
        return (
            INCIDENTS.empty_table()
            if path is None
            else self._kept(path, read_incidents(path, self._options.dialect, self._times))
        )

    def edges(self) -> pa.Table:
        """Return `schemas.EDGES`; see `read_edges`."""
        path = self._options.edges
        return EDGES.empty_table() if path is None else self._kept(path, read_edges(path, self._options.dialect, self._times))

    def changes(self) -> pa.Table:
        """Return `schemas.CHANGES`; see `change_payload.changes_of_file`."""
        path = self._options.changes
        if path is None:
            return CHANGES.empty_table()
        read = changes_of_file(path, moment_of_us(0), self._options.dialect)
        return self._kept(path, TruthTable(table_of_changes(read.events), read.refused))

    def remarks(self) -> tuple[str, ...]:
        """Return which rows of the files read so far were left out, a sentence each."""
        return tuple(text for texts in self._remarks.values() for text in texts)

    def _kept(self, path: Path, table: TruthTable) -> pa.Table:
        self._remarks[path] = tuple(remarks_of(path, table.refused))
        return table.rows


def remarks_of(path: Path, refused: Sequence[RefusedRow]) -> Iterable[str]:
    """Yield a sentence for each row left out, for the first 20 of them, and how many more there are."""
    for row in refused[:_SHOWN]:
        yield f"{path}: {_place(row)} is left out: {row.reason}"
    if len(refused) > _SHOWN:
        yield f"{path}: {len(refused) - _SHOWN:,} more rows are left out"


def read_incidents(path: Path, dialect: Dialect = PLAIN, times: TimeReading = _AS_UTC) -> TruthTable:
    """Return `schemas.INCIDENTS` from a CSV or Parquet file with service, starts_at and ends_at.

    Absent columns: incident_id = service and start, kind = unknown, onset_at = starts_at, known_at = ends_at. The same incident
    counts once; one that has not ended is no label yet.

    Raises:
        FileError: the file or a needed column cannot be read, or no row can be taken.
    """
    read = _taken(path, ("service", "starts_at", "ends_at"), dialect, lambda cells: _incident(cells, times))
    columns = {name: [row[name] for row in read.rows] for name in INCIDENTS.names}
    return TruthTable(pa.table(columns, schema=INCIDENTS).sort_by("starts_at"), read.refused)


def _incident(cells: Cells, times: TimeReading) -> dict[str, Any]:
    service, starts, ends = name_of(cells, "service"), _needed(cells, "starts_at", times), moment_of(cells, "ends_at", times)
    if ends is None:
        raise _OpenIncident(
            f"the incident of {service} goes on (ends_at is empty); it is a label when it is over: give it again then"
        )
    if ends <= starts:
        raise RowError(f"ends_at {_shown(ends)} is not after starts_at {_shown(starts)}; correct one of them")
    onset = moment_of(cells, "onset_at", times) or starts
    if onset > starts:
        raise RowError(f"onset_at {_shown(onset)} is after starts_at {_shown(starts)}; a cause begins no later: correct it")
    return {
        "incident_id": text_of(cells, "incident_id") or f"{service}-{starts.astimezone(UTC):%Y%m%dT%H%M%S}",
        "service": service,
        "kind": text_of(cells, "kind") or "unknown",
        "onset_at": onset,
        "starts_at": starts,
        "ends_at": ends,
        "known_at": moment_of(cells, "known_at", times) or ends,
    }


def read_edges(path: Path, dialect: Dialect = PLAIN, times: TimeReading = _AS_UTC) -> TruthTable:
    """Return `schemas.EDGES` from a CSV or Parquet file with caller and callee; valid_from is 1970 where it is absent.

    Optional: valid_to (an empty cell = still called) and weight; the origin of what it says is a table. A call that is there
    twice counts once.

    Raises:
        FileError: the file or a needed column cannot be read, or no row can be taken.
    """
    read = _taken(path, ("caller", "callee"), dialect, lambda cells: _edge(cells, times))
    names = ("caller", "callee", "valid_from", "valid_to", "weight")
    return TruthTable(edge_table({name: [row[name] for row in read.rows] for name in names}), read.refused)


def _edge(cells: Cells, times: TimeReading) -> dict[str, Any]:
    since, until = moment_of(cells, "valid_from", times) or moment_of_us(0), moment_of(cells, "valid_to", times)
    if until is not None and until <= since:
        raise RowError(f"valid_to {_shown(until)} is not after valid_from {_shown(since)}; correct one of them")
    weight = cells.get("weight")
    try:
        calls = None if weight is None else float(weight)
    except (TypeError, ValueError) as error:
        raise RowError(f"weight {str(weight)[:60]!r} is no number; give calls seen, or leave the cell empty") from error
    names = {"caller": name_of(cells, "caller"), "callee": name_of(cells, "callee")}
    return {**names, "valid_from": since, "valid_to": until, "weight": calls}


def edge_table(columns: Mapping[str, Any]) -> pa.Table:
    """Return `schemas.EDGES` from some of its columns, caller, callee and valid_from at least: a table's word, still called."""
    rows = len(columns["caller"])
    absent: dict[str, Any] = {name: pa.nulls(rows, EDGES.field(name).type) for name in EDGES.names}
    return pa.table({**absent, "origin": ["table"] * rows, **columns}, schema=EDGES)


def call_table(pairs: Sequence[tuple[str, str]]) -> pa.Table:
    """Return `schemas.EDGES` of (caller, callee) pairs that hold whenever one looks: since 1970."""
    callers, callees = [caller for caller, _ in pairs], [callee for _, callee in pairs]
    return edge_table({"caller": callers, "callee": callees, "valid_from": [moment_of_us(0)] * len(pairs)})


@dataclass(frozen=True, slots=True)
class _Read:
    rows: list[dict[str, Any]]
    refused: tuple[RefusedRow, ...]


def _taken(path: Path, needed: tuple[str, ...], dialect: Dialect, read: Callable[[Cells], dict[str, Any]]) -> _Read:
    file = open_table(path, needed, dialect)
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    refused: list[RefusedRow] = []
    wrong: list[RefusedRow] = []
    identities: set[str] = set()
    for number, cells in enumerate(file.rows(), 1):
        if not cells:
            continue
        try:
            row = read(cells)
            key = tuple(row.values())
            identity = row.get("incident_id")
            if key not in rows and identity in identities:
                raise RowError(f"incident_id {identity!r} was there before with other cells; give each incident an id of its own")
            identities |= {identity} if identity is not None else set()
            rows.setdefault(key, row)
        except RowError as error:
            refused.append(RefusedRow(number, str(error)))
            wrong += [] if isinstance(error, _OpenIncident) else refused[-1:]
    refused += [RefusedRow(0, f"{line[:60]!r} has not as many cells as the header") for line in file.cut_rows()]
    if wrong and not rows:
        raise FileError(f"{path}: no row can be taken; {wrong[0].reason} ({_place(wrong[0])})")
    return _Read(list(rows.values()), tuple(refused))


def _place(row: RefusedRow) -> str:
    return f"row {row.number}" if row.number else "a row"


def _needed(cells: Cells, column: str, times: TimeReading) -> datetime:
    moment = moment_of(cells, column, times)
    if moment is None:
        raise RowError(f"{column} is empty; every row needs one")
    return moment


def _shown(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
