"""Decoded bodies into raw batches: each point, histogram and exemplar is kept, there already, or refused by name; all counted."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from data_contracts.series.key import series_ids
from serving.ingest.receive.raw_batch import Definition, ExemplarRow, Place, PointArrays, RawBatch, Touched, histograms_taken
from serving.ingest.receive.receipts import FUTURE_TIME, OLD_TIME, SERIES_CAP, Receipt, Refusal, reason_of, rule_text
from serving.ingest.receive.refusal_words import moment_words, series_words
from serving.ingest.receive.replica_election import ReplicaElection
from serving.ingest.receive.seen_services import SeenServices
from serving.ingest.receive.series_growth import SeriesGrowth
from serving.ingest.receive.series_identity import Families, Identity, SeriesIdentities, Unfit
from serving.ingest.receive.series_table import Homes, SeriesTable
from serving.ingest.receive.slot_kernels import (
    FUTURE,
    KEPT,
    OLD,
    OTHER_REPLICA,
    OWN_FINDING,
    REFUSED,
    REPEATED,
    UNKNOWN,
    Arrivals,
    PointColumns,
    Rows,
    TimeBounds,
    by_partition,
    chosen,
    judge,
    note_newest,
)
from serving.ingest.receive.tenant_limits import TenantLimits
from serving.ingest.receive.wire.decoded import DecodedBody, Int64s, Rule, Uint64s

Flags = npt.NDArray[np.bool_]

EARLIEST_US: Final = 946_684_800_000_000
"""2000-01-01: nothing is older, by the contract of telemetry."""
_SPREAD: Final = 256
_WRITTEN: Final = (KEPT, REPEATED, OTHER_REPLICA, OWN_FINDING)
_REFUSAL_OF: Final = {OLD: OLD_TIME, FUTURE: FUTURE_TIME}


@dataclass(frozen=True, slots=True)
class IntakeRules:
    """`announce_s`: how often an active series is defined again; times of points lie up to `future_tolerance_s` ahead."""

    partitions: int
    partition_of: Callable[[str, str], int]
    announce_s: float = 600.0
    future_tolerance_s: float = 300.0
    replica_silent_s: float = 30.0
    explosion_series: int = 1000
    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic


class _Kept(NamedTuple):
    """Kept rows by partition, their series, the bounds of partitions, and how many are written or there already."""

    order: Int64s
    series_id: Int64s
    bounds: Int64s
    written: int


class TenantIntake:
    """The intake of one tenant; one thread has it."""

    def __init__(self, tenant: str, limits: TenantLimits, identities: SeriesIdentities, rules: IntakeRules) -> None:
        self.tenant = tenant
        self.limits = limits
        self.table = SeriesTable()
        self.families = Families()
        self.election = ReplicaElection(rules.replica_silent_s, rules.monotonic)
        self.growth = SeriesGrowth(rules.explosion_series, rules.clock)
        self.services = SeenServices()
        self._identities = identities
        self._rules = rules
        self._began = rules.monotonic()

    def take(self, body: DecodedBody, batch: RawBatch) -> Receipt:
        """Put what is to be kept of a body into a batch; return what became of all of it."""
        receipt = Receipt()
        now_s = self._now_s()
        if body.metadata and self.families.learn(body.metadata):
            self.table.announce_all()
        rows, wanted = self.table.look_up(body.series.hash, now_s)
        if len(wanted):
            self._define(body, rows, wanted, batch, receipt)
        self._points(body, rows, batch, receipt)
        self._histograms(body, rows, batch, receipt)
        self._exemplars(body, rows, batch, receipt)
        self._faults(body, receipt)
        touched = rows.slot if rows.slot.min(initial=0) >= 0 else rows.slot[rows.slot >= 0]
        batch.touched.append(Touched(self.table, self.table.generation, touched))
        return receipt

    def forget(self, idle_s: float) -> int:
        """Forget series that were not seen for so long, and all that were refused; return how many series."""
        active = len(self.table)
        forgotten = self.table.forget(int(self._now_s() - idle_s))
        if forgotten:
            self.growth.forgotten(forgotten / active)
        return forgotten

    def _now_s(self) -> int:
        """Return whole seconds of the receiver's own clock; it begins beyond 0, where series are due at once."""
        return 1 + int(self._rules.monotonic() - self._began)

    def _define(self, body: DecodedBody, rows: Rows, wanted: Int64s, batch: RawBatch, receipt: Receipt) -> None:
        """Read what new series are, and known ones whose definition is due; their slots come into `rows`."""
        valued = _valued(body)
        wanted = wanted[(rows.slot[wanted] == UNKNOWN) | valued[wanted]]
        hashes, first, back = np.unique(body.series.hash[wanted], return_index=True, return_inverse=True)
        as_sent = np.argsort(first)
        hashes, wanted_once, back = hashes[as_sent], wanted[first[as_sent]], np.argsort(as_sent)[back]
        whole = np.zeros(len(hashes), np.bool_)
        whole[back[np.isin(wanted, body.histograms.series)]] = True
        results = self._identified(body, wanted_once, whole)
        fit = np.array([isinstance(identity, Identity) for identity in results], np.bool_)
        reasons = np.array([identity.reason if isinstance(identity, Unfit) else 0 for identity in results], np.int64)
        identities = [identity for identity in results if isinstance(identity, Identity)]
        ids = series_ids([identity.key for identity in identities]) if identities else np.empty(0, np.int64)
        room = self._within_cap(ids)
        for identity, has_room in zip(identities, room.tolist(), strict=True):
            if not has_room:
                self.growth.refused(identity.key)
        reasons[np.flatnonzero(fit)[~room]] = SERIES_CAP
        self.table.refuse(hashes[reasons != 0], reasons[reasons != 0], max(1000, self.limits.max_series))
        slots = REFUSED - reasons
        members = np.zeros(len(slots), np.int64)
        kept = np.flatnonzero(reasons == 0)
        if len(kept):
            taken = [identity for identity, has_room in zip(identities, room.tolist(), strict=True) if has_room]
            members[kept] = [self.election.member(identity.cluster, identity.replica) for identity in taken]
            before = len(self.table)
            slots[kept] = self._table_rows(hashes[kept], ids[room], taken, members[kept])
            receipt.defined += len(self.table) - before
            for slot, identity in zip(slots[kept].tolist(), taken, strict=True):
                if slot >= before:
                    self.growth.added(identity.key)
            self._announce(ids[room], slots[kept], taken, batch)
            self.table.slots.due_s[slots[kept][~valued[wanted_once[kept]]]] = 0
        rows.slot[wanted], rows.member[wanted] = slots[back], members[back]

    def _identified(self, body: DecodedBody, wanted: Int64s, whole: Flags) -> "list[Identity | Unfit]":
        return [
            self._identities.identify(self.tenant, series, flag, self.limits, self.families)
            for series, flag in zip(body.describe(wanted), whole.tolist(), strict=True)
        ]

    def _within_cap(self, ids: Int64s) -> Flags:
        """Return (n,) which series have a place: those that are active, and new ones as long as there is room."""
        known = self.table.slots_of_ids(ids) != UNKNOWN
        room = self.limits.max_series - len(self.table)
        new = np.unique(ids[~known], return_index=True)[1]
        if len(new) <= room:
            return np.ones(len(ids), np.bool_)
        taken = ids[~known][np.sort(new)[: max(0, room)]]
        return np.asarray(known | np.isin(ids, taken), np.bool_)

    def _table_rows(self, hashes: Uint64s, ids: Int64s, taken: Sequence[Identity], member: Int64s) -> Int64s:
        of = self._rules.partition_of
        partition = np.array([of(self.tenant, identity.key.service) for identity in taken], np.int64)
        service = np.array([self.services.number(identity.key.service) for identity in taken], np.int64)
        return self.table.define(hashes, ids, Homes(partition, service, member), self._now_s())

    def _announce(self, ids: Int64s, slots: Int64s, taken: Sequence[Identity], batch: RawBatch) -> None:
        """Put definitions into the batch; when each is due again is spread by its id."""
        families = [identity.family for identity in taken]
        family_ids = iter(series_ids([family for family in families if family is not None]).tolist() if any(families) else ())
        columns = self.table.slots
        spread = 0.75 + 0.25 * (ids % _SPREAD) / _SPREAD
        columns.due_s[slots] = self._now_s() + np.maximum(1, (self._rules.announce_s * spread)).astype(np.int64)
        places = columns.partition[slots].tolist()
        for series_id, identity, family, partition in zip(ids.tolist(), taken, families, places, strict=True):
            family_id = None if family is None else next(family_ids)
            batch.share(Place(self.tenant, partition)).definitions.append(Definition(series_id, family_id, identity))

    def _points(self, body: DecodedBody, rows: Rows, batch: RawBatch, receipt: Receipt) -> None:
        points = body.points
        if not len(points):
            return
        arrivals = Arrivals(points.series, points.time_us, points.value.view(np.int64))
        kept = self._judged(body, rows, arrivals, receipt, "points")
        receipt.samples += kept.written
        time_us, value, start_us = chosen(PointColumns(points.time_us, points.value, points.start_us), kept.order)
        columns = PointArrays(time_us, kept.series_id, value, start_us)
        for partition, (first, last) in enumerate(pairwise(kept.bounds.tolist())):
            if last > first:
                share = batch.share(Place(self.tenant, partition))
                share.points.append(columns.rows(slice(first, last)))

    def _histograms(self, body: DecodedBody, rows: Rows, batch: RawBatch, receipt: Receipt) -> None:
        histograms = body.histograms
        if not len(histograms):
            return
        bits = histograms.count.view(np.int64) * 31 ^ histograms.sum.view(np.int64)
        arrivals = Arrivals(histograms.series, histograms.time_us, bits)
        kept = self._judged(body, rows, arrivals, receipt, "histograms")
        receipt.histograms += kept.written
        for partition, (first, last) in enumerate(pairwise(kept.bounds.tolist())):
            if last > first:
                share = batch.share(Place(self.tenant, partition))
                share.histograms.append(histograms_taken(histograms, kept.series_id[first:last], kept.order[first:last]))

    def _judged(self, body: DecodedBody, rows: Rows, arrivals: Arrivals, receipt: Receipt, kind: str) -> _Kept:
        """Return what is kept; count all of it."""
        bounds = TimeBounds(EARLIEST_US, self._latest_us())
        fate, counts, first = judge(arrivals, rows, self.election.answering(rows.member), self.table.slots, bounds)
        receipt.repeated += int(counts[REPEATED])
        receipt.other_replica += int(counts[OTHER_REPLICA])
        receipt.own_findings += int(counts[OWN_FINDING])
        for code in np.flatnonzero(counts).tolist():
            if code not in _WRITTEN:
                row, at = int(arrivals.row[first[code]]), int(arrivals.time_us[first[code]])
                refusal = self._refusal(receipt, _REFUSAL_OF.get(code, code), body, row, at)
                setattr(refusal, kind, getattr(refusal, kind) + int(counts[code]))
        order, series, places = by_partition(fate, arrivals, rows, self.table.slots, self._rules.partitions)
        note_newest(order, arrivals, rows, self.table.slots, self.services.newest_us)
        return _Kept(order, series, places, sum(int(counts[fate_number]) for fate_number in _WRITTEN))

    def _exemplars(self, body: DecodedBody, rows: Rows, batch: RawBatch, receipt: Receipt) -> None:
        exemplars = body.exemplars
        latest_us, now_us = self._latest_us(), round(self._rules.clock() * 1e6)
        slots = self.table.slots
        answering = self.election.answering(rows.member) if len(exemplars) else rows.member
        for number, row in enumerate(exemplars.series.tolist()):
            slot, time_us = int(rows.slot[row]), int(exemplars.time_us[number]) or now_us
            code = (
                REFUSED - slot if slot < 0 else FUTURE_TIME if time_us > latest_us else OLD_TIME if time_us < EARLIEST_US else 0
            )
            if code not in (0, OWN_FINDING):
                self._refusal(receipt, code, body, row, time_us).exemplars += 1
                continue
            receipt.exemplars += 1
            if code or not answering[rows.member[row]]:
                continue
            place = Place(self.tenant, int(slots.partition[slot]))
            ids = exemplars.trace_id[number], exemplars.span_id[number]
            batch.share(place).exemplars.append(
                ExemplarRow(time_us, int(slots.series_id[slot]), float(exemplars.value[number]), *ids)
            )

    def _faults(self, body: DecodedBody, receipt: Receipt) -> None:
        faults = body.faults
        for number in range(len(faults)):
            rule, row = Rule(int(faults.rule[number])), int(faults.series[number])
            refusal = receipt.refusals.get(reason_of(rule))
            if refusal is None:
                words = f"{series_words(body, row)}: {rule_text(rule)}"
                refusal = receipt.refusals[reason_of(rule)] = Refusal(reason_of(rule), words)
            refusal.points += int(faults.points[number])
            refusal.histograms += int(faults.histograms[number])

    def _refusal(self, receipt: Receipt, reason: int, body: DecodedBody, row: int, time_us: int) -> Refusal:
        """Return the body's refusal of a reason; the first of it is put into words."""
        refusal = receipt.refusals.get(reason)
        if refusal is None:
            refusal = receipt.refusals[reason] = Refusal(reason, self._words(reason, body, row, time_us))
        return refusal

    def _words(self, reason: int, body: DecodedBody, row: int, time_us: int) -> str:
        if reason in (OLD_TIME, FUTURE_TIME):
            rule = "is before 2000-01-01" if reason == OLD_TIME else f"is more than {self._rules.future_tolerance_s:g} s ahead"
            return f"{series_words(body, row)}: timestamp {moment_words(time_us)} {rule}: check the sender's clock and unit"
        if reason == SERIES_CAP:
            most = self.limits.max_series
            rule = f"the tenant has {most} active series; new ones are refused: drop some, or raise AIOPS_INGEST__MAX_SERIES"
            return f"{series_words(body, row)}: {rule}"
        series = body.describe(np.array([row]))[0]
        identity = self._identities.identify(self.tenant, series, False, self.limits, self.families)
        return identity.text if isinstance(identity, Unfit) else series_words(body, row)

    def _latest_us(self) -> int:
        return round((self._rules.clock() + self._rules.future_tolerance_s) * 1e6)


def _valued(body: DecodedBody) -> Flags:
    """Return (s,) which series come with values, in whatever row: what a series is cannot be seen of its exemplars alone.

    Senders put exemplars in rows of their own, before or after the values of their series, or in another body.
    """
    valued = np.zeros(len(body.series.hash), np.bool_)
    valued[body.points.series] = True
    valued[body.histograms.series] = True
    return valued if valued.all() else np.isin(body.series.hash, body.series.hash[valued])
