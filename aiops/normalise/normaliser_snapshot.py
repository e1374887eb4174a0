"""The state of a normaliser as named plain arrays and back: versioned, no pickle, names as UTF-8 bytes."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aiops.errors import OutdatedState, StateError
from aiops.normalise.families import (
    ARENA_END,
    ARENA_WASTE,
    FAMILY_COUNT,
    FAMILY_RECORD,
    MEMBER_COUNT,
    MEMBER_RECORD,
    FamilyState,
    empty_families,
    rebuild_family_table,
)
from aiops.normalise.name_store import NameStore
from aiops.normalise.raw_series import (
    RAW_RECORD,
    SERIES_COUNT,
    NormaliserState,
    empty_raw,
    rebuild_raw_table,
)
from aiops.normalise.series_book import SeriesBook
from aiops.normalise.whole_histograms import packed_arena
from aiops.types import State

VERSION: Final = 1
_PENDING: Final = ("pending_time", "pending_start", "pending_clock", "pending_have")
_FIX: Final = "remove the checkpoint to warm up anew"


def pack(book: SeriesBook) -> State:
    """Return the state as arrays of their own, the same wherever histograms lie in memory. Cost: one copy."""
    raw, families = book.state
    count, family_count = int(raw.counters[SERIES_COUNT]), int(families.counters[FAMILY_COUNT])
    member_count = int(families.counters[MEMBER_COUNT])
    moved = families._replace(records=families.records.copy(), counters=families.counters.copy())
    arena = packed_arena(moved, max(1, int(moved.records["size"][:family_count].sum())))
    state: dict[str, npt.NDArray[Any]] = {
        "version": np.array([VERSION]),
        "counters": raw.counters.copy(),
        "family_counters": moved.counters,
        "limits": raw.limits.copy(),
        "arena": arena[:, : int(moved.counters[ARENA_END])],
        "pending_value": families.pending_value[:member_count].copy(),
        "older": families.older[:member_count].copy(),
    }
    state |= {f"raw_{name}": raw.records[name][:count].copy() for name in RAW_RECORD.names or ()}
    state |= {f"family_{name}": moved.records[name][:family_count].copy() for name in FAMILY_RECORD.names or ()}
    state |= {f"member_{name}": families.members[name][:member_count].copy() for name in MEMBER_RECORD.names or ()}
    state |= {name: getattr(families, name)[:family_count].copy() for name in _PENDING}
    return state | dict(book.names.snapshot("name_")) | dict(book.derived.snapshot("derived_"))


def unpack(book: SeriesBook, state: State) -> None:
    """Give a new book what `pack` was given.

    Raises:
        OutdatedState: it is of another version.
        StateError: names and records do not fit.
        KeyError, ValueError, IndexError: an array is missing, or has another shape.
    """
    version = state["version"].tolist()
    if version != [VERSION]:
        raise OutdatedState(f"normaliser's state has version {version}, this program reads {VERSION}; {_FIX}")
    counters = state["counters"]
    count = int(counters[SERIES_COUNT])
    raw = empty_raw(max(64, 2 * count))
    for name in RAW_RECORD.names or ():
        raw.records[name][:count] = state[f"raw_{name}"]
    raw.counters[:] = counters
    raw = raw._replace(limits=np.ascontiguousarray(state["limits"]))
    rebuild_raw_table(raw)
    book.state = NormaliserState(raw, _families(state))
    book.names = NameStore.restore("name_", state)
    book.derived = NameStore.restore("derived_", state)
    families = int(state["family_counters"][FAMILY_COUNT])
    if len(book.names) != count or len(book.derived) != 4 * families:
        held = f"{len(book.names)} names for {count} series, {len(book.derived)} for {families} families"
        raise StateError(f"normaliser's state has {held}; {_FIX}")


def _families(state: State) -> FamilyState:
    counters = state["family_counters"]
    families, members = int(counters[FAMILY_COUNT]), int(counters[MEMBER_COUNT])
    arena = state["arena"]
    new = empty_families(max(4, 2 * families), max(16, 2 * members), max(64, 2 * arena.shape[1]))
    for name in FAMILY_RECORD.names or ():
        new.records[name][:families] = state[f"family_{name}"]
    for name in MEMBER_RECORD.names or ():
        new.members[name][:members] = state["member_spare" if name == "older" and "older" not in state else f"member_{name}"]
    for name in _PENDING:
        getattr(new, name)[:families] = state[name]
    new.pending_value[:members] = state["pending_value"]
    new.older[:members] = state.get("older", 0)
    new.arena[:, : arena.shape[1]] = arena
    new.counters[:] = counters
    new.counters[ARENA_WASTE] = 0
    rebuild_family_table(new)
    return new
