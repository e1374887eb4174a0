"""Saying by which labels series are named, without holding the event loop: new ones before they are let in, others beside."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiops.errors import Unavailable
from serving.host.log_rate_limit import LineLimit
from serving.ingest.receive.series_intake import ReadSeries, SeriesIntake
from serving.ingest.receive.series_names import NameHolders

_THREADS: Final = 4

log = logging.getLogger(__name__)
_lines = LineLimit(log)


class UnagreedNames(Exception):
    """Series were forgotten since their names were agreed on: they are new again, and so are their names."""


class AgreedNames:
    """The names of all tenants of one event loop. `holders` None = this receiver decides alone, and nothing is asked."""

    def __init__(self, holders: NameHolders | None) -> None:
        self._holders = holders
        self._threads = ThreadPoolExecutor(_THREADS, "names")
        """Of their own: while the store hangs, large bodies are read and leases renewed as before."""

    def unsaid(self, intake: SeriesIntake, read: ReadSeries) -> dict[int, str]:
        """Return the labels that are to be agreed on before series are defined, by id."""
        return intake.new_names(read) if self._holders is not None and read.identities else {}

    async def agree(self, intake: SeriesIntake, labels: Mapping[int, str]) -> None:
        """Return once other receivers know labels, and the intake which of them others hold.

        Raises:
            Unavailable: the state store does not answer, or has no room.
        """
        intake.note_holders(await self._claimed(intake.tenant, labels))

    async def hold(self, intakes: Sequence[SeriesIntake]) -> None:
        """Say again by which labels active series are named; what the store does not hear is said the next time."""
        for intake in intakes:
            labels = intake.names_said_again()
            try:
                await self._claimed(intake.tenant, labels)
            except Unavailable as error:
                intake.say_again(labels)
                _lines.warn("names", f"names of series: {error}; they are said again until it answers")
                return

    async def _claimed(self, tenant: str, labels: Mapping[int, str]) -> Mapping[int, str]:
        if self._holders is None or not labels:
            return {}
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._holders.claim, tenant, labels)
