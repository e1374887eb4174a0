"""What one partition knows of a tenant's services at the ticks that it closed: partial sums, and the worst points.

As rows of `PARTIALS` it goes to the partition where the services of the tenant are added up. The schema's metadata says which
partition it is of, up to which tick that has closed, and which version of tier 1 judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aiops.detection.candidates import POINT_FIGURES, POINT_NAMES, as_array, point_columns
from aiops.detection.held_points import HELD
from aiops.detection.worst_point import Finding
from aiops.detection.worst_points_by_service import TakenPoints
from aiops.features.feature_rows import TickBlocks
from aiops.features.partial_sums import BEFORE_FARTHEST, PARTIAL_WIDTH, whole_sums
from aiops.types import IntArray
from data_contracts.schemas.arrow_columns import column, table
from data_contracts.schemas.telemetry_schemas import CANDIDATES, TIMESTAMP
from data_contracts.series.series_name import SeriesName
from data_contracts.values.coerce import whole

_SERVICE: Final = pa.dictionary(pa.int32(), pa.string())
_POINT: Final = (*POINT_NAMES, *POINT_FIGURES, "point_timestamp", "finding", "certain")
POINT_COLUMNS: Final = (
    column("severity", pa.float64(), nullable=True, meaning="of the service's worst point here; null = none that is asked about"),
    column("weight", pa.float64(), nullable=True, meaning="of that point, see aiops.features.straying; null = as `severity`"),
    *(CANDIDATES.field(name) for name in _POINT),
)
PARTIALS: Final = table(
    "service_partials",
    2,
    column("event_timestamp", TIMESTAMP, meaning="the tick"),
    column("available_at", TIMESTAMP, meaning="when the partition could close the tick"),
    column("service", _SERVICE),
    column("sums", pa.list_(pa.float64(), PARTIAL_WIDTH), meaning="see aiops.features.partial_sums"),
    *POINT_COLUMNS,
)
_PART, _CLOSED, _VERSION = b"part", b"closed_us", b"tier1_version"


@dataclass(frozen=True, slots=True)
class ServicePartials:
    """Ticks that a partition closed, as partial sums of services that are numbers among the names; `worst`: one point a row.

    All ticks up to `closed_us` are closed. `tier1_version` is that of the alarm levels in force.
    """

    ticks: TickBlocks
    service_names: Sequence[str]
    worst: TakenPoints
    closed_us: int
    tier1_version: str


@dataclass(frozen=True, slots=True)
class PartPartials:
    """Partial sums and the number of the partition that they are of."""

    part: int
    partials: ServicePartials


def partial_rows(given: PartPartials) -> pa.RecordBatch:
    """Return partial sums as rows of `PARTIALS`."""
    partials = given.partials
    ticks, worst = partials.ticks, partials.worst
    sums = np.concatenate([np.zeros((0, PARTIAL_WIDTH)), *ticks.features])
    numbers, names = _used(ticks.all_numbers(), partials.service_names)
    columns: dict[str, Any] = {
        "service": pa.DictionaryArray.from_arrays(pa.array(numbers, pa.int32()), pa.array(names, pa.string())),
        "sums": pa.FixedSizeListArray.from_arrays(pa.array(sums.reshape(-1)), PARTIAL_WIDTH),
        **rank_columns(worst),
        **point_columns([worst]),
    }
    columns["event_timestamp"], columns["available_at"] = ticks.times()
    arrays = [as_array(columns[field.name], field.type) for field in PARTIALS]
    said = {_PART: str(given.part), _CLOSED: str(partials.closed_us), _VERSION: partials.tier1_version}
    return pa.RecordBatch.from_arrays(arrays, schema=PARTIALS.with_metadata({**(PARTIALS.metadata or {}), **said}))


def partials_of(rows: pa.Table) -> PartPartials:
    """Return what `partial_rows` was given.

    Raises:
        KeyError, ValueError: the rows are not of that kind.
    """
    said = rows.schema.metadata or {}
    rows = _weighed(_whole(rows))
    if not rows.schema.equals(PARTIALS):
        raise ValueError(f"partial sums have columns {rows.schema.names}, not those of schema {PARTIALS.names}")
    batch = rows.combine_chunks()
    service: Any = batch["service"].combine_chunks()
    numbers = service.indices.to_numpy().astype(np.int32)
    tick, available = (batch[name].cast(pa.int64()).to_numpy() for name in ("event_timestamp", "available_at"))
    sums = _flat(batch["sums"]).reshape(-1, PARTIAL_WIDTH)
    cuts = [*np.flatnonzero(np.diff(tick, prepend=tick[:1] - 1)).tolist(), tick.size]
    ticks = TickBlocks()
    for first, end in pairwise(cuts):
        ticks.add(int(tick[first]), int(available[first]), sums[first:end], numbers[first:end])
    names = [str(name) for name in service.dictionary.to_pylist()]
    partials = ServicePartials(ticks, names, worst_of_rows(batch), int(said[_CLOSED]), said[_VERSION].decode())
    return PartPartials(int(said[_PART]), partials)


def worst_of_rows(batch: pa.Table) -> TakenPoints:
    """Return the worst points of rows with the columns service, severity and those of a candidate's point."""
    known = np.asarray(batch["severity"].is_valid().to_numpy(), np.bool_)
    held = np.zeros(batch.num_rows, HELD)
    batch = _weighed(batch)
    for name in (*POINT_FIGURES, "severity", "weight"):
        held[name] = batch[name].to_numpy()
    timestamp_us: Any = batch["point_timestamp"].cast(pa.int64())
    held["timestamp_us"] = pc.fill_null(timestamp_us, 0).to_numpy()
    held["slot"], held["finding"] = np.arange(batch.num_rows), -1
    findings: dict[int, Finding] = {}
    for row in np.flatnonzero(known).tolist():
        words = batch["finding"][row].as_py()
        if words:
            findings[row] = Finding(words, bool(batch["certain"][row].as_py()))
            held["finding"][row] = row

    return TakenPoints(known, held, _RowNames(batch), findings)


