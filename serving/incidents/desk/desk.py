"""The desk: the one place where alerts become incidents and people change them, each in a transaction.

Everything it knows lies in the incident store; what it holds in memory is a copy of it, taken anew when another process has
saved since. So any number of desks, in any number of processes, are one desk, and kill -9 at any point loses and doubles nothing:
offsets, alerts, incidents, notifications and the state of correlation are committed together or not at all.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from aiops.incidents.alert import Alert
from aiops.incidents.correlation.correlator import Correlator
from aiops.incidents.correlation.outcome import Outcome
from aiops.incidents.correlation.suppression import MaintenanceWindow, Silence
from aiops.incidents.incident import Incident, IncidentState
from aiops.settings.responder_settings import ResponderSettings
from aiops.topology.graph import ServiceGraph
from data_contracts.values.moments import microseconds_of, moment_of_us
from serving.incidents.desk.desk_transaction import Audience, DeskTransaction, messages_of
from serving.incidents.desk.live_updates import CLOSED, LiveUpdates
from serving.incidents.desk.snapshots import PairWords, correlation_config, packed, pair_words, unpacked
from serving.incidents.store.records import DeskRow

log = logging.getLogger(__name__)

if TYPE_CHECKING:
    from serving.incidents.store.incident_store import IncidentStore
    from serving.incidents.store.store_writer import StoreWriter

MOST_INBOX: Final = 5000
"""Alerts of the inbox that one step takes; more wait for the next."""
PAIRS: Final = "pairs"
"""Note of the store: what verdicts say of pairs of services, as [one, other, times together, times apart]."""
AHEAD: Final = timedelta(minutes=5)
"""How far the desk's clock may be ahead of the wall's by which it goes."""
CLOCK: Final = "clock"
"""Who closed incidents of a clock that ran ahead."""
_UNKNOWN: Final = -1
_NOBODY: Final = Audience()


@dataclass(frozen=True, slots=True)
class Step:
    """What one step did, at what time of the desk, where streams are read to, which incidents are open.

    `settling`: alerts and first pages that wait for what else comes.

    `taken`: new alerts by source, `duplicates`: alerts seen before, `snapshot_bytes`: size of the saved state, 0 = none was.
    """

    outcome: Outcome
    moment: datetime
    offsets: Mapping[str, str]
    taken: Mapping[str, int]
    duplicates: int
    open_ids: frozenset[str]
    settling: int
    snapshot_bytes: int


class Desk:
    """Open incidents of a system. Memory: those of `Correlator`. Safe to share between threads."""

    def __init__(
        self, store: "IncidentStore", settings: ResponderSettings, graph: ServiceGraph, audience: Audience = _NOBODY
    ) -> None:
        self._store = store
        self._settings = settings
        self._config = correlation_config(settings)
        self._graph = graph
        self._audience = audience
        self._lock = threading.RLock()
        self._correlator = Correlator(graph, self._config)
        self._seq = _UNKNOWN
        self._updates = LiveUpdates()
        self._pairs: PairWords = {}
        self._open: set[str] = set()
        self._settling = 0

    @contextmanager
    def transaction(self, at: datetime) -> Iterator[DeskTransaction]:
        """Open one transaction; at its end what it changed is stored, with all that follows from it.

        By settings the desk's time is the wall's or that of the telemetry, which people's acts do not move. No transaction
        may be opened within another. An error undoes all of it.
        """
        with self._opened(at, self._settings.clock == "wall") as transaction:
            yield transaction

    @contextmanager
    def _opened(self, at: datetime, moving: bool) -> Iterator[DeskTransaction]:
        """Open a transaction at the desk's own time, or at `at` where that moves it on."""
        with self._lock:
            try:
                with self._store.writing() as writer:
                    row = writer.desk(self._seq)
                    if self._settings.clock == "wall" and row.clock_us > microseconds_of(at + AHEAD):
                        row = self._set_back(writer, row, at)
                    clock = moment_of_us(row.clock_us)
                    moment = clock if not moving else at if self._settings.clock == "wall" else max(at, clock)
                    transaction = DeskTransaction(writer, self._at_hand(row), moment, dict(row.offsets))
                    self._follow(transaction)
                    yield transaction
                    seq = self._settle(transaction, row)
            except BaseException:
                self._seq = _UNKNOWN  # what is in memory may be ahead of what is stored
                raise
            self._seq = seq

    def take(self, alerts: Sequence[Alert], offsets: Mapping[str, str], now: datetime) -> Step:
        """Take in alerts read from streams up to `offsets`, and what waits in the inbox; let time pass to `now`."""
        with self._opened(now, moving=True) as transaction:
            inbox = transaction.writer.inbox_take(MOST_INBOX)
            transaction.changed = transaction.changed or bool(inbox)
            telemetry = self._settings.clock == "event" and bool(transaction.offsets or offsets)
            transaction.by_telemetry = telemetry
            if inbox and self._settings.clock == "event" and not telemetry:
                transaction.moment = max(transaction.moment, *(alert.ends_at or alert.starts_at for alert in inbox))
            taken = transaction.take((*alerts, *inbox), self._oldest(transaction))
            transaction.read_to(offsets)
        assert transaction.outcome is not None
        doubled = len(alerts) + len(inbox) - sum(taken.values())
        result = (transaction.outcome, transaction.moment, transaction.offsets, taken, doubled)
        settling = self._settling + transaction.correlator.pages_waiting
        return Step(*result, frozenset(self._open), settling, transaction.snapshot_bytes)

    def tick(self, now: datetime) -> Step:
        """Let time pass; nothing is stored where nothing comes of it."""
        return self.take((), {}, now)

    def change(self, incident_id: str, state: IncidentState, at: datetime, by: str, note: str = "") -> Incident:
        """Change an incident's state by a person's word (acknowledged, mitigated, resolved) and return it.

        Raises:
            ContractError: no such incident is open, or the state cannot follow.
        """
        with self.transaction(at) as transaction:
            incident = transaction.correlator.change(incident_id, state, transaction.moment, by)
            transaction.act(at, by, f"incident {state}", incident_id, {"note": note} if note else {})
        return incident

    def merge(self, into: str, other: str, at: datetime, by: str) -> Incident:
        """Merge an incident into another by a person's word and return the one that goes on.

        Raises:
            ContractError: one of them is not open, or both are the same.
        """
        with self.transaction(at) as transaction:
            incident = transaction.correlator.merge(into, other, transaction.moment, by)
            transaction.act(at, by, "incident merged", other, {"into": into})
        return incident

    def silence(self, rule: Silence | MaintenanceWindow, at: datetime, by: str) -> None:
        """Put a silence or a maintenance window in force; one of the same name is replaced."""
        with self.transaction(at) as transaction:
            if isinstance(rule, Silence):
                transaction.writer.add_silence(rule)
            else:
                transaction.writer.add_window(rule)
            what = "silence added" if isinstance(rule, Silence) else "maintenance added"
            until = {"starts_at": rule.starts_at.isoformat(), "ends_at": rule.ends_at.isoformat()}
            transaction.act(
                at, by, what, rule.name, {**until, "matchers": [f"{m.label}{m.operator}{m.value}" for m in rule.matchers]}
            )

    def regraph(self, graph: ServiceGraph, at: datetime) -> None:
        """Go on with another call graph; incidents that it takes apart split at the next tick."""
        with self.transaction(at) as transaction:
            self._graph = graph
            transaction.correlator.regraph(graph)
            transaction.changed = True

    def open_incidents(self) -> tuple[Incident, ...]:
        """Return the open incidents as of the last transaction of this desk, the oldest first."""
        with self._lock:
            return self._correlator.open_incidents()

    def _at_hand(self, row: DeskRow) -> Correlator:
        """Return the correlator as of the last save of any desk."""
        if row.seq != self._seq:
            state = None if row.snapshot is None else unpacked(row.snapshot)
            self._correlator = Correlator(self._graph, self._config)
            self._pairs, self._settling = {}, 0
            if state is not None:
                self._settling = len(state["settling"])
                self._correlator.restore(state)
                self._pairs = pair_words(state["closeness"]["told"])
            self._updates.forget(storm=state is not None and state["storm"][0] > 0)
            self._open = {incident.incident_id for incident in self._correlator.open_incidents()}
        return self._correlator

    def _set_back(self, writer: "StoreWriter", row: DeskRow, at: datetime) -> DeskRow:
        """Close all incidents of a clock that ran ahead and go on by the wall's: what fires now must not join what is to come."""
        ahead, last = self._at_hand(row), moment_of_us(row.clock_us) + timedelta(seconds=self._settings.settle_s + 1)
        writer.put_fates(ahead.advance(last).fates)  # whoever was not paged yet is not paged any more
        for incident in ahead.open_incidents():
            ahead.change(incident.incident_id, IncidentState.RESOLVED, at, CLOCK)
        outcome = ahead.advance(last)
        writer.put_incidents(outcome.incidents)
        writer.enqueue(messages_of(outcome, self._audience))
        before = moment_of_us(row.clock_us)
        log.warning("the desk's clock stood at %s, ahead of the wall's: incidents of that time are closed", before)
        writer.audit(at, CLOCK, "clock set back", "", {"from": before.isoformat(), "incidents": len(outcome.incidents)})
        fresh = packed(Correlator(self._graph, self._config))
        seq = writer.save_desk(fresh, row.offsets, microseconds_of(at))
        return replace(row, seq=seq, snapshot=fresh, clock_us=microseconds_of(at))

    def _follow(self, transaction: DeskTransaction) -> None:
        """Go by the rules in force, and by what people said of pairs of services, whoever wrote them into the store."""
        transaction.correlator.suppress(transaction.writer.suppression())
        pairs = pair_words(transaction.writer.noted(PAIRS) or ())
        if pairs != self._pairs:
            transaction.correlator.retaught(pairs)
            transaction.changed, self._pairs = True, pairs

    def _oldest(self, transaction: DeskTransaction) -> datetime | None:
        """Return when a finding must have been made to be news: after an outage nobody is paged for what is long over."""
        return transaction.moment - timedelta(seconds=self._settings.quiet_s) if self._settings.clock == "wall" else None

    def _settle(self, transaction: DeskTransaction, row: DeskRow) -> int:
        """Store what the transaction did and what follows from it; return the number of the save that memory is as of."""
        outcome = transaction.outcome = transaction.correlator.advance(transaction.moment)
        self._settling += transaction.added - len(outcome.fates)
        self._open |= {incident.incident_id for incident in outcome.incidents}
        self._open -= {incident.incident_id for incident in outcome.incidents if incident.state in CLOSED}
        changed = outcome.fates or outcome.incidents or outcome.held_notes or self._updates.storm_turned(outcome.storm)
        if not (changed or transaction.changed):
            return row.seq
        writer = transaction.writer
        writer.put_incidents(outcome.incidents)
        writer.put_fates((*transaction.fates, *outcome.fates))
        writer.enqueue(messages_of(outcome, self._audience))
        if self._updates.held_back_changed(outcome):
            writer.put_held_back(outcome.held_back)
        for kind, incident_id, data in self._updates.news(outcome):
            writer.event(transaction.moment, kind, incident_id, data)
        snapshot = packed(transaction.correlator)
        transaction.snapshot_bytes = len(snapshot)
        return writer.save_desk(snapshot, transaction.offsets, max(row.clock_us, microseconds_of(transaction.moment)))
