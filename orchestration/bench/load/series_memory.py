"""Memory of the feature engine a series: what the process holds more with full windows than without any series."""

import gc
from collections.abc import Sequence
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
from serving.stream.consumer.consumer_metrics import resident_bytes

_START_US: Final = 1_760_000_000_000_000
_MINUTES: Final = 65
"""Rounds of 60 s data: windows of an hour are full."""
_BATCH: Final = 50_000


def bytes_per_series(series: int) -> float:
    """Return bytes of `series` series of 60 s data, 20 a service, with names, an hour and five minutes after the first point.

    Takes `series` * 65 points.
    """
    engine = FeatureEngine(EngineConfig(max_series=series), ServiceGraph.from_pairs([]))
    _send(FeatureEngine(EngineConfig(), ServiceGraph.from_pairs([])), _names(0, 1000), 3)  # what compiled kernels take
    gc.collect()
    before = resident_bytes()
    for minute in range(_MINUTES):
        for first in range(0, series, _BATCH):
            names = _names(first, min(series, first + _BATCH)) if minute == 0 else []
            _apply(engine, first, min(series, first + _BATCH), minute, names)
    gc.collect()
    return (resident_bytes() - before) / series


def _send(engine: FeatureEngine, names: Sequence[SeriesName], minutes: int) -> None:
    for minute in range(minutes):
        engine.update_arrays(_points(names, minute))


def _names(first: int, last: int) -> list[SeriesName]:
    keys = [
        SeriesKey(DEFAULT_TENANT, f"service-{number // len(METRICS):06d}", METRICS[number % len(METRICS)], ())
        for number in range(first, last)
    ]
    return [SeriesName(key.series_id, key.service, key.metric, "{}") for key in keys]
