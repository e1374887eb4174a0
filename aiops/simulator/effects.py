"""Effects: what happens to one metric of one service over time, as a polyline; and the sum of all of them over a block."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.types import FloatArray, IntArray
from data_contracts.schemas.metrics import CATALOGUE

METRICS: Final[tuple[str, ...]] = tuple(sorted(CATALOGUE))
"""Metrics in the order in which they are emitted."""

CONNECTIONS, CPU, DISK, ERRORS, P50, P99, MEMORY, TRAFFIC = range(len(METRICS))
LOG_METRICS: Final = (P50, P99, TRAFFIC)
"""Metrics whose shifts are in log space: 0.69 doubles. The other metrics' shifts are added in the metric's own unit."""

_KEPT_NOISE: Final = 0.6


@dataclass(frozen=True, slots=True)
class Effect:
    """A polyline (seconds since the start of the simulation → strength) on one metric of one service.

    `target` NaN: strength is added (in log space for LOG_METRICS). Otherwise strength is the share, 0..1, of the way from the
    undisturbed value to `target`. Before the first time the strength is 0; after the last it stays what it is there.
    `gate`: a polyline of factors on the strength; none = 1.
    """

    service: int
    metric: int
    times_s: tuple[float, ...]
    strengths: tuple[float, ...]
    target: float = float("nan")
    gate_s: tuple[float, ...] = ()
    gate: tuple[float, ...] = ()

    def at(self, seconds: FloatArray) -> FloatArray:
        """Return the strength at each of `seconds`."""
        strength: FloatArray = np.interp(seconds, self.times_s, self.strengths)
        return strength * np.interp(seconds, self.gate_s, self.gate) if self.gate_s else strength


def pulse(start_s: float, end_s: float, rise_s: float, fall_s: float) -> tuple[float, ...]:
    """Return the times of a trapezoid: rises from `start_s`, falls from `end_s`; its strengths are (0, x, x, 0)."""
    top_s = min(start_s + rise_s, end_s)
    return (start_s, top_s, end_s, end_s + fall_s)


class EffectField:
    """All effects of a simulation, evaluated over a block of time. Immutable.

    O(effects) comparisons a block and one interpolation for each effect that is active in it.
    """

    def __init__(self, effects: Sequence[Effect]) -> None:
        self._effects = tuple(effects)
        self._starts: FloatArray = np.array([effect.times_s[0] for effect in effects], dtype=np.float64)
        ends = [np.inf if effect.strengths[-1] else effect.times_s[-1] for effect in effects]
        self._ends: FloatArray = np.array(ends, dtype=np.float64)
        self._is_pull = np.array([effect.target == effect.target for effect in effects], dtype=np.bool_)

    def add_shifts(self, metrics: FloatArray, seconds: FloatArray) -> None:
        """Add what shifts to `metrics`, (metrics, services, steps), in place."""
        for index in self._active_in(seconds, pull=False):
            effect = self._effects[index]
            metrics[effect.metric, effect.service] += effect.at(seconds)

    def pull(self, metrics: FloatArray, noise: FloatArray, seconds: FloatArray) -> None:
        """Move `metrics`, (metrics, services, steps), towards the targets of what pulls, in place.

        `noise`, same shape, is what `metrics` contains of it: most of it stays at the target.
        """
        for index in self._active_in(seconds, pull=True):
            effect = self._effects[index]
            row = metrics[effect.metric, effect.service]
            row += effect.at(seconds) * (effect.target + _KEPT_NOISE * noise[effect.metric, effect.service] - row)

    def _active_in(self, seconds: FloatArray, pull: bool) -> IntArray:
        active = (self._starts <= seconds[-1]) & (self._ends >= seconds[0]) & (self._is_pull == pull)
        return np.flatnonzero(active).astype(np.int64)
