"""Backfill: history through the stream's own engine, one engine a partition, rows in order of availability."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, cast

import numpy as np
import pyarrow as pa

from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.engine_output import EngineOutput
from aiops.topology.graph import ServiceGraph, partition_of
from aiops.types import IntArray, SeriesBatch


def split_by_partition(batch: SeriesBatch, graph: ServiceGraph, partitions: int) -> dict[int, tuple[SeriesBatch, IntArray]]:
    """Return the points of every partition that has some, in order of arrival, with their row numbers in the batch.

    An engine's watermark is its own: history equals the stream only where each partition has an engine of its own.

    Raises:
        ConfigurationError: partitions < 1.
    """
    services = cast("pa.DictionaryArray[Any, Any]", batch.table.column("service"))
    of_code = np.array([partition_of(graph, str(name), partitions) for name in services.dictionary.to_pylist()], dtype=np.int64)
    if np.unique(of_code).size == 1 and len(batch):
        return {int(of_code[0]): (batch, np.arange(len(batch)))}
    partition = of_code[services.indices.to_numpy(zero_copy_only=False)]
    parts: dict[int, tuple[SeriesBatch, IntArray]] = {}
    for number in np.unique(partition).tolist():
        rows: IntArray = np.flatnonzero(partition == number)
        parts[number] = (SeriesBatch(batch.table.take(rows)), rows)
    return parts


def backfill(
    config: EngineConfig,
    graph: ServiceGraph,
    batches: Iterable[tuple[SeriesBatch, IntArray | None]],
    incidents: pa.Table | None = None,
    until: datetime | None = None,
) -> Iterator[EngineOutput]:
    """Yield what one partition's engine makes of (points, available at) batches in order of arrival, one output a batch.

    `incidents`: schema `schemas.INCIDENTS`; each is noted before the first tick that may know it.
    `until`: close the open ticks up to there at the end, as one more output; None = leave them open, as a stream would.
    """
    engine = FeatureEngine(config, graph)
    for service, known_at_us in _known(incidents):
        engine.note_incident(service, known_at_us)
    for batch, available_at in batches:
        yield engine.update(batch, available_at)
    if until is not None:
        yield engine.close_through(until)


def _known(incidents: pa.Table | None) -> list[tuple[str, int]]:
    """Return (service, known at in us) in order of the time."""
    if incidents is None:
        return []
    times: list[int] = incidents["known_at"].cast(pa.int64()).to_numpy().tolist()
    services = [str(name) for name in incidents["service"].to_pylist()]
    return sorted(zip(services, times, strict=True), key=lambda pair: pair[1])
