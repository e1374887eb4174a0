"""How the metrics of a cause stand: medians of the newest steps beside their baselines, resources by how full they are."""

import math

import numpy as np

from models.rca.grid import SeriesGrid
from models.rca.metric_levels import MOST_RESOURCES, levels_of

MINUTE_US = 60_000_000


def grid(columns: dict[tuple[str, str], list[float]]) -> SeriesGrid:
    values = np.array(list(columns.values())).T
    return SeriesGrid(np.arange(len(values), dtype=np.int64) * MINUTE_US, tuple(columns), values)


def test_golden_signals_come_first_then_resources_the_fullest_first() -> None:
    window = grid(
        {
            ("cart", "disk_utilization"): [0.2, 0.2, 0.2, 0.2],
            ("cart", "error_rate"): [0.0, 0.2, 0.3, 0.1],
            ("cart", "latency_p50_ms"): [10.0, 40.0, 50.0, 45.0],
            ("cart", "memory_utilization"): [0.5, 0.93, 0.95, 0.94],
            ("cart", "requests_per_second"): [5.0, 9.0, 8.0, 700.0],
            ("mail", "memory_utilization"): [0.99, 0.99, 0.99, 0.99],
        }
    )
    levels = levels_of(window, dict.fromkeys(window.series, 0.25), "cart")
    assert [(level.metric, level.now, level.limit) for level in levels] == [
        ("requests_per_second", 9.0, None),
        ("latency_p50_ms", 45.0, None),
        ("error_rate", 0.2, None),
        ("memory_utilization", 0.94, 1.0),
        ("disk_utilization", 0.2, 1.0),
    ]
    assert {level.usual for level in levels} == {0.25}


def test_what_has_no_baseline_or_no_newest_value_has_no_level() -> None:
    window = grid(
        {
            ("cart", "latency_p50_ms"): [10.0, math.nan, math.nan, math.nan],
            ("cart", "memory_utilization"): [0.5, math.nan, 0.9, math.nan],
            ("cart", "error_rate"): [0.1, 0.1, 0.1, 0.1],
        }
    )
    levels = levels_of(window, {("cart", "latency_p50_ms"): 9.0, ("cart", "memory_utilization"): 0.4}, "cart")
    assert [(level.metric, level.now) for level in levels] == [("memory_utilization", 0.9)]
    assert levels_of(window, {}, "nobody") == ()


def test_many_resources_are_bounded() -> None:
    names = [f'memory_utilization{{pod="{number}"}}' for number in range(20)]
    window = grid({("cart", name): [0.01 * number] * 4 for number, name in enumerate(names)})
    levels = levels_of(window, dict.fromkeys(window.series, 0.5), "cart")
    assert [level.metric for level in levels] == names[: -MOST_RESOURCES - 1 : -1]
