"""Memory of the feature engine a series: what the process holds more with full windows than without any series."""

import gc
from typing import Final

import numpy as np

from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.series_index import name_hashes
from aiops.features.series_points import SeriesPoints
from aiops.topology.graph import ServiceGraph
from aiops.types import IntArray
from data_contracts.series.key import SeriesKey
from data_contracts.series.series_name import SeriesName
from data_contracts.series.tenant import DEFAULT_TENANT
from orchestration.bench.load.wire_series import METRICS
from serving.host.heap_memory import return_freed_memory
from serving.stream.consumer.consumer_metrics import resident_bytes

_START_US: Final = 1_760_000_000_000_000
_MINUTES: Final = 65
"""Rounds of 60 s data: windows of an hour are full."""
_BATCH: Final = 50_000


def bytes_per_series(series: int) -> float:
    """Return bytes of `series` series of 60 s data, 20 a service, with names, an hour and five minutes after the first point.

    Takes `series` * 65 points.
    """
    return_freed_memory()  # as the consumer does
    graph = ServiceGraph.from_pairs([])
    _run(FeatureEngine(EngineConfig(), graph), 1000, 3)  # what compiled kernels take is not counted
    engine = FeatureEngine(EngineConfig(max_series=series), graph)
    gc.collect()
    before = resident_bytes()
    _run(engine, series, _MINUTES)
    gc.collect()
    return (resident_bytes() - before) / series


def _run(engine: FeatureEngine, series: int, minutes: int) -> None:
    """Send a point a minute of each series; 16 bytes a series of ids and hashes are counted with them."""
    names = range(series)
    columns = [(_ids(part), _hashes(part)) for part in _parts(names)]
    for minute in range(minutes):
        time_us = _START_US + 60_000_000 * minute
        for part, (ids, hashes) in zip(_parts(names), columns, strict=True):
            values = np.sin(np.arange(len(part)) + minute)
            times = np.full(len(part), time_us)
            engine.update_arrays(SeriesPoints(times, ids, hashes, values, _Names(part)))


def _parts(numbers: range) -> list[range]:
    return [numbers[first : first + _BATCH] for first in range(0, len(numbers), _BATCH)]


def _ids(part: range) -> IntArray:
    return np.array([name.series_id for name in _Names(part)(np.arange(len(part)))], np.int64)


def _hashes(part: range) -> IntArray:
    return name_hashes(_Names(part)(np.arange(len(part))))


class _Names:
    """Names of series by their row in a part."""

    def __init__(self, part: range) -> None:
        self._part = part

    def __call__(self, rows: IntArray) -> list[SeriesName]:
        keys = [_key(self._part[row]) for row in rows.tolist()]
        return [SeriesName(key.series_id, key.service, key.metric, "") for key in keys]


def _key(number: int) -> SeriesKey:
    return SeriesKey(DEFAULT_TENANT, f"service-{number // len(METRICS):06d}", METRICS[number % len(METRICS)])
