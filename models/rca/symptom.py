"""The symptom of an incident: of the alerted services, the one that most of the others lie below, and the signal that strayed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, get_args

import numpy as np

from aiops.topology.graph import ServiceGraph
from models.rca.grid import SeriesGrid
from models.rca.ranking import RootCauseRanker, Symptom, reached_by
from models.rca.signals import best_series

SymptomSignal = Literal["latency", "errors"]
SYMPTOM_SPREADS: Final = 3.0
"""Spreads above its baseline from which a signal is a symptom."""
MOST_CANDIDATES: Final = 50


def symptom_of(
    window: SeriesGrid, ranker: RootCauseRanker, graph: ServiceGraph, alerted: Mapping[str, datetime]
) -> Symptom | None:
    """Return the alerted service farthest on the callers' side whose latency or errors strayed; None where none did.

    Farthest = most alerted services are among those that it calls, directly or not; then the one alerted first. None, too, where
    no more than half of the alerted services lie below it: then the graph does not show how the fault spread.
    """
    strayed = {signal: _strayed(window, ranker, signal) for signal in get_args(SymptomSignal)}
    earliest = sorted(alerted, key=lambda name: (alerted[name], name))[:MOST_CANDIDATES]
    below = {name: len(reached_by(graph, name) & alerted.keys()) for name in earliest}
    for service in sorted(earliest, key=lambda name: -below[name]):
        if len(alerted) > 1 and 2 * below[service] <= len(alerted):
            return None
        signal = max(strayed, key=lambda candidate: strayed[candidate].get(service, 0.0))
        if strayed[signal].get(service, 0.0) > SYMPTOM_SPREADS:
            return Symptom(service, signal)
    return None


def _strayed(window: SeriesGrid, ranker: RootCauseRanker, signal: SymptomSignal) -> dict[str, float]:
    """Return by how many spreads a signal of each service exceeded its baseline at most."""
    deviation = {}
    for service, number in best_series(window, signal).items():
        name, column = window.series[number], window.values[:, number]
        baseline, width = ranker.baseline.get(name), ranker.width.get(name)
        if baseline is not None and width is not None and np.isfinite(column).any():
            deviation[service] = float(np.nanmax(column) - baseline) / width
    return deviation
