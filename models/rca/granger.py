"""Calls that nobody recorded, learned from series: Granger causality with the false discoveries kept rare.

Trouble of a callee shows at its caller some steps later: the callee's past foretells the caller beyond the caller's own past.
Shared traffic and seasons foretell everybody, so each test also knows the traffic and the mean of the other services, of the
same step and of those before, and the past of the callees that are known. Changes from step to step are tested, not levels, as
normal scores: neither a trend nor a few wild steps make an edge. What is left after the other finds of the same caller are
known too, is corrected for all tests. Sources: Granger (1969), "Investigating causal relations by econometric models";
Benjamini and Hochberg (1995), "Controlling the false discovery rate".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import scipy.special

from aiops.errors import ConfigurationError
from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray, IntArray
from models.rca.grid import SeriesGrid
from models.rca.signals import best_series

OWN_LAGS: Final = 6
"""Steps of the caller's own past, at least: differences are whitened by them."""
MOST_KNOWN: Final = 5
"""Known callees, and other finds, whose past a test knows."""
LEAST_COVERED: Final = 0.8
COMMON_CAUSE_SHARE: Final = 0.1
"""Share of all pairs from which finds, beyond one a service, show a common cause and not calls."""
_RIDGE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class LearnedEdge:
    """A likely call: trouble of `callee` shows at `caller` `lag_steps` later. `p_value` after correction for all tests."""

    caller: str
    callee: str
    p_value: float
    lag_steps: int

    @property
    def weight(self) -> float:
        """Return how sure the edge is, 0..1."""
        return 1.0 - self.p_value


@dataclass(frozen=True, slots=True)
class GrangerConfig:
    """`lags` of at most so many steps; `false_discoveries` = share of learned edges that may be wrong; a service needs
    `least_steps` steps; the first `most_services` by name are tested (pairs grow with the square)."""

    lags: int = 3
    false_discoveries: float = 0.05
    least_steps: int = 120
    most_services: int = 400

    def __post_init__(self) -> None:
        if self.lags < 1:
            raise ConfigurationError(f"lags={self.lags}: the past of a callee needs at least 1 step; give 1 or more")
        if not 0.0 < self.false_discoveries < 1.0:
            raise ConfigurationError(f"false_discoveries={self.false_discoveries}: a share above 0 and below 1, for example 0.05")


@dataclass(frozen=True, slots=True, eq=False)
class _Panel:
    """Normal scores of changes (steps, services), and of the traffic that all share (steps,)."""

    services: tuple[str, ...]
    scores: FloatArray
    traffic: FloatArray
    lags: int
    known: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """Return the first step of which all of the past is known."""
        return max(OWN_LAGS, self.lags)

    def past(self, columns: FloatArray, lags: int) -> FloatArray:
        """Return (steps - first, columns x lags) the past of columns (steps, n): all lags of one after another."""
        steps = len(columns)
        stacked = np.stack([columns[self.first - lag : steps - lag] for lag in range(1, lags + 1)], axis=2)
        return stacked.reshape(steps - self.first, -1)


def granger_edges(grid: SeriesGrid, known: ServiceGraph, config: GrangerConfig | None = None) -> tuple[LearnedEdge, ...]:
    """Return likely calls between services that `known` does not connect directly, by caller and callee.

    None at all where finds are so many that something unmeasured must move all services; a common cause that only few share and
    nobody measures looks like calls. A service is tested by its latency, else by its errors. Where both directions are found,
    the surer one counts. O(services² x steps).
    """
    chosen = config or GrangerConfig()
    panel = _panel(grid, known, chosen)
    count = len(panel.services)
    if count < 2:
        return ()
    p_value, lag = np.ones((count, count)), np.ones((count, count), dtype=np.int64)
    for caller in range(count):
        p_value[caller], lag[caller] = _tested(panel, caller, ())
    silent = _silent(panel, known)
    tests = int(silent.sum())
    significant = silent & (_adjusted(np.where(silent, p_value, 1.0), tests) <= chosen.false_discoveries)
    if int(significant.sum()) > COMMON_CAUSE_SHARE * tests + count:
        return ()  # everybody foretells everybody: a common cause that is not measured
    for caller in np.flatnonzero(significant.any(axis=1)).tolist():
        p_value[caller] = _pruned(panel, caller, significant[caller], p_value[caller])
    adjusted = _adjusted(np.where(silent, p_value, 1.0), tests)
    kept = significant & (adjusted <= chosen.false_discoveries) & (adjusted <= adjusted.T)
    kept &= ~((adjusted == adjusted.T) & kept & kept.T & (p_value > p_value.T))
    return tuple(
        LearnedEdge(panel.services[a], panel.services[b], float(adjusted[a, b]), int(lag[a, b]))
        for a, b in np.argwhere(kept).tolist()
    )


def _panel(grid: SeriesGrid, known: ServiceGraph, config: GrangerConfig) -> _Panel:
    """Return what is tested; services with too few steps, or that never move, are left out."""
    signals = {**best_series(grid, "errors"), **best_series(grid, "latency")}
    changes = np.diff(grid.values, axis=0)
    steady = np.diff(grid.time_us)
    if steady.size:
        changes[steady != np.median(steady)] = np.nan
    enough = np.isfinite(changes).sum(axis=0) >= max(config.least_steps, round(LEAST_COVERED * len(changes)))
    moved = [name for name, number in sorted(signals.items()) if enough[number] and np.nanstd(changes[:, number]) > 0]
    names = tuple(moved[: config.most_services])
    scores = normal_scores(changes[:, [signals[name] for name in names]])
    busy = [number for number in best_series(grid, "traffic").values() if enough[number]]
    traffic = normal_scores(changes[:, busy]).mean(axis=1) if busy else np.zeros(len(changes))
    callees = {name: known.callees(name)[:MOST_KNOWN] for name in names}
    return _Panel(names, scores, traffic, config.lags, callees)


