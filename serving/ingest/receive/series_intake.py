"""Series of bodies: which are known, what the new ones are, and who leads their HA pair; by one tenant."""

import sys
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from data_contracts.series.key import series_ids
from serving.ingest.receive.intake_rules import IntakeRules
from serving.ingest.receive.known_series import KnownSeries, known_series
from serving.ingest.receive.raw_batch import Definition, Place, RawBatch, Touched
from serving.ingest.receive.receipts import SAME_IDENTITY, SERIES_CAP, Receipt
from serving.ingest.receive.replica_election import ReplicaElection
from serving.ingest.receive.seen_services import SeenServices
from serving.ingest.receive.series_growth import SeriesGrowth
from serving.ingest.receive.series_identity import Families, Identity, SeriesIdentities, Unfit
from serving.ingest.receive.series_table import Homes, SeriesTable
from serving.ingest.receive.slot_kernels import REFUSED, UNKNOWN, Rows
from serving.ingest.receive.tenant_limits import TenantLimits
from serving.ingest.receive.wire.decoded import DecodedBody, Int64s, Uint64s
from serving.stream.partitioning import partitions_of

Flags = npt.NDArray[np.bool_]

_SPREAD: Final = 256
_FEWEST_REFUSED: Final = 1000


class Sight(NamedTuple):
    """The series of a body as the table knew them: its rows, those to read, which come with values, and of which table."""

    rows: Rows
    wanted: Int64s
    valued: Flags
    generation: int


class ReadSeries(NamedTuple):
    """What series to define are. `rows` (w,) of the body, each with the hash `back` (w,) of those (h,) that differ, in order.

    `valued` (h,) = comes with values, `results` (h,) what it is; `ids` are those of all that are a series, in order.
    """

    rows: Int64s
    back: Int64s
    hashes: Uint64s
    valued: Flags
    results: "list[Identity | Unfit]"
    ids: Int64s

    @property
    def identities(self) -> list[Identity]:
        """Return what is a series, in order."""
        return [identity for identity in self.results if isinstance(identity, Identity)]


