"""How services are over a window, in the numbers that decide whether an action helped, against a baseline of calm time."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from aiops.automation.service_state import ServiceState
from aiops.types import FloatArray
from models.rca.grid import SeriesGrid
from models.rca.ranking import BEYOND, MOST, RootCauseRanker
from models.rca.signals import best_series

Signal = Literal["errors", "latency"]
SIGNALS: Final[tuple[Signal, ...]] = get_args(Signal)
STRAYS: Final = 3.0
"""Excess from which a service strays; what is less is none."""


@dataclass(frozen=True, slots=True)
class LookedAt:
    """Whom a look is at: `services` acted on or symptom, `well` = services that were well before the action; `alerts_firing` of
    the incident; `steps` = how many together are one reading, so that one odd value says nothing."""

    services: Collection[str]
    well: Collection[str] = ()
    alerts_firing: int = 0
    steps: int = 5


def service_state(window: SeriesGrid, ranker: RootCauseRanker, looked_at: LookedAt) -> ServiceState:
    """Return how services are in a window: the worst reading of their errors and latency beyond what is usual in calm time."""
    excess = {signal: excess_of(window, ranker, signal, looked_at.steps) for signal in SIGNALS}
    errors, latency = (max((excess[signal].get(name, 0.0) for name in looked_at.services), default=0.0) for signal in SIGNALS)
    new = [name for name in looked_at.well if any(excess[signal].get(name, 0.0) >= STRAYS for signal in SIGNALS)]
    columns = [number for number, (name, _) in enumerate(window.series) if name in looked_at.services]
    points = int(np.isfinite(window.values[:, columns]).sum())
    return ServiceState(errors, latency, looked_at.alerts_firing, len(new), points)


def well_services(window: SeriesGrid, ranker: RootCauseRanker, steps: int = 5) -> frozenset[str]:
    """Return the services that did not stray in a window."""
    excess = [excess_of(window, ranker, signal, steps) for signal in SIGNALS]
    return frozenset(name for name in excess[0] if all(known.get(name, 0.0) < STRAYS for known in excess))


def excess_of(window: SeriesGrid, ranker: RootCauseRanker, signal: Signal, steps: int) -> dict[str, float]:
    """Return of each service the worst mean of `steps` readings in spreads beyond `BEYOND` of its baseline; below `STRAYS` 0."""
    excess = {}
    for service, column in best_series(window, signal).items():
        baseline, width = (known.get(window.series[column]) for known in (ranker.baseline, ranker.width))
        if baseline is not None and width:
            away = (_worst_mean(window.values[:, column], steps) - baseline) / width
            excess[service] = min(MOST, away - BEYOND) if away - BEYOND >= STRAYS else 0.0
    return excess


def _worst_mean(values: FloatArray, steps: int) -> float:
    """Return the greatest mean of `steps` known values in a row; of all where there are fewer; NaN without any."""
    known = values[np.isfinite(values)]
    if not known.size:
        return float("nan")
    width = min(steps, known.size)
    sums = np.cumsum(np.concatenate([[0.0], known]))
    return float((sums[width:] - sums[:-width]).max() / width)
