"""Calls between services as spans show them, kept in the call graph of their tenant with origin traces.

Calls that were not seen before are kept at once, known ones now and then: every change makes readers look at the graph again.
The graph takes sightings in any order and as often as they come, so a replay after a crash changes nothing.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import AiopsError
from aiops.signals.edge_points import CALL_RATE, CALLEE
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.values.moments import microseconds_of, moment_of_us
from serving.host.log_rate_limit import LineLimit
from serving.signal_minutes.partition_minutes import Closed

ORIGIN: Final = "traces"
MOST: Final = 65_536
"""Calls that wait, and calls that are known, at most."""
_NEW_S: Final = 10.0
_KNOWN_S: Final = 900.0

_lines = LineLimit(logging.getLogger(__name__))
Pair = tuple[str, str]


class CallGraph(Protocol):
    """Keeps the calls of a tenant (`serving.tables.graph_store.GraphStore`)."""

    def observe(self, sightings: pa.Table, at: datetime, origin: str) -> object:
        """Work sightings in: caller, callee, first_at, last_at."""


@dataclass(slots=True)
class _Seen:
    """When a call was seen first and last, us since 1970."""

    first_us: int
    last_us: int

    def again(self, at_us: int) -> None:
        """Note that it was seen once more."""
        self.first_us, self.last_us = min(self.first_us, at_us), max(self.last_us, at_us)


class CallSightings:
    """Sightings that are not in the graph yet, by tenant; one thread. Memory: `most` calls that wait, and as many that are known.

    While the lake cannot be written, calls beyond that are left out, counted, and noted again when they are seen again.
    """

    def __init__(
        self,
        graph_of: Callable[[str], CallGraph] | None,
        clock: Callable[[], float] = time.monotonic,
        most: int = MOST,
    ) -> None:
        self._graph_of = graph_of
        self._clock = clock
        self._most = most
        self._waiting: dict[str, dict[Pair, _Seen]] = {}
        self._known: set[tuple[str, Pair]] = set()
        self._kept_at = self._all_kept_at = clock()
        self.left_out = 0
        """Sightings for which there was no room."""

    @property
    def waiting(self) -> int:
        """Return the calls that are not in the graph yet, or were seen again since."""
        return sum(map(len, self._waiting.values()))

    @property
    def known(self) -> int:
        """Return the calls of which it is known that the graph has them; beyond `most` all are new again."""
        return len(self._known)

    def add(self, closed: Closed) -> None:
        """Note the calls of closed minutes: rates of calls, with the label `callee`."""
        if self._graph_of is None:
            return
        left_out = self.left_out
        for tenant, tables in closed.series.items():
            for rows in tables:
                for pair, at_us in _calls(rows):
                    self._note(tenant, pair, at_us)
        if self.left_out > left_out:
            _lines.warn("room", f"{self.left_out - left_out} sightings of calls are left out: {self._most} wait for the graph")

    def _note(self, tenant: str, pair: Pair, at_us: int) -> None:
        seen = self._waiting.get(tenant, {}).get(pair)
        if seen is not None:
            seen.again(at_us)
        elif self.waiting < self._most:
            self._waiting.setdefault(tenant, {})[pair] = _Seen(at_us, at_us)
        else:
            self.left_out += 1

    def keep(self, hurry: bool) -> None:
        """Keep what is due, all of it in a hurry or for want of room. A lake that cannot be written is named and tried again."""
        now = self._clock()
        all_due = hurry or now - self._all_kept_at >= _KNOWN_S or self.waiting >= self._most
        if self._graph_of is None or not (all_due or now - self._kept_at >= _NEW_S):
            return
        self._kept_at, self._all_kept_at = now, now if all_due else self._all_kept_at
        for tenant, calls in list(self._waiting.items()):
            if not all_due and all((tenant, pair) in self._known for pair in calls):
                continue
            try:
                newest_us = max(seen.last_us for seen in calls.values())
                self._graph_of(tenant).observe(_table(calls), moment_of_us(newest_us), ORIGIN)
            except (AiopsError, OSError) as error:
                _lines.warn(tenant, f"calls of tenant {tenant} are not kept yet: {error}")
                continue
            del self._waiting[tenant]
            self._remember({(tenant, pair) for pair in calls})

    def _remember(self, calls: set[tuple[str, Pair]]) -> None:
        if len(self._known | calls) > self._most:
            self._known.clear()
        self._known |= calls


def _table(calls: dict[Pair, _Seen]) -> pa.Table:
    return pa.table(
        {
            "caller": [caller for caller, _ in calls],
            "callee": [callee for _, callee in calls],
            "first_at": pa.array([moment_of_us(seen.first_us) for seen in calls.values()], TIMESTAMP),
            "last_at": pa.array([moment_of_us(seen.last_us) for seen in calls.values()], TIMESTAMP),
        }
    )


def _calls(rows: pa.Table) -> Iterator[tuple[Pair, int]]:
    """Yield caller and callee, and the time (us), of every call among closed minutes."""
    wanted = pc.and_(pc.equal(rows["metric"], pa.scalar(CALL_RATE)), pc.greater(rows["value"], pa.scalar(0.0)))
    for row in rows.filter(wanted).to_pylist():
        caller, callee, at_us = str(row["service"]), dict(row["labels"]).get(CALLEE, ""), microseconds_of(row["timestamp"])
        if callee and callee != caller:
            yield (caller, callee), at_us
