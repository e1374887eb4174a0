"""Batches of points for the conformance suite: two series a minute apart, and every way in which they can be odd."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from aiops.types import FloatArray, IntArray, SeriesBatch
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from tests.testing.series_names import points as points_batch

MINUTE_US = 60_000_000
START_US = 1_741_000_000 * 1_000_000
SERVICES = ("cart", "web")
METRIC = "latency_p50_ms"


@dataclass(frozen=True)
class Points:
    """Rows in order of arrival: time in us, number of the service, value."""

    time: IntArray
    code: IntArray
    value: FloatArray
    names: tuple[str, ...] = SERVICES

    def batch(self) -> SeriesBatch:
        """Return the rows over buffers of their own, which a careless detector could write to."""
        columns = [
            pa.array(self.time.copy()).cast(TIMESTAMP),
            pa.DictionaryArray.from_arrays(pa.array(self.code.astype(np.int32)), pa.array(self.names)),
            pa.DictionaryArray.from_arrays(pa.array(np.zeros(self.code.size, np.int32)), pa.array([METRIC])),
            pa.array(self.value.copy()),
        ]
        return points_batch(*columns)

    def take(self, rows: IntArray) -> "Points":
        """Return the rows chosen, in that order."""
        return Points(self.time[rows], self.code[rows], self.value[rows], self.names)

    def scaled(self, scale: float) -> "Points":
        """Return the same rows with their values times `scale`."""
        return Points(self.time, self.code, self.value * scale, self.names)

    def recoded(self) -> "Points":
        """Return the same rows with the dictionary of services the other way round, and a name that no row has."""
        return Points(self.time, len(self.names) - self.code, self.value, ("unused", *self.names[::-1]))


def regular(points: int, seed: int = 0) -> Points:
    """Return `points` points of each series around 100: noise of 5 about a slow wave."""
    rng = np.random.default_rng(seed)
    count = points * len(SERVICES)
    number = np.arange(count) // len(SERVICES)
    value = 100.0 + 3.0 * np.sin(number / 20.0) + rng.normal(0.0, 5.0, count)
    return Points(START_US + number * MINUTE_US, np.arange(count) % len(SERVICES), np.clip(value, 80.0, 120.0))


def with_gaps(points: int) -> Points:
    """Return regular points without a tenth of them, and without three hours."""
    whole = regular(points)
    rng = np.random.default_rng(3)
    kept = np.flatnonzero(rng.random(whole.time.size) > 0.1)
    held = whole.take(kept)
    late = held.time > held.time[held.time.size // 2]
    return Points(held.time + late * 180 * MINUTE_US, held.code, held.value)


def disordered(points: int) -> Points:
    """Return regular points, a fifth of them up to 20 min late, a tenth of them twice with another value."""
    whole = regular(points)
    rng = np.random.default_rng(4)
    count = whole.time.size
    arrival = whole.time + np.where(rng.random(count) < 0.2, rng.integers(0, 20 * MINUTE_US, count), 0)
    twice = np.flatnonzero(rng.random(count) < 0.1)
    rows = np.concatenate([np.arange(count), twice])
    value = np.concatenate([whole.value, whole.value[twice] + 1.0])
    order = np.argsort(np.concatenate([arrival, arrival[twice] + MINUTE_US]), kind="stable")
    return Points(whole.time[rows][order], whole.code[rows][order], value[order])
