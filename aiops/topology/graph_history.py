"""How the call graph changed: intervals of calls by origin, from declarations (people, tables) and from looks (traces, learning).

Each origin keeps intervals of its own; who is believed is decided where a graph is read (`ServiceGraph`: the order of ORIGINS).
A declared call holds until a declaration without it. An observed one holds while no two sightings lie further apart than
`forget_after`, and that long after the last. So an observed history is a function of the sightings alone: the union of segments
that are at most so far apart, whatever the order in which they were reported (single linkage in one dimension).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from aiops.errors import ContractError
from aiops.topology.graph import LEARNED, ORIGINS, UNMARKED, Pair
from data_contracts.schemas.telemetry_schemas import EDGES

ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Valid_from of a call that is declared without a time: it holds whenever one looks."""


@dataclass(frozen=True, slots=True)
class Interval:
    """One row of `schemas.EDGES`: a call held from `valid_from` to `valid_to` (exclusive; None = still), as its origin says."""

    caller: str
    callee: str
    valid_from: datetime
    valid_to: datetime | None
    seen_at: datetime | None
    origin: str
    weight: float | None

    @property
    def pair(self) -> Pair:
        """Return (caller, callee)."""
        return self.caller, self.callee

    @property
    def last(self) -> datetime:
        """Return when it was last seen, as far as that is known."""
        return self.seen_at or self.valid_from


def intervals(history: pa.Table) -> list[Interval]:
    """Return the rows of `schemas.EDGES`; one without an origin is of UNMARKED."""
    return [Interval(**{**row, "origin": row["origin"] or UNMARKED}) for row in history.select(EDGES.names).to_pylist()]


def history_of(rows: Iterable[Interval]) -> pa.Table:
    """Return `schemas.EDGES` of intervals by caller, callee, origin and time, each once."""
    ordered = sorted(set(rows), key=lambda row: (row.pair, row.origin, row.valid_from, row.valid_to or _NEVER, row.last))
    return pa.Table.from_pylist([{name: getattr(interval, name) for name in EDGES.names} for interval in ordered], schema=EDGES)


def observed(history: pa.Table, seen: pa.Table, at: datetime, origin: str, forget_after: timedelta) -> pa.Table:
    """Return the history with calls that `origin` saw in a look that ended at `at`. Told twice or in any order: the same.

    Args:
        history: `schemas.EDGES`.
        seen: caller, callee and, optionally, weight, first_at and last_at (a sighting without times was at `at`).
        at: the other calls of this origin that were seen last more than `forget_after` before it have ended.
        origin: one of ORIGINS.
        forget_after: above zero; the same in all looks of an origin.

    Raises:
        ContractError: the origin is unknown, `forget_after` is not above zero, a column is missing or a sighting is after `at`.
    """
    _check(origin, at)
    if forget_after <= timedelta(0):
        raise ContractError(f"forget_after is {forget_after}; a call is remembered for more than no time: give a longer one")
    rows = intervals(history)
    by_pair: dict[Pair, list[Interval]] = {}
    for row in rows:
        if row.origin == origin:
            by_pair.setdefault(row.pair, []).append(row)
    for sighting in _sightings(seen, at, origin):
        by_pair[sighting.pair] = _joined([*by_pair.get(sighting.pair, ()), sighting], forget_after)
    clock = max([at, *(row.last for intervals_of_pair in by_pair.values() for row in intervals_of_pair)])
    ended = (_ended(row, clock, forget_after) for intervals_of_pair in by_pair.values() for row in intervals_of_pair)
    return history_of([*(row for row in rows if row.origin != origin), *ended])


def declared(history: pa.Table, calls: Iterable[Pair], at: datetime, origin: str) -> pa.Table:
    """Return the history in which, from `at` on, exactly `calls` are what `origin` says; what it said before stays.

    The last word at the same time counts. The first declaration of an origin holds from the start (ALWAYS).

    Raises:
        ContractError: the origin is unknown, or it has said something about a time after `at`.
    """
    _check(origin, at)
    rows = intervals(history)
    own = [row for row in rows if row.origin == origin]
    latest = max((moment for row in own for moment in (row.valid_from, row.valid_to) if moment is not None), default=ALWAYS)
    if latest > at:
        raise ContractError(
            f"edges of origin {origin}: declared as of {at.isoformat()}, but there is word of {latest.isoformat()} already; "
            f"declarations go forward in time: give a later one"
        )
    wanted = {pair for pair in calls if pair[0] != pair[1]}
    begin = at if own else ALWAYS
    kept = [_declared_row(row, row.pair in wanted, at) for row in own]
    held = {row.pair for row in kept if row is not None and row.valid_to is None}
    new = [Interval(*pair, begin, None, None, origin, None) for pair in wanted - held]
    return history_of([*(row for row in rows if row.origin != origin), *(row for row in kept if row is not None), *new])


