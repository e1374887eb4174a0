"""Alias nodes: ends of a call that are drawn as services of their own and only mirror another.

What makes an alias is how it behaves, not its name: it calls exactly one service, has no resources of its own, and what is
measured of it is what is measured of that service. Such a node takes no blame; where it stops mirroring, it is a service again.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray
from data_contracts.schemas.metrics import spec_of
from models.rca.grid import SeriesGrid
from models.rca.signals import best_series, is_call

LEAST_COMMON: Final = 10
MIRRORS: Final = 0.9
"""Correlation of every shared signal from which a node mirrors its callee."""
SAME_LEVEL: Final = 0.25
"""Relative difference of medians that still is the same level."""
_SIGNALS: Final = ("latency", "errors", "traffic")


def aliases_of(calm: SeriesGrid, window: SeriesGrid, graph: ServiceGraph) -> Mapping[str, str]:
    """Return the alias nodes and the service that each mirrors, in calm time and in the window alike."""
    alone = {service: graph.callees(service)[0] for service in graph.services if len(graph.callees(service)) == 1}
    resources = {metric for metric in {metric for _, metric in calm.series} if _is_resource(metric)}
    owners = {name for name, metric in calm.series if metric in resources}
    without_resources = {service: callee for service, callee in alone.items() if service not in owners}
    if not without_resources:
        return {}
    calmly, now = (tuple(best_series(grid, signal) for signal in _SIGNALS) for grid in (calm, window))
    return {
        service: callee
        for service, callee in without_resources.items()
        if _mirrors(calm, calmly, service, callee) is True and _mirrors(window, now, service, callee) is not False
    }


def _is_resource(metric: str) -> bool:
    return spec_of(metric).signal == "saturation" and not is_call(metric)


def _mirrors(grid: SeriesGrid, signals: Sequence[Mapping[str, int]], service: str, callee: str) -> bool | None:
    """Return whether all signals that both have are the same; None where too little is common."""
    verdicts = [
        _same(grid.values[:, numbers[service]], grid.values[:, numbers[callee]])
        for numbers in signals
        if service in numbers and callee in numbers
    ]
    known = [verdict for verdict in verdicts if verdict is not None]
    return all(known) if known else None


def _same(own: FloatArray, other: FloatArray) -> bool | None:
    both = np.isfinite(own) & np.isfinite(other)
    if both.sum() < LEAST_COMMON:
        return None
    own, other = own[both], other[both]
    level = max(abs(float(np.median(own))), abs(float(np.median(other))), 1e-12)
    if abs(float(np.median(own)) - float(np.median(other))) > SAME_LEVEL * level:
        return False
    if own.std() <= 1e-12 * level or other.std() <= 1e-12 * level:
        return bool(np.allclose(own, other, rtol=SAME_LEVEL))
    return bool(np.corrcoef(own, other)[0, 1] >= MIRRORS)
