"""Telemetry of four services whose database becomes slow: the root never alerts, its callers do."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from tests.testing.series_names import lake_rows

START = datetime(2026, 3, 2, tzinfo=UTC)
BEGAN = START + timedelta(hours=4)
CALLS = (("web", "cart"), ("cart", "db"), ("web", "mail"))
LATENCY = {"web": 0.10, "cart": 0.05, "db": 0.02, "mail": 0.01}
MINUTE = timedelta(minutes=1)


def rows(begin: datetime, minutes: int, slow: float = 0.0, seed: int = 0) -> pa.Table:
    """Return telemetry of four services; `slow` seconds more at db, and so at its callers."""
    rng, times = np.random.default_rng(seed), [begin + minute * MINUTE for minute in range(minutes)]
    parts = []
    for service, latency in LATENCY.items():
        more = slow if service != "mail" else 0.0
        metrics = {
            "latency_mean_s": latency * rng.normal(1, 0.02, minutes) + more,
            "requests_per_second": 100 * rng.normal(1, 0.02, minutes),
            "error_percent": np.zeros(minutes),
            "cpu_usage": 0.3 + rng.normal(0, 0.01, minutes),
        }
        for metric, values in metrics.items():
            names = {"service": [service] * minutes, "metric": [metric] * minutes}
            parts.append(lake_rows(pa.table({"timestamp": times, **names, "value": values, "available_at": times})))
    return pa.concat_tables(parts)
