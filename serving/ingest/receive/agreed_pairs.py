"""Agreeing with other receivers who leads an HA pair, without holding the event loop: asked when needed, renewed beside."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final, Protocol

from aiops.errors import Unavailable
from serving.host.log_rate_limit import LineLimit
from serving.ingest.receive.replica_election import MOST_IN_A_PAIR, Claim, Lead
from serving.ingest.receive.series_intake import SeriesIntake
from serving.ingest.receive.wire.decoded import Int64s

_FIX: Final = "give each pair its own label `cluster`, or another of AIOPS_INGEST__PAIR_LABELS"

log = logging.getLogger(__name__)
_lines = LineLimit(log)


class PairLeases(Protocol):
    """Where it is agreed."""

    def elect(self, tenant: str, claims: Sequence[Claim], asked_s: float) -> list[Lead]:
        """Return who leads the pairs of claims, see `ReplicaLeases`."""


class AgreedPairs:
    """The pairs of all tenants of one event loop. `leases` None = this receiver decides alone, and nothing is asked."""

    def __init__(self, leases: PairLeases | None) -> None:
        self._leases = leases
        self._renewing: set[asyncio.Task[None]] = set()
        self._in_progress: set[tuple[str, Claim]] = set()

    async def agree(self, intake: SeriesIntake, claims: Sequence[Claim]) -> None:
        """Return once it is agreed who leads the pairs of claims.

        Raises:
            Unavailable: the state store does not answer.
        """
        if self._leases is None:
            return
        election = intake.election
        asked_s = election.clock()
        for lead in election.note(await asyncio.to_thread(self._leases.elect, intake.tenant, claims, asked_s)):
            log.info("tenant %s: %s leads the pair %s now", intake.tenant, lead.leader, lead.pair or "without a name")
        if election.unnamed() > MOST_IN_A_PAIR:
            rule = f"{election.unnamed()} replicas of one pair without a name, of which one is taken"
            _lines.warn("pair", f"tenant {intake.tenant}: {rule}: {_FIX}")

    def renew(self, intake: SeriesIntake, present: Int64s) -> None:
        """Extend, beside, the leases of those of a body's members that lead, where it is time."""
        if self._leases is None:
            return
        due = [claim for claim in intake.election.renewable(present) if (intake.tenant, claim) not in self._in_progress]
        if due:
            task = asyncio.ensure_future(self._renewed(intake, due))
            self._renewing.add(task)
            task.add_done_callback(self._renewing.discard)

    async def _renewed(self, intake: SeriesIntake, claims: Sequence[Claim]) -> None:
        marks = {(intake.tenant, claim) for claim in claims}
        self._in_progress |= marks
        try:
            await self.agree(intake, claims)
        except Unavailable as error:
            _lines.warn("pairs", f"leases of HA pairs: {error}; asked again with the next points")
        finally:
            self._in_progress -= marks
