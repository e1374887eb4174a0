"""When trouble began at each service, and who was first: order of onsets along calls and lag correlation with the symptom.

A callee that strays before its caller is more likely the cause; in one step both began together and time says nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray, IntArray
from models.rca.grid import SeriesGrid
from models.rca.ranking import BEYOND
from models.rca.signals import best_series, is_call

Levels = Mapping[tuple[str, str], float]
NEVER: Final = -1
LOUDEST: Final = 5.0 * BEYOND
"""Spreads that a step counts at most: one wild step is no change of level."""
STRAYED: Final = 2.0 * BEYOND
"""Spreads that a service must stray at least, once, to have an onset: noise that wanders beyond the usual is no beginning."""
MOST_LAG: Final = 5
LEAST_STEPS: Final = 6
"""Steps that a correlation needs."""


@dataclass(frozen=True, slots=True, eq=False)
class Timing:
    """Of each service (n,): the step of its onset (NEVER = it did not stray), how well it leads the symptom (0..1: the
    correlation at the best lag at which it is not later), that lag in steps, and the share of its trouble (0..1) that direct
    callees which strayed no later can account for."""

    onset: IntArray
    lead: FloatArray
    lag: IntArray
    explained: FloatArray


def timing_of(strayed: FloatArray, symptom: FloatArray, services: Sequence[str], graph: ServiceGraph) -> Timing:
    """Return the timing of services from how they strayed, (steps, n) spreads, NaN = not measured. O(steps x n + edges).

    `symptom`: how the symptom strayed as its users saw it, (steps,); all NaN = unknown.
    """
    onset = onsets(strayed)
    place = {name: number for number, name in enumerate(services)}
    return Timing(onset, *leads(strayed, symptom), _explained(strayed, onset, place, graph))


def symptom_deviation(window: SeriesGrid, service: str, baseline: Levels, width: Levels) -> FloatArray:
    """Return by how many spreads latency or errors of a service, whichever did more, strayed at each step; NaN = unknown.

    `baseline` and `width`: usual level and spread of each series.
    """
    own_numbers = [number for number, (name, metric) in enumerate(window.series) if name == service and not is_call(metric)]
    alone = SeriesGrid(window.time_us, tuple(window.series[number] for number in own_numbers), window.values[:, own_numbers])
    deviation = np.full(window.time_us.size, np.nan)
    for signal in ("latency", "errors"):
        for number in best_series(alone, signal).values():
            centre, spread = (known.get(alone.series[number], np.nan) for known in (baseline, width))
            strayed = (alone.values[:, number] - centre) / spread
            if np.nanmax(np.nan_to_num(strayed), initial=0.0) > np.nanmax(np.nan_to_num(deviation), initial=-1.0):
                deviation = strayed
    return deviation


def onsets(strayed: FloatArray) -> IntArray:
    """Return the step (n,) at which each column (steps, n) changed its level; NEVER where it stays within STRAYED spreads.

    The split into two levels with the least squares, moved back over steps that were beyond already, forward to the first one
    that is. Source: Page (1954), "Continuous inspection schemes"; Hinkley (1970) for the estimate of the change point.
    """
    steps, count = strayed.shape
    if not steps:
        return np.full(count, NEVER, dtype=np.int64)
    level = np.clip(np.nan_to_num(strayed), -LOUDEST, LOUDEST)
    over = level > BEYOND
    split = np.zeros(count, dtype=np.int64)
    if steps > 1:
        after = np.arange(1, steps)[:, None]
        risen = after * level.mean(axis=0) - np.cumsum(level, axis=0)[:-1]
        split = 1 + np.argmax(np.where(risen > 0, risen**2 / (after * (steps - after)), -1.0), axis=0)
    number = np.arange(steps)[:, None]
    quiet_before = np.where(~over & (number < split), number, -1).max(axis=0)
    first = np.argmax(over & (number > quiet_before), axis=0)
    late = ~(over & (number > quiet_before)).any(axis=0)
    return np.where((level > STRAYED).any(axis=0), np.where(late, np.argmax(over, axis=0), first), NEVER).astype(np.int64)


def leads(strayed: FloatArray, symptom: FloatArray) -> tuple[FloatArray, IntArray]:
    """Return the best correlation (n,) of each column with the symptom's at lags at which the column is not later, and the lag.

    0 where the series are too short, do not move, or where the column follows the symptom more closely than it leads it.
    """
    steps, count = strayed.shape
    if steps < LEAST_STEPS:
        return nothing_leads(count)
    most = min(MOST_LAG, steps // 3)
    moved = np.clip(np.nan_to_num(strayed), -LOUDEST, LOUDEST)
    symptom_moved = np.clip(np.nan_to_num(symptom), -LOUDEST, LOUDEST)
    ahead = np.stack([_correlation(moved[: steps - lag], symptom_moved[lag:]) for lag in range(most + 1)])
    behind = np.stack([_correlation(moved[lag:], symptom_moved[: steps - lag]) for lag in range(1, most + 1)])
    best = np.argmax(ahead, axis=0)
    lead = ahead[best, np.arange(count)]
    return np.where(lead >= behind.max(axis=0, initial=0.0), np.maximum(lead, 0.0), 0.0), best.astype(np.int64)


def nothing_leads(count: int) -> tuple[FloatArray, IntArray]:
    """Return what `leads` says where nothing is known."""
    return np.zeros(count), np.zeros(count, dtype=np.int64)


def _correlation(columns: FloatArray, symptom: FloatArray) -> FloatArray:
    columns, symptom = columns - columns.mean(axis=0), symptom - symptom.mean()
    power = np.sqrt((columns**2).sum(axis=0) * (symptom**2).sum())
    correlation: FloatArray = np.divide(symptom @ columns, power, out=np.zeros(columns.shape[1]), where=power > 1e-9)
    return correlation


def _explained(strayed: FloatArray, onset: IntArray, place: dict[str, int], graph: ServiceGraph) -> FloatArray:
    """Return (n,) the greatest share of a service's excess that a callee has too, if that callee strayed no later."""
    calls = [
        (place[caller], place[callee])
        for caller in place
        if onset[place[caller]] != NEVER
        for callee in graph.callees(caller)
        if callee in place and onset[place[callee]] != NEVER
    ]
    explained_share = np.zeros(len(place))
    if calls:
        caller, callee = np.array(calls).T
        peak = np.log1p(np.maximum(0.0, np.nan_to_num(strayed).max(axis=0, initial=0.0)))
        share = np.minimum(1.0, peak[callee] / np.maximum(peak[caller], 1e-9))
        tied = (onset[callee] == onset[caller]) & (peak[callee] <= peak[caller])
        np.maximum.at(explained_share, caller, np.where((onset[callee] > onset[caller]) | tied, 0.0, share))
    return explained_share
