"""Ids that two series share are refused, naming both, before one of the two takes the place of the other in the lake."""

from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.errors import ContractError
from data_contracts.series.catalogue import SeriesCatalogue, SeriesCollisionError
from data_contracts.series.key import SeriesKey, labels_of
from data_contracts.values.coerce import whole
from data_contracts.values.kernels import Int64s, distinct
from serving.lake.lake_tables import LakeTable

NAMES: Final = ("series_id", "service", "metric", "labels")
"""Columns that say which series a row is of, by id and by name."""


def named_by_id(spec: LakeTable) -> bool:
    """Return whether rows of a table go by a series id that stands for names which the table holds."""
    return "series_id" in spec.identity and set(NAMES) <= set(spec.schema.names)


def distinct_series(rows: pa.Table) -> pa.Table:
    """Return id and names of the series of some rows, by the first row of each id."""
    places: Any = pa.array(distinct(_ids(rows))[1])
    return rows.select(list(NAMES)).take(places)


def refuse_collisions(rows: pa.Table) -> None:
    """Check that no id stands for two series in rows of one tenant. O(n), one pass a column.

    Raises:
        ContractError: two series share an id; the message names both.
    """
    if not rows.num_rows:
        return
    code, first = distinct(_ids(rows))
    for name in NAMES[1:]:
        coded: Any = whole(rows[name].combine_chunks().dictionary_encode())
        names = np.asarray(coded.indices.to_numpy(zero_copy_only=False))
        other = np.flatnonzero(names != names[first[code]])
        if other.size:
            row = int(other[0])
            _refuse(rows.take(pa.array([int(first[code[row]]), row])))


def _ids(rows: pa.Table) -> Int64s:
    return np.ascontiguousarray(rows["series_id"].to_numpy(), np.int64)


def _refuse(pair: pa.Table) -> None:
    catalogue = SeriesCatalogue()
    try:
        for row in pair.select(list(NAMES)).to_pylist():
            catalogue.note(row["series_id"], SeriesKey("", row["service"], row["metric"], labels_of(row["labels"])))
    except SeriesCollisionError as error:
        raise ContractError(f"telemetry: {error}") from error
