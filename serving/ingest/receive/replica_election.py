"""HA pairs: two senders of the same series, told apart by a label; one leads, the other's points are there already.

The leader keeps its place while it sends; after it was silent for so long the next one that sends takes over. A point of the
member that does not lead is answered as written, for the leader's stands for it. Who leads is agreed among receivers, see
`replica_leases`: it is asked again when the lease ends by the clock of this process, and the append checks that it still holds.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from serving.ingest.leader_terms import LeaderTerm
from serving.ingest.receive.wire.decoded import Int64s

MOST_IN_A_PAIR: Final = 2
"""Members beyond this under no name are rather several pairs that nobody named."""
_MOST_MEMBERS: Final = 4096
_RENEW: Final = 2 / 3
"""Share of a lease that is left when it is renewed."""


class Claim(NamedTuple):
    """A member that sends for a pair."""

    pair: str
    replica: str


@dataclass(frozen=True, slots=True)
class Lead:
    """Who leads a pair, until when, in seconds of the clock of elections, and the times that it had changed by then."""

    pair: str
    leader: str
    until_s: float
    changes: int = 0


class ReplicaElection:
    """The HA pairs of one tenant. Members are numbered from 1; 0 = of no pair, always taken."""

    def __init__(self, silent_s: float, clock: Callable[[], float] = time.monotonic, shared: bool = False) -> None:
        """Agree with other receivers where `shared`; else this one decides alone: who sends first leads while it sends."""
        self.silent_s = silent_s
        self.clock = clock
        self._shared = shared
        self._number: dict[Claim, int] = {}
        self._members: list[Claim] = [Claim("", "")]
        self._leads: dict[str, Lead] = {}

    def member(self, pair: str, replica: str) -> int:
        """Return the number of a replica of a pair, 0 for none; beyond 4,096 members no more are told apart."""
        if not replica:
            return 0
        claim = Claim(pair, replica)
        number = self._number.get(claim)
        if number is None:
            if len(self._members) >= _MOST_MEMBERS:
                return 0
            number = self._number[claim] = len(self._members)
            self._members.append(claim)
        return number

    def undecided(self, present: Int64s) -> list[Claim]:
        """Return of which pairs of a body (numbers of members) it is to be agreed now who leads, and for whom it asks."""
        now = self.clock()
        unled = {claim.pair: claim for claim in self._claims(present) if self._until_s(claim.pair) <= now}
        if self._shared:
            return list(unled.values())
        self.note([Lead(*claim, now + self.silent_s) for claim in [*unled.values(), *self.renewable(present)]])
        return []

    def renewable(self, present: Int64s) -> list[Claim]:
        """Return those of the members of a body that lead, and whose lease has run for a third of its time."""
        soon = self.clock() + _RENEW * self.silent_s
        return [claim for claim in self._claims(present) if self._is_led_by(claim) and self._until_s(claim.pair) < soon]

    def note(self, leads: Sequence[Lead]) -> list[Lead]:
        """Take in what was agreed; return those of a pair that had another leader before."""
        changed = []
        for lead in leads:
            before = self._leads.get(lead.pair)
            if before is not None and before.leader != lead.leader:
                changed.append(lead)
            self._leads[lead.pair] = lead
        return changed

    def answering(self, present: Int64s) -> Int64s:
        """Return (members,) 1 for those whose points are taken now; `present` are the numbers that a body is of."""
        taken = np.ones(len(self._members), np.int64)
        for claim in self._claims(present):
            taken[self._number[claim]] = self._is_led_by(claim)
        return taken

    def terms(self, tenant: str, present: Int64s) -> set[LeaderTerm]:
        """Return the terms that must last for the points of a body to be appended; none where this receiver decides alone."""
        if not self._shared:
            return set()
        leads = [self._leads[claim.pair] for claim in self._claims(present) if self._is_led_by(claim)]
        return {LeaderTerm(tenant, lead.pair, lead.changes, lead.leader) for lead in leads}

    def forget(self, pairs: Iterable[str]) -> None:
        """Forget who leads pairs: it is to be agreed again."""
        for pair in pairs:
            self._leads.pop(pair, None)

    def unnamed(self) -> int:
        """Return how many members are of the pair without a name."""
        return sum(claim.pair == "" for claim in self._members[1:])

    def leaders(self) -> dict[str, str]:
        """Return the replica that leads, by pair."""
        return {pair: lead.leader for pair, lead in self._leads.items()}

    def _until_s(self, pair: str) -> float:
        lead = self._leads.get(pair)
        return -math.inf if lead is None else lead.until_s

    def _is_led_by(self, claim: Claim) -> bool:
        lead = self._leads.get(claim.pair)
        return lead is not None and lead.leader == claim.replica

    def _claims(self, present: Int64s) -> list[Claim]:
        if len(self._members) == 1 or not present.any():
            return []
        return [self._members[number] for number in np.unique(present[present > 0]).tolist()]
