"""How the metrics of a cause stand now: its golden signals, and its resources by how near they are to their limits."""

import math
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from aiops.incidents.root_cause import MetricLevel
from data_contracts.schemas.metrics import spec_of
from models.rca.baseline import medians_of
from models.rca.grid import SeriesGrid
from models.rca.signals import best_series

NEWEST_STEPS: Final = 3
"""Newest steps whose median is the level of now: one wild step is none."""
GOLDEN: Final = ("traffic", "latency", "errors")
MOST_RESOURCES: Final = 6


def levels_of(window: SeriesGrid, baseline: Mapping[tuple[str, str], float], service: str) -> tuple[MetricLevel, ...]:
    """Return the levels of a service's golden signals, then of its `MOST_RESOURCES` resources nearest to their limits.

    A metric without a baseline, or without a value in the newest steps, has none. O(steps + series).
    """
    own = [number for number, (name, _) in enumerate(window.series) if name == service]
    part = SeriesGrid(window.time_us, tuple(window.series[number] for number in own), window.values[:, own])
    now = medians_of(part.values[-NEWEST_STEPS:]).tolist()
    known = {
        metric: MetricLevel(metric, value, baseline[(service, metric)], _limit(metric))
        for (_, metric), value in zip(part.series, now, strict=True)
        if math.isfinite(value) and math.isfinite(baseline.get((service, metric), math.nan))
    }
    return (*_golden(part, known), *_fullest(known))


def _golden(part: SeriesGrid, known: Mapping[str, MetricLevel]) -> Iterator[MetricLevel]:
    for signal in GOLDEN:
        for number in best_series(part, signal).values():
            level = known.get(part.series[number][1])
            if level is not None:
                yield level


def _fullest(known: Mapping[str, MetricLevel]) -> list[MetricLevel]:
    resources = [level for level in known.values() if level.limit is not None]
    return sorted(resources, key=lambda level: (-level.now / (level.limit or np.inf), level.metric))[:MOST_RESOURCES]


def _limit(metric: str) -> float | None:
    spec = spec_of(metric)
    return spec.limit if spec.signal == "saturation" and math.isfinite(spec.limit) and spec.limit > 0.0 else None