def replaced(history: pa.Table, edges: pa.Table, origin: str) -> pa.Table:
    """Return the history with all that `origin` said replaced by `edges` (a source that knows its calls over time).

    Rows of `edges` that are marked with another origin are taken as that one's word and replace it as well.
    """
    declared_rows = [replace(row, origin=row.origin if row.origin in ORIGINS else origin) for row in _of_origin(edges, origin)]
    gone = {origin, *(row.origin for row in declared_rows)}
    return history_of([*(row for row in intervals(history) if row.origin not in gone), *declared_rows])


_NEVER: Final = datetime.max.replace(tzinfo=UTC)


def _of_origin(edges: pa.Table, origin: str) -> list[Interval]:
    return [Interval(**{**row, "origin": row["origin"] or origin}) for row in edges.select(EDGES.names).to_pylist()]


def _check(origin: str, at: datetime) -> None:
    if origin not in ORIGINS:
        raise ContractError(f"origin {origin!r} is unknown; choose one of {', '.join(ORIGINS)}")
    if at.tzinfo is None:
        raise ContractError(f"at {at.isoformat()} has no time zone; times are aware UTC: add tzinfo=UTC")


def _sightings(seen: pa.Table, at: datetime, origin: str) -> list[Interval]:
    missing = [name for name in ("caller", "callee") if name not in seen.column_names]
    if missing:
        raise ContractError(f"seen calls: column {missing[0]!r} is missing; they need caller and callee")
    rows: Sequence[Mapping[str, Any]] = seen.to_pylist()
    sightings = []
    for row in rows:
        last = row.get("last_at") or at
        first = row.get("first_at") or last
        if not first <= last <= at:
            raise ContractError(
                f"call {row['caller']} -> {row['callee']}: seen from {first.isoformat()} to {last.isoformat()}, in a look that "
                f"ended at {at.isoformat()}; sightings are in order and not after the look: give a later `at`"
            )
        if row["caller"] != row["callee"]:
            sightings.append(Interval(row["caller"], row["callee"], first, None, last, origin, row.get("weight")))
    return sightings


def _joined(rows: list[Interval], forget_after: timedelta) -> list[Interval]:
    """Return the intervals of one call with those at most `forget_after` apart made one; the newest sighting's weight stays."""
    ordered = sorted(rows, key=lambda interval: (interval.valid_from, interval.last))
    joined = ordered[:1]
    for row in ordered[1:]:
        before = joined[-1]
        if row.valid_from - before.last > forget_after:
            joined.append(row)
            continue
        newest = max(before, row, key=lambda interval: (interval.last, -1.0 if interval.weight is None else interval.weight))
        joined[-1] = replace(before, valid_to=None, seen_at=newest.last, weight=newest.weight)
    return joined


def _ended(row: Interval, clock: datetime, forget_after: timedelta) -> Interval:
    if row.valid_to is not None or clock - row.last <= forget_after:
        return row
    return replace(row, valid_to=row.last + forget_after)


def _declared_row(row: Interval, wanted: bool, at: datetime) -> Interval | None:
    """Return a row of the past as a declaration at `at` leaves it; None where it never held."""
    if wanted:
        return replace(row, valid_to=None) if row.valid_to == at else row
    if row.valid_to is not None:
        return row
    return replace(row, valid_to=at) if row.valid_from < at else None


def calls_at(history: pa.Table, at: datetime | None = None, learned: bool = False) -> tuple[Interval, ...]:
    """Return the calls that hold at a time (still, without one) as their most trusted origin tells them, by caller and callee.

    The same calls and marks as `ServiceGraph.from_edges`, with since when.
    """
    best: dict[Pair, Interval] = {}
    for row in intervals(history):
        held = row.valid_to is None if at is None else row.valid_from <= at and (row.valid_to is None or at < row.valid_to)
        if not held or row.caller == row.callee or (row.origin == LEARNED and not learned):
            continue
        known = best.get(row.pair)
        if known is None or _worth(row) > _worth(known):
            best[row.pair] = row
    return tuple(best[pair] for pair in sorted(best))


def _worth(row: Interval) -> tuple[int, float]:
    trust = -ORIGINS.index(row.origin) if row.origin in ORIGINS else -len(ORIGINS)
    return trust, -1.0 if row.weight is None else row.weight
