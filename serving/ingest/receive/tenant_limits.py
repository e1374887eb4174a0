"""Limits of tenants: those of the settings, with what is set for a single tenant; and how fast a tenant may send."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from aiops.settings.ingest_settings import IngestSettings

BURST_S: Final = 10.0
"""So many seconds' worth of points may come at once."""


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """Limits of one tenant, by the names of the settings."""

    points_per_s: int
    max_series: int
    max_body_bytes: int
    max_labels: int
    max_label_bytes: int


class LimitsByTenant:
    """Looks up a tenant's limits."""

    def __init__(self, settings: IngestSettings) -> None:
        self._default = TenantLimits(
            settings.points_per_s, settings.max_series, settings.max_body_bytes, settings.max_labels, settings.max_label_bytes
        )
        self._own = {tenant: replace(self._default, **limits) for tenant, limits in json.loads(settings.limits).items()}

    def of(self, tenant: str) -> TenantLimits:
        """Return the limits of a tenant."""
        return self._own.get(tenant, self._default)

    @property
    def largest_body(self) -> int:
        """Return the largest body that any tenant may send."""
        return max(limits.max_body_bytes for limits in (self._default, *self._own.values()))


class PointBudget:
    """A token bucket: a rate a second with a burst of 10 s. A body larger than the whole bucket is taken when it is full."""

    def __init__(self, per_s: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s = per_s
        self._clock = clock
        self._most = per_s * BURST_S
        self._left, self._at = self._most, clock()

    def wait_s(self, points: int) -> int:
        """Return 0 if so many points may come now, else the seconds until they may; nothing is spent."""
        self._refill()
        missing = min(points, self._most) - self._left
        return max(1, ceil(missing / self._per_s)) if missing > 0 else 0

    def spend(self, points: int) -> None:
        """Spend what came."""
        self._refill()
        self._left -= points

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._per_s)
        self._at = now
