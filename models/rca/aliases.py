"""Alias nodes: ends of a call that are drawn as services of their own and only mirror another.

What makes an alias is how it behaves, not its name: it calls exactly one service, has no resources of its own, and what is
measured of it is what is measured of that service. Such a node takes no blame; where it stops mirroring, it is a service again.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from aiops.graph import ServiceGraph
from aiops.types import FloatArray
from data_contracts.metrics import spec_of
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
    owners = {name for name, metric in calm.series if spec_of(metric).signal == "saturation" and not is_call(metric)}
    asked = {service: callee for service, callee in alone.items() if service not in owners}
    if not asked:
        return {}
    return {
        service: callee
        for service, callee in asked.items()
        if _mirrors(calm, service, callee) is True and _mirrors(window, service, callee) is not False
    }


def _mirrors(grid: SeriesGrid, service: str, callee: str) -> bool | None:
    """Return whether all signals that both have are the same; None where too little is common to tell."""
    verdicts = []
    for signal in _SIGNALS:
        numbers = best_series(grid, signal)
        if service in numbers and callee in numbers:
            verdicts.append(_same(grid.values[:, numbers[service]], grid.values[:, numbers[callee]]))
    told = [verdict for verdict in verdicts if verdict is not None]
    return all(told) if told else None


def _same(one: FloatArray, other: FloatArray) -> bool | None:
    both = np.isfinite(one) & np.isfinite(other)
    if both.sum() < LEAST_COMMON:
        return None
    one, other = one[both], other[both]
    level = max(abs(float(np.median(one))), abs(float(np.median(other))), 1e-12)
    if abs(float(np.median(one)) - float(np.median(other))) > SAME_LEVEL * level:
        return False
    if one.std() <= 1e-12 * level or other.std() <= 1e-12 * level:
        return bool(np.allclose(one, other, rtol=SAME_LEVEL))
    return bool(np.corrcoef(one, other)[0, 1] >= MIRRORS)
