"""Made-up systems for tests: a grid of noisy series in which chosen services stray for some minutes."""

import numpy as np

from aiops.types import FloatArray
from models.detectors.minute_grid import MinuteGrid

STEP_US = 60_000_000
METRICS = ("latency_p50_ms", "latency_p99_ms", "cpu_utilization", "error_rate", "requests_per_second")
CENTRES = {
    "latency_p50_ms": 20.0,
    "latency_p99_ms": 90.0,
    "cpu_utilization": 0.2,
    "error_rate": 0.01,
    "requests_per_second": 50.0,
}


def names(services: int) -> tuple[str, ...]:
    return tuple(sorted(f"service-{number}|{metric}" for number in range(services) for metric in METRICS))


def quiet(steps: int = 300, services: int = 4, seed: int = 0, noise: float = 0.05) -> MinuteGrid:
    """Return a system in which nothing happens."""
    rng = np.random.default_rng(seed)
    series = names(services)
    centres = np.array([CENTRES[name.partition("|")[2]] for name in series])
    return MinuteGrid(0, 60, series, centres * np.exp(rng.normal(0.0, noise, (steps, len(series)))))


def with_values(grid: MinuteGrid, values: FloatArray) -> MinuteGrid:
    return MinuteGrid(grid.first_us, grid.step_s, grid.series, values)


def with_fault(grid: MinuteGrid, service: str, start: int, steps: int, factor: float = 8.0) -> MinuteGrid:
    """Return the grid with the latencies and errors of one service multiplied from `start` on."""
    values = grid.values.copy()
    for column, name in enumerate(grid.series):
        if name.startswith(f"{service}|") and ("latency" in name or "error" in name):
            values[start : start + steps, column] *= factor
    return with_values(grid, values)
