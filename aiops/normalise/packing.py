"""Forgetting idle series: what is kept moves together, in its order, so that the same stream leaves the same state."""

import numpy as np
import numpy.typing as npt

from aiops.normalise.definitions import KIND_OF_ROLE
from aiops.normalise.families import (
    ARENA_END,
    FAMILY_COUNT,
    MEMBER_COUNT,
    FamilyState,
    empty_families,
    rebuild_family_table,
    unlink,
)
from aiops.normalise.name_store import NameStore
from aiops.normalise.raw_series import (
    HISTOGRAM,
    SERIES_COUNT,
    NormaliserState,
    RawArrays,
    empty_raw,
    rebuild_raw_table,
)
from aiops.normalise.whole_histograms import packed_arena
from aiops.types import IntArray

Flags = npt.NDArray[np.bool_]


def idle(state: NormaliserState, horizon_us: int) -> Flags:
    """Return (n,) whether each slot had neither a value nor a definition after `horizon_us`."""
    records = state.raw.records[: int(state.raw.counters[SERIES_COUNT])]
    return (records["seen"] < horizon_us) & (records["announced"].astype(np.int64) * 1_000_000 < horizon_us)


def without(state: NormaliserState, gone: Flags, names: NameStore, derived: NameStore) -> "Packed":
    """Return state and names without the slots that are `gone` (n,), members of none, and families of nothing.

    O(series): once in a long while.
    """
    records = state.raw.records[: gone.size]
    is_part = KIND_OF_ROLE[records["role"]] != 255
    for member in records["place"][gone & is_part].tolist():
        unlink(state.families, member)
    kept = np.flatnonzero(~gone)
    family_kept, families = _families(state, records[kept])
    raw = _raw(state, kept, families)
    return Packed(NormaliserState(raw, families.state), names.kept(kept), derived.kept(_four_each(family_kept)))


class Packed:
    """State and names that belong together."""

    def __init__(self, state: NormaliserState, names: NameStore, derived: NameStore) -> None:
        self.state = state
        self.names = names
        self.derived = derived


class _Moved:
    """Families and members that are kept, and their new numbers by the old ones."""

    def __init__(self, state: FamilyState, family_of: npt.NDArray[np.int32], member_of: npt.NDArray[np.int32]) -> None:
        self.state = state
        self.family_of = family_of
        self.member_of = member_of


def _four_each(numbers: IntArray) -> IntArray:
    return (4 * numbers[:, None] + np.arange(4)).reshape(-1)


def _families(state: NormaliserState, kept_records: npt.NDArray[np.void]) -> tuple[IntArray, _Moved]:
    old = state.families
    families, members = int(old.counters[FAMILY_COUNT]), int(old.counters[MEMBER_COUNT])
    member_kept = np.sort(kept_records["place"][KIND_OF_ROLE[kept_records["role"]] != 255]).astype(np.int64)
    used = np.zeros(families, np.bool_)
    used[kept_records["place"][kept_records["role"] >= HISTOGRAM]] = True
    used |= old.records["members"][:families] > 0
    family_kept: IntArray = np.flatnonzero(used)
    family_of, member_of = np.full(families + 1, -1, np.int32), np.full(members + 1, -1, np.int32)
    family_of[family_kept] = np.arange(family_kept.size)
    member_of[member_kept] = np.arange(member_kept.size)
    new = empty_families(max(4, 2 * family_kept.size), max(16, 2 * member_kept.size))
    new.records[: family_kept.size] = old.records[family_kept]
    new.pending_time[: family_kept.size] = old.pending_time[family_kept]
    new.pending_start[: family_kept.size] = old.pending_start[family_kept]
    new.pending_clock[: family_kept.size] = old.pending_clock[family_kept]
    new.pending_have[: family_kept.size] = old.pending_have[family_kept]
    new.members[: member_kept.size] = old.members[member_kept]
    new.pending_value[: member_kept.size] = old.pending_value[member_kept]
    new.older[: member_kept.size] = old.older[member_kept]
    heads, links = new.records[: family_kept.size], new.members[: member_kept.size]
    heads["first"] = member_of[heads["first"]]
    links["next"] = member_of[links["next"]]
    links["family"] = family_of[links["family"]]
    new.counters[FAMILY_COUNT], new.counters[MEMBER_COUNT] = family_kept.size, member_kept.size
    arena = packed_arena(new._replace(arena=old.arena), max(64, 2 * int(heads["size"].sum())))
    new = new._replace(arena=arena)
    new.counters[ARENA_END] = int(heads["size"].sum())
    rebuild_family_table(new)
    return family_kept, _Moved(new, family_of, member_of)


def _raw(state: NormaliserState, kept: IntArray, moved: _Moved) -> RawArrays:
    raw = empty_raw(max(64, 2 * kept.size))
    raw.records[: kept.size] = state.raw.records[kept]
    records = raw.records[: kept.size]
    is_part = KIND_OF_ROLE[records["role"]] != 255
    is_whole = records["role"] >= HISTOGRAM
    records["place"][is_part] = moved.member_of[records["place"][is_part]]
    records["place"][is_whole] = moved.family_of[records["place"][is_whole]]
    raw.counters[:] = state.raw.counters
    raw.counters[SERIES_COUNT] = kept.size
    raw = raw._replace(limits=state.raw.limits)
    rebuild_raw_table(raw)
    return raw