def normal_scores(columns: FloatArray) -> FloatArray:
    """Return columns (steps, n) with each value replaced by the normal quantile of its rank; 0 where it is unknown.

    Source: Blom (1958) for the plotting position.
    """
    scores = np.zeros(columns.shape)
    for number in range(columns.shape[1]):
        finite = np.flatnonzero(np.isfinite(columns[:, number]))
        _, place, count = np.unique(columns[finite, number], return_inverse=True, return_counts=True)
        middle = (np.cumsum(count) - 0.5 * (count - 1))[place]
        scores[finite, number] = scipy.special.ndtri((middle - 0.375) / (finite.size + 0.25))
    return scores


def _silent(panel: _Panel, known: ServiceGraph) -> "np.typing.NDArray[np.bool_]":
    """Return (caller, callee) which pairs the graph does not connect in either direction."""
    place = {name: number for number, name in enumerate(panel.services)}
    silent = ~np.eye(len(place), dtype=np.bool_)
    for name, number in place.items():
        for other in (*known.callees(name), *known.callers(name)):
            if other in place:
                silent[number, place[other]] = False
    return silent


def _base(panel: _Panel, caller: int, also: Sequence[int]) -> FloatArray:
    """Return an orthonormal basis (steps, k) of what a test knows before it hears of the callee."""
    scores, count = panel.scores, len(panel.services)
    others = (scores.sum(axis=1) - scores[:, caller]) / max(1, count - 1)
    shared = np.stack([panel.traffic, others] if count > 2 else [panel.traffic], axis=1)
    place = {name: number for number, name in enumerate(panel.services)}
    callees = [place[name] for name in panel.known.get(panel.services[caller], ()) if name in place]
    parts = [
        np.ones((len(scores) - panel.first, 1)),
        panel.past(scores[:, [caller]], panel.first),
        shared[panel.first :],
        panel.past(shared, panel.first),
        *([panel.past(scores[:, [*callees, *also]], panel.lags)] if [*callees, *also] else []),
    ]
    left, size, _ = np.linalg.svd(np.concatenate(parts, axis=1), full_matrices=False)
    return np.asarray(left[:, size > 1e-8 * size[0]], dtype=np.float64)


def _tested(panel: _Panel, caller: int, also: Sequence[int]) -> tuple[FloatArray, IntArray]:
    """Return for every service the p-value (n,) of the F test that its past predicts `caller`, and its strongest lag.

    1 where its past lowers what comes: trouble of a callee does not make its caller well.
    """
    base, count = _base(panel, caller, also), len(panel.services)
    wanted = panel.scores[panel.first :, caller]
    wanted = wanted - base @ (base.T @ wanted)
    past = panel.past(panel.scores, panel.lags)
    past = (past - base @ (base.T @ past)).reshape(len(past), count, panel.lags)
    gram = np.einsum("tnk,tnl->nkl", past, past, optimize=True) + _RIDGE * len(past) * np.eye(panel.lags)
    shared = np.einsum("tnk,t->nk", past, wanted)
    slope = np.linalg.solve(gram, shared[:, :, None])[:, :, 0]
    explained = np.einsum("nk,nk->n", slope, shared)
    total, free = float(wanted @ wanted), len(wanted) - base.shape[1] - panel.lags
    if free < 1 or total <= 0.0:
        return np.ones(count), np.ones(count, dtype=np.int64)
    ratio = np.maximum(0.0, explained) / panel.lags / np.maximum((total - explained) / free, 1e-12)
    strongest = np.argmax(np.abs(slope), axis=1)
    p_value = np.asarray(scipy.special.fdtrc(panel.lags, free, ratio), dtype=np.float64)
    return np.where(slope[np.arange(count), strongest] > 0, p_value, 1.0), strongest.astype(np.int64) + 1


def _pruned(panel: _Panel, caller: int, significant: "np.typing.NDArray[np.bool_]", p_value: FloatArray) -> FloatArray:
    """Return the p-values (n,) with those of the finds raised to what they are once the other finds are known.

    A service that is only reached earlier by the same fault, through a third one, predicts nothing beyond that one.
    """
    pruned, finds = p_value.copy(), np.flatnonzero(significant)
    for callee in finds.tolist():
        others = [other for other in finds[np.argsort(p_value[finds], kind="stable")].tolist() if other != callee]
        if others:
            pruned[callee] = max(p_value[callee], _tested(panel, caller, others[:MOST_KNOWN])[0][callee])
    return pruned


def _adjusted(p_value: FloatArray, tests: int) -> FloatArray:
    """Return p-values, any shape, corrected for `tests` of them by Benjamini and Hochberg.

    >>> _adjusted(np.array([0.01, 0.04, 0.03]), 3).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    order = np.argsort(p_value, axis=None, kind="stable")
    ranked = p_value.reshape(-1)[order] * tests / np.arange(1, order.size + 1)
    ranked = np.minimum(1.0, np.minimum.accumulate(ranked[::-1])[::-1])
    adjusted = np.empty(order.size)
    adjusted[order] = ranked
    return adjusted.reshape(p_value.shape)
