"""The book of raw series: what senders defined, by slot, with the names that points, dead letters and the catalogue need.

A definition that comes again changes nothing, but its row of the catalogue is given again once a week. One of another role
replaces the older if it is as sure or surer (declared by the sender, from metadata, by name), and the series begins anew. When
the book is full, series without a value or definition for `idle_us` of event time are forgotten, at most once in an eighth of
it; then definitions of new series are refused.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from aiops.normalise.definitions import (
    KIND_OF_ROLE,
    SCORED_ROLES,
    Definitions,
    catalogue_rows,
    derived_of,
    first_of_each,
    until_repeated,
)
from aiops.normalise.families import DERIVED, FAMILY_COUNT, MEMBER_COUNT, NewMembers, link, unlink, with_family_room
from aiops.normalise.name_store import NameStore
from aiops.normalise.packing import idle, without
from aiops.normalise.raw_series import (
    NEVER_US,
    SERIES_COUNT,
    SWEPT,
    UNLIMITED,
    WATERMARK,
    NormaliserState,
    empty_state,
    enter,
    find_rows,
    with_room,
)
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.metrics import spec_of
from data_contracts.series.series_name import SeriesName

CATALOGUED_AGAIN_DAYS: Final = 7
"""A series that is defined again has its row of the catalogue given again after so many days: the lake lets go of what is not."""
MOST_HOLES: Final = 1024
"""Members that were replaced before the arrays are packed."""


@dataclass(frozen=True, slots=True)
class BookLimits:
    """Whose series the book has, how many at most, and after how long a silence one may be forgotten, us."""

    tenant: str
    max_series: int
    idle_us: int


@dataclass(frozen=True, slots=True)
class Defined:
    """What definitions brought: rows of the catalogue (`wire_schemas.SERIES_CATALOGUE`), and rows that are refused."""

    catalogue: list[pa.RecordBatch]
    no_room: IntArray
    collided: IntArray
    """Rows whose id another series has."""


@dataclass(slots=True)
class _Progress:
    """What was made so far of one call's definitions."""

    definitions: Definitions
    first_seen_us: int
    catalogue: list[pa.RecordBatch]
    no_room: list[IntArray]
    collided: list[IntArray]


