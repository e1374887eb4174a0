"""What a process is to work on: its stages ask, take what is assigned, and let go of the rest at a moment of their choice.

A partition that is to move is given up by all stages first (committed, checkpointed), then its lease is freed: the next owner
replays nothing. One whose owner fell silent is free when the lease ends. Both are advice that keeps work apart: two owners at
once lose and double nothing, for the epoch of a position lets only the newest commit. A process that was stopped and goes on
finds its leases gone, or is refused by that epoch: it drops the partition and works on with the others.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from aiops.errors import Unavailable
from serving.host.log_rate_limit import LineLimit
from serving.stream.ownership.assignment import assign
from serving.stream.ownership.leases import Leases, LeaseView
from serving.stream.ownership.ownership_metrics import OwnershipMetrics

BEATS_PER_LEASE: Final = 10
_LONGEST_BEAT_S: Final = 0.5

log = logging.getLogger(__name__)
_lines = LineLimit(log)


class Ownership(Protocol):
    """Says which partitions this process works on. Thread-safe."""

    @property
    def shared(self) -> bool:
        """Return whether other processes may take partitions over: then a fenced one is dropped; else the process ends."""
        ...

    def follow(self, stage: str, holding: Collection[int]) -> frozenset[int]:
        """Tell which partitions a stage holds; return those that it is to work on, which it holds from now on too."""
        ...

    def lose(self, number: int) -> None:
        """Tell that another process took a partition (its epoch says so): all stages are to let go of it."""
        ...

    def end(self, stage: str) -> None:
        """Tell that a stage has ended: it holds nothing any more."""
        ...


@dataclass(frozen=True, slots=True)
class FixedOwnership:
    """Partitions given by hand, or all: whoever takes one from this process ends it."""

    partitions: frozenset[int]

    @property
    def shared(self) -> bool:
        """Return False."""
        return False

    def follow(self, stage: str, holding: Collection[int]) -> frozenset[int]:
        """Return the partitions."""
        return self.partitions

    def lose(self, number: int) -> None:
        """Nothing: the process ends."""

    def end(self, stage: str) -> None:
        """Nothing: nobody waits for what a stage holds."""


@dataclass(frozen=True, slots=True)
class LeaseRules:
    """`checkpoint_wait_s`: how long a partition without owner waits for one that reaches its checkpoint."""

    checkpoint_wait_s: float = 120.0
    clock: Callable[[], float] = time.monotonic


@dataclass(slots=True)
class _Held:
    """What this process has: leases, those of them that it gives up, what each stage works on, and what it lost lately."""

    leases: set[int] = field(default_factory=set)
    leaving: set[int] = field(default_factory=set)
    stages: dict[str, frozenset[int]] = field(default_factory=dict)
    lost_at: dict[int, float] = field(default_factory=dict)

    @property
    def busy(self) -> frozenset[int]:
        """Return the partitions that a stage works on."""
        return frozenset().union(*self.stages.values())


class LeasedOwnership:
    """Partitions shared with other processes by leases. `run` extends them in a thread of its own until everything is let go."""

    def __init__(self, leases: Leases, metrics: OwnershipMetrics, rules: LeaseRules | None = None) -> None:
        self._leases = leases
        self._metrics = metrics
        self._rules = rules or LeaseRules()
        self._lock = threading.Lock()
        self._held = _Held()
        self._retiring = False
        self._patient_until_ms = 0
        self._wake = threading.Event()
        self._unreached: set[int] = set()

    @property
    def shared(self) -> bool:
        """Return True."""
        return True

    def follow(self, stage: str, holding: Collection[int]) -> frozenset[int]:
        """Tell which partitions a stage holds; return those that it is to work on, which it holds from now on too."""
        with self._lock:
            assigned = frozenset(self._held.leases - self._held.leaving)
            before = self._held.stages.get(stage, frozenset())
            self._held.stages[stage] = assigned | frozenset(holding)
            if before - self._held.stages[stage]:
                self._wake.set()
            return assigned

    def lose(self, number: int) -> None:
        """Tell that another process took a partition: all stages let go of it, and it is left to others for a lease."""
        with self._lock:
            self._metrics.fenced.labels(self._leases.group.name).inc()
            self._held.lost_at[number] = self._rules.clock()
            if number in self._held.leases:
                self._held.leaving.add(number)
        self._wake.set()

    def end(self, stage: str) -> None:
        """Tell that a stage has ended: it holds nothing any more."""
        with self._lock:
            self._held.stages.pop(stage, None)
        self._wake.set()

    def retire(self) -> None:
        """Give everything up, as the process ends: to the others at once; where there are none, as the stages end."""
        self._retiring = True
        self._wake.set()

    def run(self, stop: threading.Event) -> None:
        """Beat until stopped, and then leave. A state store that is away is waited for."""
        while not stop.is_set():
            try:
                self.beat()
            except Unavailable as error:
                _lines.warn("broker", f"leases wait for the state store: {error}")
            self._wake.wait(min(_LONGEST_BEAT_S, self._leases.group.lease_s / BEATS_PER_LEASE))
            self._wake.clear()
        try:
            self._leases.leave()
        except Unavailable as error:
            log.warning("leases are not given back, they end by themselves: %s", error)

    def beat(self) -> LeaseView:
        """Extend the leases, let go of what the stages have let go of, take what is free and ours; return how things stood.

        Raises:
            Unavailable: the state store does not answer; what is assigned stays.
        """
        with self._lock:
            released = self._held.leaving - self._held.busy
        view = self._leases.beat(released, self._retiring)
        self._be_patient(view)
        claims = self._decide(view)
        claimed = self._leases.claim(claims)
        with self._lock:
            self._held.leases |= claimed
            group = self._leases.group.name
            self._metrics.owned.labels(group).set(len(self._held.leases))
            self._metrics.members.labels(group).set(len(view.members))
        if claimed:
            self._metrics.taken.labels(group).inc(len(claimed))
            log.info("%s: took partitions %s", group, _text(claimed))
        return view

    def _be_patient(self, view: LeaseView) -> None:
        """Take nothing from others for a lease where our own ended: the state store may have been away for all of us."""
        if 0 < view.until_ms < view.now_ms:
            self._patient_until_ms = view.now_ms + int(self._leases.group.lease_s * 1000)

    def _decide(self, view: LeaseView) -> set[int]:
        """Note what is ours, mark what is to move; return what is to be claimed."""
        me = self._leases.member.member_id
        others = [member.member_id for member in view.members if not member.leaving and member.member_id != me]
        target = assign(others if self._retiring else [*others, me], _owners(view), self._eligible(view))
        with self._lock:
            held, mine = self._held, view.owned_by(me)
            expired = held.leases - held.leaving - mine
            if expired:
                log.warning("%s: leases of partitions %s ended, others may have them", self._leases.group.name, _text(expired))
                self._metrics.expired.labels(self._leases.group.name).inc(len(expired))
            held.leases = mine
            going = {number for number in mine if target.get(number, me) != me} - held.leaving
            if self._retiring and others:
                going = mine - held.leaving
            if going:
                log.info("%s: gives up partitions %s", self._leases.group.name, _text(going))
                self._metrics.given_up.labels(self._leases.group.name).inc(len(going))
            held.leaving = (held.leaving & mine) | going
            wanted = {number for number, owner in target.items() if owner == me and not view.leases[number].owner}
            return set() if self._retiring else wanted - held.busy - self._put_off(view)

    def _put_off(self, view: LeaseView) -> set[int]:
        """Return the partitions that we leave to others for now: lost to them lately, or maybe theirs still."""
        lease_s = self._leases.group.lease_s
        now, lost_at = self._rules.clock(), self._held.lost_at
        self._held.lost_at = {number: at for number, at in lost_at.items() if now - at < lease_s}
        put_off = set(self._held.lost_at)
        if view.now_ms < self._patient_until_ms:
            put_off |= set(view.leases)
        return put_off

    def _eligible(self, view: LeaseView) -> Mapping[int, list[str]]:
        """Return who may own each partition: who reaches its checkpoint, or after a while anybody."""
        able: dict[int, list[str]] = {}
        for number, lease in view.leases.items():
            note = view.notes.get(number)
            reaching = [member.member_id for member in view.members if note is None or member.place.reaches(note.place)]
            waited_s = (view.now_ms - lease.since_ms) / 1000
            if not reaching and lease.owner:
                reaching = [lease.owner]
            elif not reaching and waited_s >= self._rules.checkpoint_wait_s:
                reaching = [member.member_id for member in view.members]
            able[number] = reaching
        unreached = {number for number, names in able.items() if not names}
        for number in unreached - self._unreached:
            log.error(
                "partition %d: its checkpoint lies in %s, which no running consumer reaches; it is left alone for %g s, then its "
                "state is built anew: let consumers share AIOPS_CONSUMER__CHECKPOINT_FOLDER, or start one there",
                number,
                view.notes[number].place,
                self._rules.checkpoint_wait_s,
            )
        self._unreached = unreached
        return able


def _owners(view: LeaseView) -> dict[int, str]:
    return {number: lease.owner for number, lease in view.leases.items() if lease.owner}


def _text(numbers: Collection[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