class SeriesIntake:
    """The series of one tenant; one thread has it."""

    def __init__(self, tenant: str, limits: TenantLimits, identities: SeriesIdentities, rules: IntakeRules) -> None:
        self.tenant = tenant
        self.limits = limits
        self.table = SeriesTable()
        self.families = Families()
        self.election = ReplicaElection(rules.replica_silent_s, rules.monotonic, rules.shared)
        self.growth = SeriesGrowth(rules.explosion_series, rules.clock)
        self.services = SeenServices()
        self._naming: list[str | None] = [None]
        self._named_elsewhere: dict[int, str] = {}
        """Labels that hold the name of a series at another receiver, by its id; where it is full, nothing new is let in."""
        self._said_again: dict[int, str] = {}
        self._most_refused = max(_FEWEST_REFUSED, limits.max_series)
        """As many refused series are remembered, and as many names that others hold."""
        self._identities = identities
        self._rules = rules
        self._began = rules.monotonic()

    def look_up(self, body: DecodedBody) -> Sight:
        """Return what is known of the series of a body."""
        if body.metadata and self.families.learn(body.metadata):
            self.table.announce_all()
        rows, wanted = self.table.look_up(body.series.hash, self._now_s())
        valued = _valued(body) if len(wanted) else np.empty(0, np.bool_)
        return Sight(rows, wanted, valued, self.table.generation)

    def read(self, body: DecodedBody, sight: Sight, wanted: Int64s) -> ReadSeries:
        """Return what new series are, and known ones whose definition is due."""
        rows = wanted[(sight.rows.slot[wanted] == UNKNOWN) | sight.valued[wanted]] if len(wanted) else wanted
        if not len(rows):  # of almost every body: its texts need not be read
            return ReadSeries(rows, rows, np.empty(0, np.uint64), np.empty(0, np.bool_), [], rows)
        hashes, first, back = np.unique(body.series.hash[rows], return_index=True, return_inverse=True)
        as_sent = np.argsort(first)
        hashes, once, back = hashes[as_sent], rows[first[as_sent]], np.argsort(as_sent)[back]
        whole = np.zeros(len(hashes), np.bool_)
        whole[back[np.isin(rows, body.histograms.series)]] = True
        results = self._identified(body, once, whole)
        keys = [identity.key for identity in results if isinstance(identity, Identity)]
        ids = series_ids(keys) if keys else np.empty(0, np.int64)
        return ReadSeries(rows, back, hashes, sight.valued[once], results, ids)

    def new_names(self, read: ReadSeries) -> dict[int, str]:
        """Return the labels that name series to be let in, by id: other receivers may know them by another one.

        Of two labels of one identity it is the first, as where they are defined. What is refused for the cap claims nothing.
        """
        new = (self.table.slots_of_ids(read.ids) == UNKNOWN) & self._within_cap(read.ids)
        labels: dict[int, str] = {}
        for series_id, identity, is_new in zip(read.ids.tolist(), read.identities, new.tolist(), strict=True):
            if is_new and identity.named_by is not None and series_id not in self._named_elsewhere:
                labels.setdefault(series_id, identity.named_by)
        return labels

    def note_holders(self, labels: Mapping[int, str]) -> None:
        """Note by which label other receivers know series, where that is another one than here."""
        self._named_elsewhere |= {series_id: sys.intern(label) for series_id, label in labels.items()}

    def names_said_again(self) -> dict[int, str]:
        """Return the labels of the active series that were defined again since the last call."""
        said, self._said_again = self._said_again, {}
        return said

    def say_again(self, labels: Mapping[int, str]) -> None:
        """Let labels that nobody heard be said the next time."""
        self._said_again = {**labels, **self._said_again}

    def define(self, sight: Sight, read: ReadSeries, batch: RawBatch, receipt: Receipt) -> None:
        """Take in series that were read; their slots come into the rows of `sight`."""
        if len(read.rows):
            self._define(sight, read, batch, receipt)
            touched = sight.rows.slot[read.rows]
            batch.touched.append(Touched(self.table, self.table.generation, touched[touched >= 0]))

    def forget(self, idle_s: float) -> int:
        """Forget series that were not seen for so long, and all that were refused; return how many series."""
        active = len(self.table)
        self._named_elsewhere.clear()
        forgotten = self.table.forget(int(self._now_s() - idle_s))
        if forgotten:
            self.growth.forgotten(forgotten / active)
        return forgotten

    def _now_s(self) -> int:
        """Return whole seconds of the receiver's own clock; it begins beyond 0, where series are due at once."""
        return 1 + int(self._rules.monotonic() - self._began)

    def _define(self, sight: Sight, read: ReadSeries, batch: RawBatch, receipt: Receipt) -> None:
        rows, hashes, ids, identities = sight.rows, read.hashes, read.ids, read.identities
        fit = np.array([isinstance(identity, Identity) for identity in read.results], np.bool_)
        reasons = np.array([identity.reason if isinstance(identity, Unfit) else 0 for identity in read.results], np.int64)
        alone = self._distinct(ids, identities)
        room = self._within_cap(ids)
        for identity, has_room in zip(identities, (room | ~alone).tolist(), strict=True):
            if not has_room:
                self.growth.refused(identity.key)
        reasons[np.flatnonzero(fit)[~room]] = SERIES_CAP
        reasons[np.flatnonzero(fit)[~alone]] = SAME_IDENTITY
        room &= alone
        self.table.refuse(hashes[reasons != 0], reasons[reasons != 0], self._most_refused)
        slots = REFUSED - reasons
        members = np.zeros(len(slots), np.int64)
        kept = np.flatnonzero(reasons == 0)
        if len(kept):
            taken = [identity for identity, has_room in zip(identities, room.tolist(), strict=True) if has_room]
            members[kept] = [self.election.member(identity.pair, identity.replica) for identity in taken]
            before = len(self.table)
            known = known_series(ids[room], taken)
            slots[kept] = self._table_rows(hashes[kept], known, members[kept])
            receipt.defined += len(self.table) - before
            for slot, series_id, identity in zip(slots[kept].tolist(), known.series_id.tolist(), taken, strict=True):
                if slot >= before:
                    self.growth.added(identity.key)
                elif self._rules.shared and identity.named_by is not None:
                    self._said_again[series_id] = identity.named_by
            self._announce(known, slots[kept], batch)
            self.table.slots.due_s[slots[kept][~read.valued[kept]]] = 0
        rows.slot[read.rows], rows.member[read.rows] = slots[read.back], members[read.back]

    def _identified(self, body: DecodedBody, wanted: Int64s, whole: Flags) -> "list[Identity | Unfit]":
        return [
            self._identities.identify(self.tenant, series, flag, self.limits, self.families)
            for series, flag in zip(body.describe(wanted), whole.tolist(), strict=True)
        ]

    def naming_label(self, series_id: int) -> str:
        """Return the label that the service of a series was taken from, here or elsewhere, "" where it is not one label."""
        slot = int(self.table.slots_of_ids(np.array([series_id]))[0])
        if slot == UNKNOWN:
            return self._named_elsewhere.get(series_id, "")
        return self._naming[int(self.table.slots.named[slot])] or ""

    def _named(self, identities: Sequence[Identity]) -> Int64s:
        """Return (n,) numbers of the labels that services were taken from."""
        return self._numbers([identity.named_by for identity in identities])

    def _numbers(self, labels: Sequence[str | None]) -> Int64s:
        """Return (n,) numbers of labels, 0 for none."""
        self._naming += sorted({label for label in labels if label is not None} - {*self._naming})
        return np.array([self._naming.index(label) for label in labels], np.int64)

    def _distinct(self, ids: Int64s, identities: Sequence[Identity]) -> Flags:
        """Return (n,) which series are no other series that is known, or came before, with its service by another label.

        `m{service="x"}` and `m{job="x"}` have one identity where all else is alike; the first of them has it, at any receiver.
        """
        named, slots = self._named(identities), self.table.slots_of_ids(ids)
        elsewhere = self._numbers([self._named_elsewhere.get(series_id) for series_id in ids.tolist()])
        holder = np.where(slots == UNKNOWN, elsewhere, self.table.slots.named[np.maximum(slots, 0)])
        first: dict[int, int] = {}
        for row, (series_id, number) in enumerate(zip(ids.tolist(), named.tolist(), strict=True)):
            holder[row] = holder[row] or first.setdefault(series_id, number)
        return np.asarray((named == holder) | (named == 0) | (holder == 0), np.bool_)

    def _within_cap(self, ids: Int64s) -> Flags:
        """Return (n,) which series have a place: those that are active, and new ones as long as there is room."""
        known = self.table.slots_of_ids(ids) != UNKNOWN
        room = self.limits.max_series - len(self.table) if len(self._named_elsewhere) < self._most_refused else 0
        new = np.unique(ids[~known], return_index=True)[1]
        if len(new) <= room:
            return np.ones(len(ids), np.bool_)
        taken = ids[~known][np.sort(new)[: max(0, room)]]
        return np.asarray(known | np.isin(ids, taken), np.bool_)

    def _table_rows(self, hashes: Uint64s, known: KnownSeries, member: Int64s) -> Int64s:
        partition = partitions_of(known.meeting_id, self._rules.partitions)
        service = np.array([self.services.number(identity.key.service) for identity in known.identities], np.int64)
        return self.table.define(
            hashes, known.series_id, Homes(partition, service, member, self._named(known.identities)), self._now_s()
        )

    def _announce(self, known: KnownSeries, slots: Int64s, batch: RawBatch) -> None:
        """Put definitions into the batch; when each is due again is spread by its id."""
        columns = self.table.slots
        spread = 0.75 + 0.25 * (known.series_id % _SPREAD) / _SPREAD
        columns.due_s[slots] = self._now_s() + np.maximum(1, (self._rules.announce_s * spread)).astype(np.int64)
        places = columns.partition[slots].tolist()
        rows = zip(known.series_id.tolist(), known.meeting_id.tolist(), known.identities, places, strict=True)
        for series_id, meeting_id, identity, partition in rows:
            family_id = None if identity.family is None else meeting_id
            batch.share(Place(self.tenant, partition)).definitions.append(Definition(series_id, family_id, identity))


def _valued(body: DecodedBody) -> Flags:
    """Return (s,) which series come with values, in whatever row: what a series is cannot be seen of its exemplars alone.

    Senders put exemplars in rows of their own, before or after the values of their series, or in another body.
    """
    valued = np.zeros(len(body.series.hash), np.bool_)
    valued[body.points.series] = True
    valued[body.histograms.series] = True
    return valued if valued.all() else np.isin(body.series.hash, body.series.hash[valued])
