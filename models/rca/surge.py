"""Surges: traffic that rose at a service and not at its callers. More work than usual is the caller's doing, or begins here."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from models.rca.grid import SeriesGrid
from models.rca.ranking import BEYOND, MOST, Evidence, RootCauseRanker
from models.rca.signals import best_series
from models.rca.usual import medians_of

SURGE: Final = "traffic surge"
LAST_STEPS: Final = 3
"""Newest steps whose median is the traffic of now: a surge lasts."""


def surges_of(window: SeriesGrid, ranker: RootCauseRanker, services: Sequence[str]) -> dict[str, Evidence]:
    """Return the surge of each service that has one: `score` = log(1 + excess) beyond that of its busiest caller."""
    numbers = best_series(window, "traffic")
    now = dict(zip(numbers, medians_of(window.values[-LAST_STEPS:, list(numbers.values())]).tolist(), strict=True))
    risen = {}
    for service, number in numbers.items():
        usual, width = (known.get(window.series[number], np.nan) for known in (ranker.usual, ranker.width))
        excess = (now[service] - usual) / width
        risen[service] = float(np.log1p(max(0.0, min(excess, MOST) - BEYOND))) if np.isfinite(excess) else 0.0
    found = {}
    for service in services:
        own = risen.get(service, 0.0) - max((risen.get(caller, 0.0) for caller in ranker.graph.callers(service)), default=0.0)
        if own > 0.0:
            name = window.series[numbers[service]]
            usual, width, values = ranker.usual[name], ranker.width[name], window.values[:, numbers[service]]
            since = int(window.time_us[int(np.argmax(values > usual + BEYOND * width))])
            excess = (now[service] - usual) / width
            found[service] = Evidence(SURGE, name[1], now[service], usual, excess, own, since)
    return found
