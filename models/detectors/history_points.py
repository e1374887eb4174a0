"""Telemetry history as scored points: what the levels of tier 1 are fitted to."""

from typing import Final

import numpy as np
import pyarrow as pa

from aiops.errors import ContractError
from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.series_index import distinct_series
from aiops.topology.graph import ServiceGraph
from aiops.types import SeriesBatch
from data_contracts.schemas.telemetry_schemas import SERIES
from models.detectors.robust_stream import PointSample
from models.vectors.service_rows import ServiceRows, times_of

CHUNK: Final = 100_000


def points_of(history: pa.Table, engine: EngineConfig) -> tuple[PointSample, ServiceRows]:
    """Return each point's series, engine z and value, and the same points as rows of their service (column "value").

    `history` (the columns of `schemas.SERIES`) is in order of arrival and has at least one row; z is NaN where unknown.

    Raises:
        ContractError: a column is missing.
    """
    missing = [name for name in SERIES.names if name not in history.column_names]
    if missing:
        raise ContractError(f"columns {missing} are missing from the history; it has {history.column_names}")
    batch = _as_batch(history)
    running = FeatureEngine(engine, ServiceGraph.from_pairs(()))
    chunks = (SeriesBatch(batch.table.slice(start, CHUNK)) for start in range(0, len(batch), CHUNK))
    z = np.concatenate([running.update(chunk).z for chunk in chunks])
    names, code = distinct_series(batch.table)
    value = np.asarray(batch.table.column("value").to_numpy(zero_copy_only=False), dtype=np.float64)
    services = sorted({name.service for name in names})
    place = {service: number for number, service in enumerate(services)}
    of_series = np.array([place[name.service] for name in names], dtype=np.int64)
    time_us = times_of(history, "timestamp")
    rows = ServiceRows(tuple(services), of_series[code], time_us, ("value",), value.reshape(-1, 1))
    return PointSample(tuple(names), code, z, value), rows


def _as_batch(history: pa.Table) -> SeriesBatch:
    """Return the history as one batch of the series schema; its dictionaries hold each name once."""
    columns = []
    for field in SERIES:
        column = history.column(field.name).combine_chunks()
        if pa.types.is_dictionary(field.type):
            plain = column.cast(pa.string())
            columns.append(plain.dictionary_encode().cast(field.type))
        else:
            columns.append(column.cast(field.type))
    return SeriesBatch(pa.RecordBatch.from_arrays(columns, schema=SERIES))
