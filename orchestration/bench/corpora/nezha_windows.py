"""Requests of a day of Nezha around each fault: those of its first minutes, and those while all was well before it.

While all was well = the minute in `construct_data/` of the same day, and of the time before each fault so far what lies at least
six minutes after the fault before. The last seconds before a fault belong to neither: its time is written down late.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from aiops.signals.line_templates import with_templates
from aiops.signals.novelty import LEFT_OUT, WINDOW
from aiops.signals.requests import Requests, requests_of
from aiops.types import IntArray
from models.rca.request_evidence import RequestWindow
from serving.ingest.pull.nezha import FAULT_WINDOW
from serving.ingest.pull.nezha_requests import read_request_files

SEEN_US: Final = 180_000_000
"""What of a fault is looked at: its first three minutes; later ones mix with what follows."""
CALM_US: Final = 600_000_000
"""How long before a fault telemetry is looked at."""
GUARD_US: Final = 15_000_000
_MINUTE_US: Final = 60_000_000


class FaultRequests:
    """Requests of one day; nothing where the day has no traces."""

    def __init__(self, folder: Path, faults_us: Sequence[int]) -> None:
        calm_folder = folder.parents[1] / "construct_data" / folder.name
        calm, day = read_request_files([calm_folder]), read_request_files([folder])
        self._requests: Requests | None = None
        self._faults_us = sorted(faults_us)
        if day is None:
            return
        parts = [part for part in (calm, day) if part is not None]
        spans, lines = pa.concat_tables([part.spans for part in parts]), pa.concat_tables([part.lines for part in parts])
        self._requests = requests_of(spans, with_templates(lines))
        times = (
            np.asarray(calm.spans["timestamp"].combine_chunks().cast(pa.int64())) if calm is not None else np.zeros(0, np.int64)
        )
        self._calm_us = (int(times.min()), int(times.max())) if times.size else (0, -1)

    def around(self, fault_us: int) -> RequestWindow | None:
        """Return the requests around a fault; None where there is no trace."""
        if self._requests is None:
            return None
        at = self._requests.start_us
        calm = (at >= self._calm_us[0]) & (at <= self._calm_us[1])
        before = [time for time in self._faults_us if time <= fault_us]
        for number, time in enumerate(before):
            free = time - CALM_US
            if number:
                free = max(free, before[number - 1] + int(FAULT_WINDOW.total_seconds() * 1e6))
            calm |= (at >= free) & (at < time - GUARD_US)
        part = np.full(at.size, LEFT_OUT, np.int64)
        part[calm] = 1 + _numbered(at[calm] // _MINUTE_US)
        end = fault_us // _MINUTE_US * _MINUTE_US + SEEN_US
        part[(at >= fault_us) & (at < end)] = WINDOW
        return RequestWindow(self._requests, part)


def _numbered(minutes: IntArray) -> IntArray:
    return np.unique(minutes, return_inverse=True)[1].astype(np.int64)