@dataclass(frozen=True, slots=True)
class _RowNames:
    """Series by the number of their row."""

    rows: pa.Table

    def name_of(self, number: int) -> SeriesName:
        """Return the series of a row."""
        return SeriesName(*(self.rows[name][number].as_py() for name in SeriesName._fields))

    def columns_of(self, numbers: IntArray, known: npt.NDArray[np.bool_]) -> "list[pa.Array[Any]]":
        """Return columns series_id, metric and labels of rows (n,), null where they are not `known`."""
        places: Any = pa.array(numbers, mask=~known)
        chosen = self.rows.select(POINT_NAMES).take(places).combine_chunks()
        return [whole(column) for column in chosen.columns]


def rank_columns(points: TakenPoints) -> dict[str, Any]:
    """Return the columns that say which of several worst points counts; null where there is none."""
    unknown = ~points.known
    return {name: pa.array(np.ascontiguousarray(points.held[name]), mask=unknown) for name in ("severity", "weight")}


def _weighed(rows: pa.Table) -> pa.Table:
    """Return rows of before there were weights with those of calm series."""
    if "weight" in rows.schema.names or "severity" not in rows.schema.names:
        return rows
    place = rows.schema.get_field_index("severity") + 1
    calm = pa.array(np.ones(rows.num_rows), mask=rows["severity"].is_null().to_numpy())
    return rows.add_column(place, PARTIALS.field("weight"), calm)


def _whole(rows: pa.Table) -> pa.Table:
    """Return rows whose sums are a number short, as they were before, with that."""
    if "sums" not in rows.schema.names or rows.schema.field("sums").type != pa.list_(pa.float64(), BEFORE_FARTHEST):
        return rows
    sums = whole_sums(_flat(rows["sums"]).reshape(-1, BEFORE_FARTHEST))
    lists = pa.FixedSizeListArray.from_arrays(pa.array(sums.reshape(-1)), PARTIAL_WIDTH)
    return rows.set_column(rows.schema.get_field_index("sums"), PARTIALS.field("sums"), lists)


def _used(numbers: npt.NDArray[np.int32], names: Sequence[str]) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return the numbers among those names that occur, and these."""
    occurring, places = np.unique(numbers, return_inverse=True)
    return places.reshape(-1), [names[number] for number in occurring.tolist()]


def _flat(lists: "pa.ChunkedArray[Any]") -> npt.NDArray[np.float64]:
    whole: Any = pa.concat_arrays(lists.chunks) if lists.num_chunks else pa.array([], lists.type)
    return np.asarray(whole.flatten().to_numpy(), np.float64)
