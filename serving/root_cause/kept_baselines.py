"""The baselines that were fitted last, by what they were fitted to: fitting one costs hours of telemetry."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Baseline = TypeVar("Baseline")


class KeptBaselines(Generic[Baseline]):
    """Keeps the newest `most`. Thread-safe: two threads may fit the same one, and the later one stays."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: OrderedDict[Hashable, Baseline] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Baseline | None:
        """Return what is kept, None where it is not."""
        with self._lock:
            return self._kept.get(key)

    def keep(self, key: Hashable, baseline: Baseline) -> None:
        """Keep one; of those that are too many the first kept is forgotten."""
        with self._lock:
            self._kept[key] = baseline
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
