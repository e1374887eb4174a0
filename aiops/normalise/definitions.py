"""Definitions of raw series as columns: read, checked, and turned into rows of the catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.features.series_index import NameHashes, name_hashes
from aiops.normalise.families import DERIVED, IS_BUCKET, IS_COUNT, IS_SUM
from aiops.normalise.kinds import certainty_of
from aiops.normalise.raw_series import BUCKET, BUCKET_COUNT, BUCKET_SUM, DELTA, HISTOGRAM, TOTAL, VALUE
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.wire_schemas import ROLES, SERIES_CATALOGUE, SERIES_DEFINITIONS
from data_contracts.series.key import SeriesKey, labels_of, labels_text, series_ids
from data_contracts.series.series_name import SeriesName
from data_contracts.telemetry.series_rows import ids_of_columns
from data_contracts.values.coerce import whole

KIND_OF_ROLE: Final = np.array(
    [{BUCKET: IS_BUCKET, BUCKET_SUM: IS_SUM, BUCKET_COUNT: IS_COUNT}.get(role, 255) for role in range(len(ROLES))], np.uint8
)
"""What member of a family a role is, 255 = none."""
SCORED_ROLES: Final = (VALUE, TOTAL, DELTA)
"""Roles whose series are scored under their own id."""
_SUFFIXES: Final = {BUCKET: "_bucket", BUCKET_SUM: "_sum", BUCKET_COUNT: "_count"}
_BOUND_LABEL: Final = "le"


class DefinitionFault(ValueError):
    """Rows of a table are no definitions of series."""


@dataclass(frozen=True, slots=True)
class Definitions:
    """Definitions in order of arrival, (n,) each."""

    rows: pa.RecordBatch
    """`wire_schemas.SERIES_DEFINITIONS`."""
    key: IntArray
    name: IntArray
    """Hashes of names, as the engine has them."""
    role: npt.NDArray[np.uint8]
    certainty: npt.NDArray[np.uint8]
    family: IntArray
    """Id of the histogram that a part is of; of a whole one its own; 0 for others."""
    bound: FloatArray

    def __len__(self) -> int:
        return int(self.key.size)

    def taken(self, rows: IntArray) -> "Definitions":
        """Return some of them."""
        places: Any = pa.array(rows)
        return Definitions(
            self.rows.take(places),
            self.key[rows],
            self.name[rows],
            self.role[rows],
            self.certainty[rows],
            self.family[rows],
            self.bound[rows],
        )

    @property
    def names(self) -> "list[pa.Array[Any]]":
        """Return service, metric and labels as string columns."""
        return [self.rows.column(name) for name in ("service", "metric", "labels")]


def read_definitions(table: pa.Table, tenant: str) -> Definitions:
    """Return the definitions of a tenant's table of schema SERIES_DEFINITIONS.

    Raises:
        DefinitionFault: a role is not known, a part of a histogram names none or a bucket no bound, or an id is not that of the
            names.
    """
    columns: list[Any] = [whole(table.column(name)) for name in SERIES_DEFINITIONS.names]
    rows = pa.RecordBatch.from_arrays(columns, schema=SERIES_DEFINITIONS)
    service, metric, labels = (rows.column(name) for name in ("service", "metric", "labels"))
    key = rows.column("series_id").to_numpy()
    _require(np.array_equal(ids_of_columns(service, metric, labels, tenant), key), "series_id", "is not that of the names")
    role = _numbers(rows.column("role"), {name: number for number, name in enumerate(ROLES)}, len(ROLES))
    _require(bool((role < len(ROLES)).all()), "role", f"is none of {', '.join(ROLES)}")
    certainty = _numbers(rows.column("why"), None, 0)
    is_part = KIND_OF_ROLE[role] != 255
    named = rows.column("family_id").is_valid().to_numpy(zero_copy_only=False)
    _require(not (is_part & ~named).any(), "family_id", "is null for a part of a histogram")
    bound = rows.column("bound").fill_null(np.nan).to_numpy()
    _require(not ((role == BUCKET) & np.isnan(bound)).any(), "bound", "is null or no number for a bucket")
    family = np.where(is_part, rows.column("family_id").fill_null(0).to_numpy(), np.where(role >= HISTOGRAM, key, 0))
    family = np.where(named & (role >= HISTOGRAM), rows.column("family_id").fill_null(0).to_numpy(), family)
    coded = [column.dictionary_encode() for column in (service, metric, labels)]
    name = NameHashes().of(pa.RecordBatch.from_arrays(coded, names=["service", "metric", "labels"]))
    return Definitions(rows, key, np.broadcast_to(name, key.shape).copy(), role, certainty, family, bound)


def _require(holds: bool, field: str, rule: str) -> None:
    if not holds:
        raise DefinitionFault(f"{field} {rule}: definitions are sent by a receiver of this version")


def _numbers(column: "pa.Array[Any]", codes: dict[str, int] | None, otherwise: int) -> npt.NDArray[np.uint8]:
    """Return (n,) the code of each text, or how certain it says a role is; Python once a distinct text."""
    coded: Any = column.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    numbers = [certainty_of(text) if codes is None else codes.get(text, otherwise) for text in texts]
    return np.array(numbers, np.uint8)[coded.indices.to_numpy()] if texts else np.zeros(0, np.uint8)


@dataclass(frozen=True, slots=True)
class DerivedSeries:
    """The series made of new families, 4 a family in the order of DERIVED."""

    names: list[SeriesName]
    name_hashes: IntArray
    catalogue: pa.RecordBatch


def derived_of(definitions: Definitions, tenant: str, first_seen_us: int) -> DerivedSeries:
    """Return what is made of the families that these definitions (one a family) were the first of."""
    rows = definitions.rows.select(["service", "metric", "labels", "unit"]).to_pylist()
    keys, units, whys = [], [], []
    for row, role in zip(rows, definitions.role.tolist(), strict=True):
        base = row["metric"].removesuffix(_SUFFIXES.get(role, ""))
        labels = tuple(pair for pair in labels_of(row["labels"]) if role >= HISTOGRAM or pair[0] != _BOUND_LABEL)
        keys += [SeriesKey(tenant, row["service"], f"{base}_{ending}", labels) for ending in DERIVED]
        units += ["1/s", row["unit"], row["unit"], row["unit"]]
        whys += [f"made of the histogram {base}"] * len(DERIVED)
    ids = series_ids(keys).tolist() if keys else []
    names = [SeriesName(sid, key.service, key.metric, labels_text(key.labels)) for sid, key in zip(ids, keys, strict=True)]
    columns = {
        "series_id": ids,
        "service": [name.service for name in names],
        "metric": [name.metric for name in names],
        "labels": [name.labels for name in names],
        "role": [ROLES[VALUE]] * len(names),
        "family_id": np.repeat(definitions.family, len(DERIVED)).tolist(),
        "bound": [None] * len(names),
        "unit": units,
        "why": whys,
    }
    made = pa.RecordBatch.from_pydict(columns, schema=SERIES_DEFINITIONS)
    return DerivedSeries(names, name_hashes(names), catalogue_rows(made, np.ones(len(names), np.bool_), first_seen_us))


def catalogue_rows(rows: pa.RecordBatch, scored: npt.NDArray[np.bool_], first_seen_us: int) -> pa.RecordBatch:
    """Return definitions as rows of the catalogue."""
    moment = pa.scalar(first_seen_us, pa.int64()).cast(SERIES_CATALOGUE.field("first_seen_at").type)
    columns: Sequence[Any] = [*rows.columns, pa.array(scored), pa.repeat(moment, rows.num_rows)]
    return pa.RecordBatch.from_arrays(list(columns), schema=SERIES_CATALOGUE)


def first_of_each(keys: IntArray) -> IntArray:
    """Return the rows at which a key comes for the first time, ascending."""
    _, firsts = np.unique(keys, return_index=True)
    return np.sort(firsts)


def until_repeated(keys: IntArray) -> int:
    """Return how many leading keys there are before one that came already."""
    _, firsts = np.unique(keys, return_index=True)
    if firsts.size == keys.size:
        return int(keys.size)
    again = np.ones(keys.size, np.bool_)
    again[firsts] = False
    return int(np.argmax(again))
