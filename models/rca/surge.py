"""Surges: traffic that rose at a service and not at its callers. More work than usual is the caller's doing, or begins here."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from models.rca.baseline import medians_of
from models.rca.grid import SeriesGrid
from models.rca.ranking import BEYOND, MOST, Evidence, RootCauseRanker
from models.rca.signals import best_series

SURGE: Final = "traffic surge"
LEAST_RISE: Final = 0.1
"""Share of its usual traffic that a spread is at least: a steady service is not surging because it has a tenth more to do."""
LAST_STEPS: Final = 3
"""Newest steps whose median is the traffic of now: a surge lasts."""


def surges_of(window: SeriesGrid, ranker: RootCauseRanker, services: Sequence[str]) -> dict[str, Evidence]:
    """Return the surge of each service that has one: `score` = log(1 + excess) beyond that of its busiest caller.

    A service without traffic while all was well has none: that it is called now is its caller's doing.
    """
    numbers = best_series(window, "traffic")
    now = dict(zip(numbers, medians_of(window.values[-LAST_STEPS:, list(numbers.values())]).tolist(), strict=True))
    excess = {}
    for service, number in numbers.items():
        baseline, width = (known.get(window.series[number], np.nan) for known in (ranker.baseline, ranker.width))
        if baseline > 0.0 and np.isfinite(now[service]):
            excess[service] = (now[service] - baseline) / max(width, LEAST_RISE * baseline)
    risen = {service: float(np.log1p(max(0.0, min(spreads, MOST) - BEYOND))) for service, spreads in excess.items()}
    surges = {}
    for service in services:
        own = risen.get(service, 0.0) - max((risen.get(caller, 0.0) for caller in ranker.graph.callers(service)), default=0.0)
        if own > 0.0:
            number = numbers[service]
            baseline, values = ranker.baseline[window.series[number]], window.values[:, number]
            since = int(window.time_us[int(np.argmax(values > 0.5 * (baseline + now[service])))])
            surges[service] = Evidence(SURGE, window.series[number][1], now[service], baseline, excess[service], own, since)
    return surges
