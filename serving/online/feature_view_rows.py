"""Whole rows of feature views in Feast's online layout: Arrow to HSET commands, answers of HMGET to Arrow."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from data_contracts.schemas.feature_views import AVAILABLE_AT, ViewSpec
from serving.online import feast_layout


@lru_cache(maxsize=64)
def hash_fields(views: tuple[ViewSpec, ...]) -> tuple[bytes, ...]:
    """Return the hash fields of `views` in order: of each its time, then its features."""
    fields: list[bytes] = []
    for view in views:
        fields.append(feast_layout.time_field(view.name))
        fields += [feast_layout.feature_field(view.name, feature) for feature in view.features]
    return tuple(fields)


def encode_rows(views: Sequence[ViewSpec], rows: pa.RecordBatch, project: str) -> bytes:
    """Return one HSET command a row that writes all `views`, which share the entity; about 1 KiB a row of 30 fields.

    Raises:
        ContractError: a feature is neither float64 nor int64 nor string nor list<double>.
    """
    entity, n = views[0].entity, rows.num_rows
    keys = feast_layout.entity_keys(entity, [str(name) for name in rows.column(entity).to_pylist()], project)
    times, which = np.unique(np.asarray(rows.column(AVAILABLE_AT).cast(pa.int64())), return_inverse=True)
    stamps = [feast_layout.encode_time(int(time)) for time in times]
    stamped = feast_layout.bulk_strings([stamps[i] for i in which])
    fields = hash_fields(tuple(views))
    names = iter(fields)
    segments: list[feast_layout.Segment] = []
    for view in views:
        segments += [feast_layout.constant(next(names), n), stamped]
        for feature in view.features:
            field, column = next(names), rows.column(feature)
            if pa.types.is_float64(column.type):
                segments.append(feast_layout.double_fields(field, column.to_numpy(zero_copy_only=False)))
            else:
                segments += [feast_layout.constant(field, n), feast_layout.bulk_strings(feast_layout.encode_values(column))]
    return feast_layout.hset_commands(keys, segments, len(fields))


def decode_rows(view: ViewSpec, cells: Sequence[Sequence[bytes | None]]) -> Iterator[tuple[str, "pa.Array[Any]"]]:
    """Yield (feature, column) of `view`; `cells` holds one row an entity, one cell a feature; absent or empty = null.

    Raises:
        ContractError: a cell holds another type than the feature.
    """
    kinds = [view.table.field(feature).type for feature in view.features]
    if all(pa.types.is_float64(kind) for kind in kinds):
        values = feast_layout.decode_doubles([row[number] for number in range(len(kinds)) for row in cells])
        column = pa.array(values, from_pandas=True)  # NaN to null, once for all columns
        for number, feature in enumerate(view.features):
            yield feature, column.slice(number * len(cells), len(cells))
        return
    for number, (feature, kind) in enumerate(zip(view.features, kinds, strict=True)):
        yield feature, feast_layout.decode_values([row[number] for row in cells], kind)
