"""The series of each tenant, looked up anew after some seconds: whoever types a filter asks many times for the same."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Final

from serving.lake.port import Lake
from serving.tables.series_answers import KnownSeries, known_series

KEPT_S: Final = 15.0
MOST_TENANTS: Final = 16


@dataclass(frozen=True, slots=True)
class _Kept:
    at_s: float
    series: KnownSeries


class KnownCache:
    """Keeps what is known of the series of `most` tenants for `kept_s` seconds. Thread-safe; looks up one lake at a time."""

    def __init__(self, kept_s: float = KEPT_S, most: int = MOST_TENANTS, clock: Callable[[], float] = time.monotonic) -> None:
        self._kept_s = kept_s
        self._most = most
        self._clock = clock
        self._by_tenant: OrderedDict[str, _Kept] = OrderedDict()
        self._lock = Lock()

    def of(self, lake: Lake) -> KnownSeries:
        """Return the series of a lake as they were at most `kept_s` seconds ago."""
        with self._lock:
            kept = self._by_tenant.get(lake.tenant)
            if kept is None or self._clock() - kept.at_s >= self._kept_s:
                kept = _Kept(self._clock(), known_series(lake))
                self._by_tenant[lake.tenant] = kept
            self._by_tenant.move_to_end(lake.tenant)
            while len(self._by_tenant) > self._most:
                self._by_tenant.popitem(last=False)
            return kept.series
