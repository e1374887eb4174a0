"""Calls between services as spans show them, kept in the call graph of their tenant with origin traces.

Calls that were not seen before are kept at once, known ones now and then: every change makes readers look at the graph again.
The graph takes sightings in any order and as often as they come, so a replay after a crash changes nothing.
"""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import AiopsError
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.values.moments import microseconds_of, moment_of_us
from serving.host.log_rate_limit import LineLimit
from serving.signal_minutes.partition_minutes import Closed
from serving.tables.graph_store import GraphStore

ORIGIN: Final = "traces"
CALLS: Final = "span.call.requests_per_second"
CALLEE: Final = "callee"
_NEW_S: Final = 10.0
_KNOWN_S: Final = 900.0
_MOST: Final = 65_536
"""Calls that are waiting or known; beyond it all are new again."""

_lines = LineLimit(logging.getLogger(__name__))
Pair = tuple[str, str]


class CallSightings:
    """Sightings that are not in the graph yet, by tenant; one thread. Memory: `_MOST` calls."""

    def __init__(self, graph_of: Callable[[str], GraphStore] | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._graph_of = graph_of
        self._clock = clock
        self._waiting: dict[str, dict[Pair, list[int]]] = {}
        self._known: set[tuple[str, Pair]] = set()
        self._kept_at = self._all_kept_at = clock()

    def add(self, closed: Closed) -> None:
        """Note the calls of closed minutes: rates of calls, with the label `callee`."""
        if self._graph_of is None:
            return
        for tenant, tables in closed.series.items():
            for rows in tables:
                for pair, at_us in _calls(rows):
                    seen = self._waiting.setdefault(tenant, {}).setdefault(pair, [at_us, at_us])
                    seen[0], seen[1] = min(seen[0], at_us), max(seen[1], at_us)

    def keep(self, hurry: bool) -> None:
        """Keep what is due, all of it in a hurry. A lake that cannot be written is named and tried again."""
        now = self._clock()
        all_due = hurry or now - self._all_kept_at >= _KNOWN_S
        if self._graph_of is None or not (all_due or now - self._kept_at >= _NEW_S):
            return
        self._kept_at, self._all_kept_at = now, now if all_due else self._all_kept_at
        for tenant, calls in list(self._waiting.items()):
            if not all_due and all((tenant, pair) in self._known for pair in calls):
                continue
            try:
                seen = _seen(calls)
                newest_us = max(last_us for _, last_us in calls.values())
                self._graph_of(tenant).observe(seen, moment_of_us(newest_us), ORIGIN)
            except (AiopsError, OSError) as error:
                _lines.warn(tenant, f"calls of tenant {tenant} are not kept yet: {error}")
                continue
            self._known |= {(tenant, pair) for pair in calls}
            del self._waiting[tenant]
        if len(self._known) > _MOST:
            self._known.clear()


def _seen(calls: dict[Pair, list[int]]) -> pa.Table:
    times: list[list[datetime]] = [[moment_of_us(us) for us in seen] for seen in calls.values()]
    return pa.table(
        {
            "caller": [caller for caller, _ in calls],
            "callee": [callee for _, callee in calls],
            "first_at": pa.array([first for first, _ in times], TIMESTAMP),
            "last_at": pa.array([last for _, last in times], TIMESTAMP),
        }
    )


def _calls(rows: pa.Table) -> Iterator[tuple[Pair, int]]:
    """Yield caller and callee, and the time (us), of every call among closed minutes."""
    wanted = pc.and_(pc.equal(rows["metric"], pa.scalar(CALLS)), pc.greater(rows["value"], pa.scalar(0.0)))
    for row in rows.filter(wanted).to_pylist():
        caller, callee, at_us = str(row["service"]), dict(row["labels"]).get(CALLEE, ""), microseconds_of(row["timestamp"])
        if callee and callee != caller:
            yield (caller, callee), at_us
