"""Bodies into batches: new series are announced first, undecided pairs agreed on, other requests have their turn in between."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from serving.ingest.receive.agreed_names import AgreedNames, UnagreedNames
from serving.ingest.receive.agreed_pairs import AgreedPairs
from serving.ingest.receive.point_intake import TenantIntake, UndecidedPairs
from serving.ingest.receive.raw_batch import RawBatch
from serving.ingest.receive.receipts import Receipt
from serving.ingest.receive.series_intake import ReadSeries, Sight
from serving.ingest.receive.wire.decoded import DecodedBody, Int64s

AT_ONCE: Final = 100
"""New series that are read before other requests have their turn: some 4 ms."""


class BodyGathering:
    """What one event loop does with bodies before they are committed; a batch it returns is to be committed at once."""

    def __init__(self, commit: Callable[[RawBatch], Awaitable[None]], pairs: AgreedPairs, names: AgreedNames) -> None:
        self._commit = commit
        self._pairs = pairs
        self._names = names

    async def body(self, intake: TenantIntake, decoded: DecodedBody) -> tuple[Receipt, RawBatch]:
        """Return what became of a body and the batch with its points; what is to be agreed on first is."""
        receipt, batch = Receipt(), RawBatch()
        while True:
            sight = await self._known(intake, decoded, batch, receipt)
            try:
                intake.take(decoded, batch, receipt, sight)
            except UndecidedPairs as undecided:
                defined, batch = batch, RawBatch()
                await self._commit(defined)  # a body that comes meanwhile may count on its definitions
                await self._pairs.agree(intake, undecided.claims)
            else:
                self._pairs.renew(intake, sight.rows.member)
                return receipt, batch

    async def bodies(self, intake: TenantIntake, bodies: Sequence[DecodedBody]) -> tuple[list[Receipt], RawBatch]:
        """Return what became of bodies that go together, in order, and the one batch with their points."""
        defined = [await self._announced(intake, decoded) for decoded in bodies]
        while True:
            try:
                receipts, batch = self._taken(intake, bodies)
            except UndecidedPairs as undecided:
                await self._pairs.agree(intake, undecided.claims)
            except UnagreedNames:
                again = [await self._announced(intake, decoded) for decoded in bodies]
                defined = [count + more for count, more in zip(defined, again, strict=True)]
            else:
                for receipt, count in zip(receipts, defined, strict=True):
                    receipt.defined += count
                return receipts, batch

    def _taken(self, intake: TenantIntake, bodies: Sequence[DecodedBody]) -> tuple[list[Receipt], RawBatch]:
        """Take bodies without giving way to anybody; where a pair is undecided or a name not agreed on, none was taken."""
        batch, receipts = RawBatch(), []
        try:
            for decoded in bodies:
                sight, receipt = intake.look_up(decoded), Receipt()
                read = intake.read(decoded, sight, sight.wanted)
                if self._names.unsaid(intake, read):  # a sweep since they were announced
                    raise UnagreedNames
                intake.define(sight, read, batch, receipt)
                receipts.append(intake.take(decoded, batch, receipt, sight))
                self._pairs.renew(intake, sight.rows.member)
        except (UndecidedPairs, UnagreedNames):
            batch.take_back()
            raise
        return receipts, batch

    async def _announced(self, intake: TenantIntake, decoded: DecodedBody) -> int:
        """Announce the new series of a body before any of its points; return how many they are."""
        receipt, batch = Receipt(), RawBatch()
        await self._known(intake, decoded, batch, receipt)
        if batch.shares:
            await self._commit(batch)
        return receipt.defined

    async def _known(self, intake: TenantIntake, decoded: DecodedBody, batch: RawBatch, receipt: Receipt) -> Sight:
        """Return the series of a body, all of them known; many new ones are read in parts, other requests in between.

        Each part is committed before any point of its series: also one that another body brings meanwhile.
        """
        while True:
            sight = intake.look_up(decoded)
            if len(sight.wanted) <= AT_ONCE:
                read = await self._read(intake, decoded, sight, sight.wanted)
                if read is None:
                    continue
                intake.define(sight, read, batch, receipt)
                return sight
            for first in range(0, len(sight.wanted), AT_ONCE):
                part, read = RawBatch(), await self._read(intake, decoded, sight, sight.wanted[first : first + AT_ONCE])
                if read is None:
                    break
                intake.define(sight, read, part, receipt)
                await self._commit(part)  # one at a time: what others send need not wait for more than one
                if sight.generation != intake.table.generation:
                    break
            else:
                return sight

    async def _read(self, intake: TenantIntake, decoded: DecodedBody, sight: Sight, wanted: Int64s) -> ReadSeries | None:
        """Return rows of a sight, once other receivers know which labels name the new ones; None = the table is another now."""
        read = intake.read(decoded, sight, wanted)
        labels = self._names.unsaid(intake, read)
        if not labels:
            return read
        await self._names.agree(intake, labels)
        return read if sight.generation == intake.table.generation else None
