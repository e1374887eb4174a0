"""A Prometheus text page read back: counters summed, quantiles estimated from histogram buckets."""

import math
import time
from dataclasses import dataclass
from typing import Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from aiops.errors import Unavailable

TIMEOUT_S: Final = 30.0
AGAIN_S: Final = (0.1, 0.3, 1.0)


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """Samples as (name, labels, value)."""

    samples: tuple[tuple[str, dict[str, str], float], ...]

    @classmethod
    def fetch(cls, url: str) -> "MetricsPage":
        """Read a page; one that fails is asked for again.

        A service of several processes cannot show its metrics while one of them is just creating its file.

        Raises:
            Unavailable: it fails again and again.
        """
        waits = iter(AGAIN_S)
        while True:
            try:
                return cls.parse(httpx.get(url, timeout=TIMEOUT_S, trust_env=False).raise_for_status().text)
            except httpx.HTTPError as error:
                wait_s = next(waits, None)
                if wait_s is None:
                    raise Unavailable(f"{url} does not show its metrics ({error}); see the log of that process") from error
                time.sleep(wait_s)

    @classmethod
    def parse(cls, text: str) -> "MetricsPage":
        """Return the samples of a page."""
        families = text_string_to_metric_families(text)
        return cls(tuple((s.name, dict(s.labels), float(s.value)) for family in families for s in family.samples))

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples of that name with those labels; 0 where there is none."""
        return sum(value for sample, have, value in self.samples if sample == name and labels.items() <= have.items())

    def quantile_ms(self, histogram: str, share: float, **labels: str) -> float:
        """Return the estimated quantile of a histogram of seconds, in ms, linear within a bucket; NaN where it is empty."""
        buckets: dict[float, float] = {}
        for sample, have, value in self.samples:
            if sample == f"{histogram}_bucket" and labels.items() <= have.items():
                edge = float(have["le"])
                buckets[edge] = buckets.get(edge, 0.0) + value
        edges = sorted(buckets)
        if not edges or not buckets[edges[-1]]:
            return math.nan
        rank, below, lower = share * buckets[edges[-1]], 0.0, 0.0
        for edge in edges:
            if buckets[edge] >= rank:
                if math.isinf(edge):
                    return lower * 1e3
                inside = (rank - below) / max(buckets[edge] - below, 1e-12)
                return (lower + inside * (edge - lower)) * 1e3
            below, lower = buckets[edge], edge
        return lower * 1e3
