"""The values of all metrics over one block of the grid: seasons, load, noise and effects put together."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.simulator.effects import (
    CONNECTIONS,
    CPU,
    DISK,
    ERRORS,
    MEMORY,
    METRICS,
    P50,
    P99,
    TRAFFIC,
    EffectField,
)
from aiops.simulator.everyday import drift_share
from aiops.simulator.noise import BLOCK_STEPS, Grid, autocorrelated
from aiops.simulator.profiles import Profiles
from aiops.simulator.simulation_config import SimulationConfig
from aiops.types import FloatArray
from data_contracts.schemas.metrics import CATALOGUE

_WEEK_H: Final = (0.0, 4.0, 118.0, 122.0, 164.0, 168.0)
_WEEKEND: Final = (0.5, 0.0, 0.0, 1.0, 1.0, 0.5)
"""How much of a weekend it is by hour of the week (Monday 00:00 UTC = 0)."""

_SMOOTH: Final = {
    CONNECTIONS: 0.018,
    CPU: 0.014,
    DISK: 0.0015,
    ERRORS: 0.15,
    P50: 0.035,
    P99: 0.06,
    MEMORY: 0.006,
    TRAFFIC: 0.035,
}
_WHITE: Final = {CONNECTIONS: 0.012, CPU: 0.01, DISK: 0.0008, ERRORS: 0.28, P50: 0.03, P99: 0.08, MEMORY: 0.003, TRAFFIC: 0.025}
_SLOW: Final = {CONNECTIONS: 0.015, CPU: 0.012, DISK: 0.004, ERRORS: 0.12, P50: 0.035, P99: 0.04, MEMORY: 0.014, TRAFFIC: 0.05}
"""Standard deviations of noise (log space for latency, traffic and errors): memory of 5 min, none, and of hours."""

_TAIL: Final = 0.22
_TAIL_FROM: Final = 1.7
_CLEANED: Final = 0.02


def _column(by_metric: dict[int, float]) -> FloatArray:
    return np.array([by_metric[metric] for metric in range(len(METRICS))], dtype=np.float64)[:, None, None]


@dataclass(frozen=True, slots=True)
class SignalModel:
    """Everything that decides values; `drifting` is (services,) 1.0 where the drift of the config applies."""

    config: SimulationConfig
    profiles: Profiles
    effects: EffectField
    drifting: FloatArray

    @property
    def grid(self) -> Grid:
        """Return the grid of the random numbers."""
        return Grid(self.config.seed, len(METRICS), self.drifting.size, self.config.step_s)

    def values(self, block: int, before: FloatArray, white: FloatArray) -> FloatArray:
        """Return (metrics, services, BLOCK_STEPS) values within their ranges.

        `before` and `white` are the white noise of block - 1 and of `block`.
        """
        seconds = (block * BLOCK_STEPS + np.arange(BLOCK_STEPS, dtype=np.float64)) * self.config.step_s
        metrics = self._noise(before, white, seconds)
        noise = metrics.copy()
        metrics[ERRORS] = 0.0  # errors shift by a ratio, but their noise multiplies
        self.effects.add_shifts(metrics, seconds)
        self._add_normal(metrics, noise[ERRORS], seconds)
        self.effects.pull(metrics, noise, seconds)
        for index, name in enumerate(METRICS):
            spec = CATALOGUE[name]
            np.clip(metrics[index], spec.low, spec.high, out=metrics[index])
        return metrics

    def _noise(self, before: FloatArray, white: FloatArray, seconds: FloatArray) -> FloatArray:
        drift = self.config.drift
        noise = autocorrelated(before, white, self.config.step_s)
        noise *= _column(_SMOOTH)
        noise += _column(_WHITE) * white
        for metric in (P99, ERRORS):
            noise[metric] += _TAIL * np.maximum(white[metric] - _TAIL_FROM, 0.0)
        noise += _column(_SLOW) * self.grid.wander(seconds)
        noise *= self.profiles.noise[:, None]
        if drift is not None and drift.kind == "spread":
            noise *= 1.0 + drift.magnitude * self.drifting[:, None] * drift_share(self.config, seconds)
        return noise

    def _demand(self, seconds: FloatArray) -> FloatArray:
        """Return (services, steps) log of traffic relative to its average: time of day and of the week."""
        profiles, drift = self.profiles, self.config.drift
        start = self.config.start
        monday_s = start.timestamp() + 3 * 86400.0  # 1970-01-01 was a Thursday
        hours = (monday_s + seconds) / 3600.0
        peak_h, strength = profiles.peak_h[:, None], np.ones((1, 1))
        if drift is not None and drift.kind == "season":
            moved = drift.magnitude * self.drifting[:, None] * drift_share(self.config, seconds)
            peak_h, strength = peak_h + 6.0 * moved, 1.0 + 0.5 * moved
        angle = (2.0 * math.pi / 24.0) * (hours % 24.0 - peak_h)
        daily = profiles.daily[:, None] * np.cos(angle) + profiles.twice_daily[:, None] * np.cos(2.0 * angle)
        weekend = np.interp(hours % 168.0, _WEEK_H, _WEEKEND)
        demand: FloatArray = strength * daily - profiles.weekend[:, None] * weekend
        return demand

    def _add_normal(self, metrics: FloatArray, error_noise: FloatArray, seconds: FloatArray) -> None:
        """Turn noise and shifts into values: each metric's normal level at the load of the moment, plus what is there."""
        profiles = self.profiles
        load_log = metrics[TRAFFIC]
        load_log += self._demand(seconds)
        load = np.exp(load_log)
        pressed = np.exp(0.7 * load_log) - 1.0
        metrics[TRAFFIC] = load * profiles.traffic[:, None]
        queueing = profiles.latency_load[:, None] * pressed
        slowdown = np.exp(0.5 * metrics[P50])
        for metric, level_ms, more in ((P50, profiles.latency_ms, 1.0), (P99, profiles.latency_ms * profiles.tail_ratio, 1.3)):
            metrics[metric] = np.exp(metrics[metric] + more * queueing) * level_ms[:, None]
        metrics[CPU] += profiles.cpu_idle[:, None] + profiles.cpu_load[:, None] * (pressed + 1.0)
        metrics[MEMORY] += profiles.memory[:, None] + profiles.memory_load[:, None] * pressed + self._garbage(seconds)
        metrics[CONNECTIONS] += profiles.pool_idle[:, None] + profiles.pool_load[:, None] * (pressed + 1.0) * slowdown
        metrics[DISK] += profiles.disk[:, None] + self._disk_fill(seconds)
        metrics[ERRORS] *= np.exp(0.5 * error_noise)
        metrics[ERRORS] += profiles.error_rate[:, None] * np.exp(error_noise + 0.4 * pressed)

    def _disk_fill(self, seconds: FloatArray) -> FloatArray:
        """Return (services, steps): slow growth, then a fall to the start within 2 % of the period when old data is cleaned."""
        profiles = self.profiles
        place = (seconds / profiles.disk_period_s[:, None] + profiles.disk_phase[:, None]) % 1.0
        grown = np.where(place < 1.0 - _CLEANED, place / (1.0 - _CLEANED), (1.0 - place) / _CLEANED)
        return profiles.disk_growth[:, None] * grown

    def _garbage(self, seconds: FloatArray) -> FloatArray:
        """Return (services, steps): memory that piles up and is freed at once, every few hours."""
        profiles = self.profiles
        place = (seconds / profiles.garbage_period_s[:, None] + profiles.disk_phase[:, None]) % 1.0
        piled: FloatArray = profiles.garbage[:, None] * (place - 0.5)
        return piled
