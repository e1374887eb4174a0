"""Decoded bodies into raw batches: each point, histogram and exemplar is kept, there already, or refused by name; all counted."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from data_contracts.series.text import metric_text
from data_contracts.telemetry.names import shown
from serving.ingest.receive.raw_batch import ExemplarRow, Led, Place, PointArrays, RawBatch, Touched, histograms_taken
from serving.ingest.receive.receipts import (
    FUTURE_TIME,
    OLD_TIME,
    SAME_IDENTITY,
    SERIES_CAP,
    Receipt,
    Refusal,
    reason_of,
    rule_text,
)
from serving.ingest.receive.refusal_words import moment_words, series_words
from serving.ingest.receive.replica_election import Claim
from serving.ingest.receive.series_identity import Identity, Unfit
from serving.ingest.receive.series_intake import SeriesIntake, Sight
from serving.ingest.receive.slot_kernels import (
    FUTURE,
    KEPT,
    OLD,
    OTHER_REPLICA,
    OWN_FINDING,
    REFUSED,
    REPEATED,
    Arrivals,
    PointColumns,
    Rows,
    TimeBounds,
    by_partition,
    chosen,
    judge,
    note_newest,
)
from serving.ingest.receive.wire.decoded import DecodedBody, Int64s, Rule

EARLIEST_US: Final = 946_684_800_000_000
"""2000-01-01: nothing is older, by the contract of telemetry."""
_WRITTEN: Final = (KEPT, REPEATED, OTHER_REPLICA, OWN_FINDING)
_REFUSAL_OF: Final = {OLD: OLD_TIME, FUTURE: FUTURE_TIME}


class _Kept(NamedTuple):
    """Kept rows by partition, their series, the bounds of partitions, and how many are written or there already."""

    order: Int64s
    series_id: Int64s
    bounds: Int64s
    written: int


class UndecidedPairs(Exception):
    """It is to be agreed first who leads the HA pairs of a body; its definitions are in the batch, none of its points."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        super().__init__(f"who leads {', '.join(claim.pair or '(no name)' for claim in claims)} is not agreed")
        self.claims = claims


class TenantIntake(SeriesIntake):
    """The intake of one tenant; one thread has it."""

    def take(self, body: DecodedBody, batch: RawBatch, receipt: Receipt | None = None, sight: Sight | None = None) -> Receipt:
        """Put what is to be kept of a body into a batch; return what became of all of it.

        `sight`: what a look at the table gave since its series were last packed anew, `receipt`: what is said already.

        Raises:
            UndecidedPairs: take it again, into another batch, once that is agreed.
        """
        receipt = receipt or Receipt()
        if sight is None:
            sight = self.look_up(body)
            self.define(sight, self.read(body, sight, sight.wanted), batch, receipt)
        rows = sight.rows
        claims = self.election.undecided(rows.member)
        if claims:
            raise UndecidedPairs(claims)
        terms = self.election.terms(self.tenant, rows.member)
        if terms:
            batch.led.append(Led(self.election, terms))
        self._points(body, rows, batch, receipt)
        self._histograms(body, rows, batch, receipt)
        self._exemplars(body, rows, batch, receipt)
        self._faults(body, receipt)
        touched = rows.slot if rows.slot.min(initial=0) >= 0 else rows.slot[rows.slot >= 0]
        batch.touched.append(Touched(self.table, self.table.generation, touched))
        return receipt

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
        if isinstance(identity, Unfit):
            return identity.text
        return self._same_words(identity, series_words(body, row)) if reason == SAME_IDENTITY else series_words(body, row)

    def _same_words(self, identity: Identity, words: str) -> str:
        """Return in words which series has the identity of another one, and which that is."""
        holder = self.naming_label(identity.key.series_id)
        other = dict(identity.key.labels) | ({holder: identity.key.service} if holder else {})
        named = metric_text(identity.key.metric, tuple(sorted(other.items())))
        both = f"its service {shown(identity.key.service)} is said by label {shown(identity.named_by)}, by {shown(holder)} in"
        return f"{words}: {both} {named[:300]}, and all else is alike: that one stays, give one of the two another label"

    def _latest_us(self) -> int:
        return round((self._rules.clock() + self._rules.future_tolerance_s) * 1e6)
