"""Backfill: history through the stream's own engine, rows in order of availability."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import pyarrow as pa

from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.engine_output import EngineOutput
from aiops.topology.graph import ServiceGraph
from aiops.types import IntArray, SeriesBatch


def backfill(
    config: EngineConfig,
    graph: ServiceGraph,
    batches: Iterable[tuple[SeriesBatch, IntArray | None]],
    incidents: pa.Table | None = None,
    until: datetime | None = None,
) -> Iterator[EngineOutput]:
    """Yield what an engine makes of (points, available at) batches in order of arrival, one output a batch.

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