class SeriesBook:
    """Raw series of one tenant in one partition; `state` is shared with the kernels. Not thread-safe."""

    def __init__(self, limits: BookLimits) -> None:
        self._limits = limits
        self.state: NormaliserState = empty_state()
        self.names = NameStore()
        self.derived = NameStore()

    def __len__(self) -> int:
        return int(self.state.raw.counters[SERIES_COUNT])

    def define(self, definitions: Definitions, first_seen_us: int) -> Defined:
        """Take definitions in, in order of arrival; however they are cut, the outcome is the same."""
        progress = _Progress(definitions, first_seen_us, [], [], [])
        done = 0
        while done < len(definitions):
            run = np.arange(done, done + until_repeated(definitions.key[done:]))
            fitting = run[: self._fitting(definitions, run)]
            if fitting.size:
                self._take(progress, fitting)
            elif self._is_intricate(definitions, run[:1])[0]:
                fitting = run[:1]
                self._redefine(progress, int(run[0]))
            elif not self._forget():
                fitting = run
                slots = find_rows(self.state.raw, definitions.key[run])
                progress.no_room.append(run[slots < 0])
                intricate = self._is_intricate(definitions, run)
                self._take(progress, run[(slots >= 0) & ~intricate])
                for row in run[intricate].tolist():
                    self._redefine(progress, row)
            done += fitting.size
        none = np.zeros(0, np.int64)
        no_room, collided = np.concatenate([none, *progress.no_room]), np.concatenate([none, *progress.collided])
        return Defined(progress.catalogue, no_room, collided)

    def name_of(self, source: int) -> SeriesName:
        """Return the series that a point has the id of: a slot, or -1 - (4 x family + which of DERIVED)."""
        if source >= 0:
            return self.names.name(source, int(self.state.raw.records[source]["key"]))
        family, which = divmod(-1 - source, len(DERIVED))
        return self.derived.name(-1 - source, int(self.state.families.records[family]["keys"][which]))

    def _fitting(self, definitions: Definitions, run: IntArray) -> int:
        """Return how many leading rows can be taken at once: there is room, and no member of a family is replaced."""
        new = find_rows(self.state.raw, definitions.key[run]) < 0
        stop = (np.cumsum(new) > self._limits.max_series - len(self)) & new
        stop |= self._is_intricate(definitions, run)
        return int(np.argmax(stop)) if stop.any() else run.size

    def _differs(self, definitions: Definitions, run: IntArray) -> npt.NDArray[np.bool_]:
        """Return (n,) whether a row says another thing of a series that is known, and is to be followed."""
        slots = find_rows(self.state.raw, definitions.key[run])
        records, families = self.state.raw.records[slots], self.state.families
        part = KIND_OF_ROLE[records["role"]] != 255
        members = families.members[np.where(part, records["place"], 0)]
        family = np.where(part, families.records[members["family"]]["key"], 0)
        bound = np.where(part, members["bound"], definitions.bound[run])
        differs = (records["role"] != definitions.role[run]) | (part & (family != definitions.family[run]))
        differs |= ~((bound == definitions.bound[run]) | (np.isnan(bound) & np.isnan(definitions.bound[run])))
        known = (slots >= 0) & (records["name"] == definitions.name[run])
        followed: npt.NDArray[np.bool_] = known & differs & (definitions.certainty[run] >= records["certainty"])
        return followed

    def _is_intricate(self, definitions: Definitions, run: IntArray) -> npt.NDArray[np.bool_]:
        """Return (n,) whether a row changes a series that is, or becomes, a histogram or a part of one."""
        slots = find_rows(self.state.raw, definitions.key[run])
        plain = np.isin(definitions.role[run], SCORED_ROLES) & np.isin(self.state.raw.records[slots]["role"], SCORED_ROLES)
        intricate: npt.NDArray[np.bool_] = self._differs(definitions, run) & ~plain
        return intricate

    def _take(self, progress: _Progress, run: IntArray) -> None:
        definitions = progress.definitions
        slots = find_rows(self.state.raw, definitions.key[run])
        records = self.state.raw.records
        known = slots >= 0
        clash = known & (records[slots]["name"] != definitions.name[run])
        progress.collided.append(run[clash])
        changed = self._differs(definitions, run)
        records["announced"][slots[known & ~clash]] = self._second()
        day = _day(progress.first_seen_us)
        again = known & ~clash & (day - records["spare"][slots].astype(np.int64) >= CATALOGUED_AGAIN_DAYS)
        records["spare"][slots[again]] = day
        records["role"][slots[changed]] = definitions.role[run[changed]]
        records["certainty"][slots[changed]] = definitions.certainty[run[changed]]
        records["value"][slots[changed]] = np.nan
        self._catalogue(progress, run[changed | ~known | again])
        self._derived_again(progress, run[again & ~changed])
        if not known.all():
            self._append(progress, run[~known])

    def _append(self, progress: _Progress, new: IntArray) -> None:
        definitions, count = progress.definitions, len(self)
        raw = with_room(self.state.raw, count + new.size)
        records = raw.records[count : count + new.size]
        records["key"], records["name"] = definitions.key[new], definitions.name[new]
        records["role"], records["certainty"] = definitions.role[new], definitions.certainty[new]
        records["seen"], records["value"] = NEVER_US, np.nan
        records["announced"], records["place"] = self._second(), -1
        records["spare"] = _day(progress.first_seen_us)
        taken = definitions.taken(new).rows
        limits, codes = _limits_of(raw.limits, taken.column("metric"))
        records["limits"] = np.where(np.isin(definitions.role[new], SCORED_ROLES), codes, UNLIMITED)
        raw.counters[SERIES_COUNT] = count + new.size
        enter(raw, count)
        self.state = self.state._replace(raw=raw._replace(limits=limits))
        self.names.extend([taken.column(name) for name in ("service", "metric", "labels")])
        linked = np.flatnonzero(~np.isin(definitions.role[new], SCORED_ROLES))
        if linked.size:
            self._link(progress, new[linked], count + linked)

    def _link(self, progress: _Progress, rows: IntArray, slots: IntArray) -> None:
        """Make rows members of their families, or families of their own; make the series that come of new families."""
        definitions, families = progress.definitions, self.state.families
        before = int(families.counters[FAMILY_COUNT])
        families = with_family_room(families, before + rows.size, int(families.counters[MEMBER_COUNT]) + rows.size)
        numbers = [np.full(rows.size, -1, np.int32) for _ in range(2)]
        kinds = KIND_OF_ROLE[definitions.role[rows]]
        new = NewMembers(definitions.family[rows], kinds, definitions.bound[rows], numbers[0], numbers[1])
        link(families, new, NEVER_US)
        self.state.raw.records["place"][slots] = np.where(kinds == 255, new.family, new.member)
        self.state = self.state._replace(families=families)
        fresh = np.flatnonzero(new.family >= before)
        if fresh.size:
            first = fresh[first_of_each(new.family[fresh].astype(np.int64))]
            self._derive(progress, rows[first], new.family[first])

    def _derive(self, progress: _Progress, rows: IntArray, numbers: npt.NDArray[np.int32]) -> None:
        made = derived_of(progress.definitions.taken(rows), self._limits.tenant, progress.first_seen_us)
        names = [made.catalogue.column(name) for name in ("service", "metric", "labels")]
        self.derived.extend(names)
        limits, codes = _limits_of(self.state.raw.limits, names[1])
        self.state = self.state._replace(raw=self.state.raw._replace(limits=limits))
        records = self.state.families.records
        shape = (numbers.size, len(DERIVED))
        records["keys"][numbers] = made.catalogue.column("series_id").to_numpy().reshape(shape)
        records["names"][numbers] = made.name_hashes.reshape(shape)
        records["limits"][numbers] = codes.reshape(shape)
        progress.catalogue.append(made.catalogue)

    def _derived_again(self, progress: _Progress, rows: IntArray) -> None:
        """Give the rows of the catalogue again of what is made of histograms: with the one, or the first, of their series."""
        definitions, families = progress.definitions, self.state.families
        records = self.state.raw.records[find_rows(self.state.raw, definitions.key[rows])]
        part = KIND_OF_ROLE[records["role"]] != 255
        family = families.members["family"][np.where(part, records["place"], 0)]
        leads = part & (families.records["first"][family] == records["place"])
        leads |= ~part & ~np.isin(records["role"], SCORED_ROLES)
        if leads.any():
            made = derived_of(definitions.taken(rows[leads]), self._limits.tenant, progress.first_seen_us)
            progress.catalogue.append(made.catalogue)

    def _redefine(self, progress: _Progress, row: int) -> None:
        """Follow a definition by which a series becomes a histogram or a part of one, or is one no longer."""
        definitions = progress.definitions
        slot = int(find_rows(self.state.raw, definitions.key[row : row + 1])[0])
        record = self.state.raw.records[slot]
        if KIND_OF_ROLE[record["role"]] != 255:
            unlink(self.state.families, int(record["place"]))
        record["role"], record["certainty"] = definitions.role[row], definitions.certainty[row]
        record["value"], record["place"], record["announced"] = np.nan, -1, self._second()
        rows = np.array([row])
        self._catalogue(progress, rows)
        scored = int(definitions.role[row]) in SCORED_ROLES
        limits, codes = _limits_of(self.state.raw.limits, definitions.taken(rows).rows.column("metric"))
        record["limits"] = codes[0] if scored else UNLIMITED
        self.state = self.state._replace(raw=self.state.raw._replace(limits=limits))
        if not scored:
            self._link(progress, rows, np.array([slot]))
        families = self.state.families
        if int(families.counters[MEMBER_COUNT]) - int(families.records["members"].sum()) > MOST_HOLES:
            self._pack(np.zeros(len(self), np.bool_))

    def _catalogue(self, progress: _Progress, rows: IntArray) -> None:
        if rows.size:
            taken = progress.definitions.taken(rows)
            scored = np.isin(taken.role, SCORED_ROLES)
            progress.catalogue.append(catalogue_rows(taken.rows, scored, progress.first_seen_us))

    def _second(self) -> int:
        return max(0, int(self.state.raw.counters[WATERMARK]) // 1_000_000)

    def _forget(self) -> bool:
        """Forget idle series if that was not tried lately; return whether there is room now that there was not."""
        counters = self.state.raw.counters
        watermark = int(counters[WATERMARK])
        if watermark - int(counters[SWEPT]) < self._limits.idle_us // 8:
            return False
        counters[SWEPT] = watermark
        gone = idle(self.state, watermark - self._limits.idle_us)
        if gone.any():
            self._pack(gone)
        return bool(gone.any())

    def _pack(self, gone: npt.NDArray[np.bool_]) -> None:
        packed = without(self.state, gone, self.names, self.derived)
        self.state, self.names, self.derived = packed.state, packed.names, packed.derived


def _day(moment_us: int) -> int:
    return max(0, moment_us) // 86_400_000_000


def _limits_of(limits: FloatArray, metrics: "pa.Array[Any]") -> "tuple[FloatArray, npt.NDArray[np.int32]]":
    """Return the limits with those of all metrics among them, and each metric's number there (n,)."""
    coded: Any = metrics.dictionary_encode()
    rows = [tuple(row) for row in limits.tolist()]
    numbers = []
    for metric in coded.dictionary.to_pylist():
        spec = spec_of(str(metric))
        if (spec.low, spec.high) not in rows:
            rows.append((spec.low, spec.high))
        numbers.append(rows.index((spec.low, spec.high)))
    codes = np.array(numbers, np.int32)[coded.indices.to_numpy()] if numbers else np.zeros(0, np.int32)
    return np.array(rows), codes
