"""Closed minutes with rates of calls, and a call graph that remembers what it was given."""

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa

from aiops.signals.edge_points import CALL_RATE, CALLEE
from aiops.signals.minute_series import MinutePoint, table_of
from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.values.moments import microseconds_of
from serving.signal_minutes.call_sightings import Pair
from serving.signal_minutes.partition_minutes import Closed
from serving.signal_minutes.tenant_minutes import MINUTE_US

FIRST = 29_000_000
"""Number of the first minute of the tests."""


def end_us(minute: int) -> int:
    """Return the end of a minute of the tests, us since 1970."""
    return (FIRST + minute + 1) * MINUTE_US


def calls(minute: int, pairs: Sequence[Pair], rate: float = 1.0, tenant: str = DEFAULT_TENANT) -> Closed:
    """Return a closed minute with calls."""
    points = [MinutePoint(FIRST + minute, caller, CALL_RATE, rate, (CALLEE, callee)) for caller, callee in pairs]
    return Closed({tenant: [table_of(points)]})


class KeptCalls:
    """A graph that keeps (first, last) of each look at a call; `broken`: it raises instead."""

    def __init__(self) -> None:
        self.broken: Exception | None = None
        self.looks: list[dict[Pair, tuple[int, int]]] = []

    def observe(self, sightings: pa.Table, at: datetime, origin: str) -> object:
        """Keep what was seen."""
        if self.broken is not None:
            raise self.broken
        assert origin == "traces"
        rows = sightings.to_pylist()
        assert max(row["last_at"] for row in rows) == at
        look = {
            (row["caller"], row["callee"]): (microseconds_of(row["first_at"]), microseconds_of(row["last_at"])) for row in rows
        }
        self.looks.append(look)
        return None

    def times(self) -> dict[Pair, tuple[int, int]]:
        """Return when each call was seen first and last."""
        kept: dict[Pair, tuple[int, int]] = {}
        for look in self.looks:
            for pair, (first_us, last_us) in look.items():
                before = kept.get(pair, (first_us, last_us))
                kept[pair] = (min(before[0], first_us), max(before[1], last_us))
        return kept
