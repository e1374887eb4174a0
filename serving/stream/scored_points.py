"""Points as they were scored get the names of their series: `NORMALISED_POINTS` and the catalogue become rows of the lake.

The catalogue of a tenant is what the lake's table `series` holds and what came on the stream since. A point whose series no
definition names is refused as `unknown_series` and goes to the rejected rows.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import IntArray
from data_contracts.schemas.telemetry_schemas import CODED_NAME, LAKE_TELEMETRY, TIMESTAMP
from data_contracts.telemetry.rejects import Refusal, rejected_batch, rows_as_json
from serving.stream import streams
from serving.stream.archived_stream import TenantRows

if TYPE_CHECKING:
    from serving.lake.port import Lake

NAMES: Final = ("service", "metric", "labels")
UNKNOWN: Final = Refusal(
    "unknown_series",
    "series_id",
    "no definition names this series: it comes again when a receiver announces its series, within AIOPS_INGEST__ANNOUNCE_S",
)
KEPT_S: Final = 86_400.0
"""After so long the names are read anew from the lake."""
_MOST_CHUNKS: Final = 12
"""Pieces of the catalogue between two mergers: names are copied O(log n) times."""


class NamesById:
    """Service, metric and labels of series by id; the first definition counts. Memory: the texts and 40 B a series."""

    def __init__(self) -> None:
        self._ids: IntArray = np.zeros(0, np.int64)
        self._rows: IntArray = np.zeros(0, np.int64)
        self._chunks: list[pa.Table] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def learn(self, definitions: pa.Table) -> None:
        """Remember rows with `series_id` and NAMES; ids that are known stay as they are."""
        given = definitions["series_id"].to_numpy().astype(np.int64, copy=False)
        ids, first = np.unique(given, return_index=True)
        is_new = self.rows_of(ids) < 0
        ids, first = ids[is_new], first[is_new]
        if not ids.size:
            return
        order = np.argsort(first)
        rows = np.empty(ids.size, np.int64)
        rows[order] = self._count + np.arange(ids.size)
        places = np.searchsorted(self._ids, ids)
        self._ids, self._rows = np.insert(self._ids, places, ids), np.insert(self._rows, places, rows)
        names = definitions.select(list(NAMES)).take(pa.array(first[order], pa.int64()))
        self._chunks.append(_coded(names))
        self._count += ids.size
        self._merge()

    def rows_of(self, ids: IntArray) -> IntArray:
        """Return (n,) numbers of rows, -1 where an id is not known."""
        if not self._ids.size:
            return np.full(len(ids), -1, np.int64)
        places = np.minimum(np.searchsorted(self._ids, ids), self._ids.size - 1)
        return np.where(self._ids[places] == ids, self._rows[places], -1)

    def names(self, rows: IntArray) -> pa.Table:
        """Return the names of rows that are known, in their order, texts coded."""
        starts = np.cumsum([0, *(chunk.num_rows for chunk in self._chunks)])
        owner = np.searchsorted(starts, rows, side="right") - 1
        order = np.argsort(owner, kind="stable")
        taken = [
            self._chunks[number].take(pa.array(rows[owner == number] - starts[number], pa.int64()))
            for number in np.unique(owner).tolist()
        ] or [self._chunks[0].slice(0, 0)]
        inverse = np.empty(len(order), np.int64)
        inverse[order] = np.arange(len(order))
        return pa.concat_tables(taken).unify_dictionaries().combine_chunks().take(pa.array(inverse, pa.int64()))

    def _merge(self) -> None:
        """Keep few chunks: the newest ones are merged while those before are not much longer."""
        while len(self._chunks) > _MOST_CHUNKS or (
            len(self._chunks) > 1 and self._chunks[-1].num_rows * 2 >= self._chunks[-2].num_rows
        ):
            last, before = self._chunks.pop(), self._chunks.pop()
            self._chunks.append(pa.concat_tables([before, last]).unify_dictionaries().combine_chunks())


def _coded(names: pa.Table) -> pa.Table:
    """Return names with services and metrics coded, for they repeat."""
    kinds = {"service": CODED_NAME, "metric": CODED_NAME, "labels": pa.large_string()}
    columns: dict[str, Any] = {name: names[name].cast(kind) for name, kind in kinds.items()}
    return pa.table(columns).combine_chunks()


class ScoredPoints:
    """Entries of `points:<p>` as rows of the lake, whosever they are."""

    def __init__(self, lake_of: "Callable[[str], Lake]", clock: Callable[[], float] = time.monotonic) -> None:
        self._lake_of = lake_of
        self._clock = clock
        self._names: dict[str, NamesById] = {}
        self._since_s = clock()

    def rows(self, entries: Sequence[streams.Entry]) -> list[TenantRows]:
        """Return what the entries of a part are in the lake: series, telemetry, and points that no series is known of."""
        self._let_go()
        definitions: dict[str, list[pa.Table]] = {}
        points: dict[str, list[pa.Table]] = {}
        for entry in entries:
            if entry.kind == streams.KIND_DEFINITIONS:
                definitions.setdefault(entry.tenant, []).append(streams.from_ipc(entry.payload))
            elif entry.kind == streams.KIND_POINTS:
                points.setdefault(entry.tenant, []).append(_dated(entry))
        parts = []
        for tenant, tables in definitions.items():
            rows = pa.concat_tables(tables)
            self._of(tenant).learn(rows)
            parts.append(TenantRows(tenant, "series", rows))
        for tenant, tables in points.items():
            parts += self._named(tenant, _in_turn(pa.concat_tables(tables)))
        return [part for part in parts if part.rows.num_rows]

    def _let_go(self) -> None:
        """Forget all names once a day: what was learned is in the lake by now, and what the lake has let go of is not held."""
        if self._clock() - self._since_s > KEPT_S:
            self._names.clear()
            self._since_s = self._clock()

    def _of(self, tenant: str) -> NamesById:
        if tenant not in self._names:
            self._names[tenant] = NamesById()
            self._read_lake(tenant)
        return self._names[tenant]

    def _read_lake(self, tenant: str) -> None:
        self._names[tenant].learn(self._lake_of(tenant).read("series", columns=["series_id", *NAMES]))

    def _named(self, tenant: str, points: pa.Table) -> list[TenantRows]:
        ids, code = np.unique(points["series_id"].to_numpy(), return_inverse=True)
        names = self._of(tenant)
        rows = names.rows_of(ids)
        if (rows < 0).any():
            self._read_lake(tenant)  # another archiver may have it
            rows = names.rows_of(ids)
        if (rows >= 0).all():
            return [TenantRows(tenant, "telemetry", _lake_rows(points, names.names(rows), code))]
        known = rows[code] >= 0
        parts = [TenantRows(tenant, "rejected", _rejected(points.filter(pa.array(~known))))]
        if known.any():
            place = np.cumsum(rows >= 0) - 1
            named = _lake_rows(points.filter(pa.array(known)), names.names(rows[rows >= 0]), place[code[known]])
            parts.append(TenantRows(tenant, "telemetry", named))
        return parts


def _dated(entry: streams.Entry) -> pa.Table:
    """Return the points of an entry with the time since which they are known."""
    points = streams.from_ipc(entry.payload)
    moment: Any = pa.scalar(entry.available_us or entry.produced_ns // 1000, pa.int64()).cast(TIMESTAMP)
    return points.append_column("available_at", pa.repeat(moment, points.num_rows))


def _in_turn(points: pa.Table) -> pa.Table:
    """Return points whose `available_at` tells in which order they came.

    A backfill takes what became known at once in order of time, as stage 1 does with what is in one entry. Of several entries of
    one moment, an entry that goes back in time is known a microsecond after the one before.
    """
    time_us = points["timestamp"].cast(pa.int64()).to_numpy()
    available_us = points["available_at"].cast(pa.int64()).to_numpy()
    goes_back = (available_us[1:] == available_us[:-1]) & (time_us[1:] < time_us[:-1])
    if not goes_back.any():
        return points
    steps = np.append(0, np.cumsum(goes_back))
    is_first = np.append(True, available_us[1:] != available_us[:-1])
    start = np.maximum.accumulate(np.where(is_first, np.arange(len(steps)), 0))
    turn_us = np.maximum.accumulate(available_us + steps - steps[start])
    column: Any = pa.array(turn_us, pa.int64()).cast(TIMESTAMP)
    return points.set_column(points.schema.get_field_index("available_at"), "available_at", column)


def _lake_rows(points: pa.Table, names: pa.Table, code: IntArray) -> pa.Table:
    """Return points with names, coded: `code` (n,) is the row in `names` of each."""
    codes = pa.array(code, pa.int32())
    columns: dict[str, Any] = {name: points[name] for name in ("timestamp", "series_id", "value", "available_at")}
    for name in NAMES:
        columns[name] = _coded_by(codes, names[name].combine_chunks())
    return pa.table({name: columns[name] for name in LAKE_TELEMETRY.names})


def _coded_by(codes: Any, texts: Any) -> Any:
    """Return (n,) texts, the one of `texts` that each code names, coded by the distinct ones."""
    if pa.types.is_dictionary(texts.type):
        return pa.DictionaryArray.from_arrays(texts.indices.take(codes), texts.dictionary)
    return pa.DictionaryArray.from_arrays(codes, texts.cast(pa.string()))


def _rejected(points: pa.Table) -> pa.Table:
    """Return points of no known series as rejected rows, refused when they became known."""
    parts = []
    moments: list[Any] = points["available_at"].unique().to_pylist()
    for moment in moments:
        part = points.filter(pc.equal(points["available_at"], pa.scalar(moment, TIMESTAMP)))
        columns: dict[str, Any] = {name: part[name].combine_chunks() for name in ("timestamp", "series_id", "value")}
        columns["series_id"] = columns["series_id"].cast(pa.string())  # a JSON number would lose digits
        rows = rows_as_json(columns, np.arange(part.num_rows))
        parts.append(rejected_batch(rows, [UNKNOWN] * len(rows), moment, "points"))
    return pa.Table.from_batches(parts)
