"""Made-up incidents for tests of the root cause analysis: a shop of which chosen metrics stray from a chosen minute on."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from aiops.topology.graph import ServiceGraph
from models.rca.grid import SeriesGrid
from models.rca.inputs import RcaInputs, WindowConfig

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
STEP_US = 60_000_000
SHOP = ServiceGraph.from_pairs([("web", "checkout"), ("checkout", "cart"), ("cart", "catalogue"), ("web", "mail")])
LEVELS = {
    "latency_p99_ms": 40.0,
    "error_rate": 0.01,
    "cpu_utilization": 0.3,
    "requests_per_second": 50.0,
}
CALM_MIN = 180
Strays = Mapping[tuple[str, str], tuple[int, float]]
"""(service, metric) -> (minute from which on, what is added)."""
SLOW_CATALOGUE: Strays = {
    ("catalogue", "latency_p99_ms"): (CALM_MIN + 10, 800.0),
    ("cart", "latency_p99_ms"): (CALM_MIN + 11, 700.0),
    ("checkout", "latency_p99_ms"): (CALM_MIN + 12, 600.0),
}
ALERTED = {"checkout": 13, "cart": 13}


def at(minute: int) -> datetime:
    return START + timedelta(minutes=minute)


def shop_grid(strays: Strays, minutes: int = CALM_MIN + 16, graph: ServiceGraph = SHOP, seed: int = 0) -> SeriesGrid:
    """Return the shop's telemetry, a row a minute."""
    rng, columns, names = np.random.default_rng(seed), [], []
    for service in graph.services:
        for metric, level in LEVELS.items():
            column = level * (1.0 + rng.normal(0.0, 0.03, minutes))
            since, more = strays.get((service, metric), (minutes, 0.0))
            column[since:] += more
            columns.append(column)
            names.append((service, metric))
    first = round(START.timestamp() * 1e6)
    return SeriesGrid(first + STEP_US * np.arange(minutes, dtype=np.int64), tuple(names), np.stack(columns, axis=1))


def shop_inputs(grid: SeriesGrid, alerted: Mapping[str, int], graph: ServiceGraph = SHOP) -> RcaInputs:
    """Return what is known at the grid's last minute; `alerted`: minutes after the calm time."""
    made_at = datetime.fromtimestamp(int(grid.time_us[-1]) / 1e6, UTC)
    seen = {service: at(CALM_MIN + minute) for service, minute in alerted.items()}
    return RcaInputs.around(grid, graph, made_at, seen, WindowConfig(lead_s=600.0, before_s=600.0))
