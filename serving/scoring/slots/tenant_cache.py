"""What is made once a tenant and kept while it is used."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TenantCache(Generic[T]):
    """One T a tenant, made at its first use; beyond `most` the least recently used one goes. Thread-safe."""

    def __init__(self, make: Callable[[str], T], most: int) -> None:
        self._make = make
        self._most = most
        self._lock = threading.Lock()
        self._made: OrderedDict[str, T] = OrderedDict()

    def of(self, tenant: str) -> T:
        """Return the tenant's; making it may raise what `make` raises, and is tried again at the next use."""
        with self._lock:
            if tenant not in self._made:
                self._made[tenant] = self._make(tenant)
            self._made.move_to_end(tenant)
            while len(self._made) > self._most:
                self._made.popitem(last=False)
            return self._made[tenant]
