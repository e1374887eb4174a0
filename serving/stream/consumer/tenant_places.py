"""Places of tenants in a partition: one that nothing came of for long gives its place to a new one, when there is no other.

Whose place it is follows from the entries alone, in their order, so that a replay gives away the same places.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from data_contracts.series.tenant import tenant_fault
from serving.stream import streams

USED: Final = "tenants_used_us"
"""Name of the array of a snapshot."""


class TenantPlaces:
    """When something last came of each tenant. `most` places; after `idle_us` a place may be given away."""

    def __init__(self, most: int, idle_us: int, used_us: Mapping[str, int] | None = None) -> None:
        self._most = most
        self._idle_us = idle_us
        self._used_us = dict(used_us or {})

    @classmethod
    def restore(cls, most: int, idle_us: int, names: Sequence[str], state: Mapping[str, npt.NDArray[Any]]) -> "TenantPlaces":
        """Return the places of tenants, in order, of a snapshot; one without the array has used all of them at no known time."""
        used = state[USED].tolist() if USED in state else [0] * len(names)
        return cls(most, idle_us, dict(zip(names, used, strict=True)))

    def snapshot(self, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Return when something last came of each of these tenants, us since 1970."""
        return {USED: np.array([self._used_us.get(name, 0) for name in names], np.int64)}

    def runs(
        self, entries: Sequence[streams.Entry], held: Collection[str], give_away: Callable[[str], None]
    ) -> Iterator[Sequence[streams.Entry]]:
        """Yield the entries in order, cut where a place is given away: what came before is applied by then.

        `held`: the tenants that have a place, as it is once a run was applied; `give_away` takes one its place.
        """
        first, coming = 0, set[str]()
        for number, entry in enumerate(entries):
            name = entry.tenant
            if name not in held and name not in coming and tenant_fault(name) is None:
                if len(held) + len(coming) >= self._most:
                    yield entries[first:number]
                    first, coming = number, set()
                    idle = self._idle(held, entry.available_us)
                    if idle is not None:
                        give_away(idle)
                        del self._used_us[idle]
                if len(held) + len(coming) < self._most:
                    coming.add(name)
            if name in held or name in coming:
                self._used_us[name] = max(self._used_us.get(name, 0), entry.available_us)
        yield entries[first:]

    def _idle(self, held: Collection[str], clock_us: int) -> str | None:
        """Return the tenant of which nothing came for longest, where that is long enough."""
        longest = min(held, key=lambda name: (self._used_us.get(name, 0), name), default=None)
        known = longest is not None and clock_us - self._used_us.get(longest, 0) > self._idle_us
        return longest if known else None
