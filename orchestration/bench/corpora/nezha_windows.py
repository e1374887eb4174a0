"""Requests of a day of Nezha around each fault: those of its first minutes, and those while all was well before it.

While all was well = the minute in `construct_data/` of the same day, and of the time before each fault so far what lies at least
six minutes after the fault before. The last seconds before a fault belong to neither: its time is written down late.

Nothing after the end of a fault's window is read for it, templates included. But the window starts at the true second of the
fault, and earlier faults are cut out by their true times: a running system knows neither, so a ranking of these is an upper bound
for it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.signals.line_templates import with_templates
from aiops.signals.novelty import LEFT_OUT, WINDOW
from aiops.signals.requests import requests_of
from aiops.types import IntArray
from models.rca.request_evidence import RequestWindow
from serving.ingest.pull.nezha import FAULT_WINDOW
from serving.ingest.pull.nezha_requests import RequestFiles, read_request_files

SEEN_US: Final = 180_000_000
"""What of a fault is looked at: its first three minutes; later ones mix with what follows."""
CALM_US: Final = 600_000_000
"""How long before a fault telemetry is looked at."""
GUARD_US: Final = 15_000_000
_MINUTE_US: Final = 60_000_000


class FaultRequests:
    """Requests of one day; nothing where the day has no traces. Memory: the day's spans and lines."""

    def __init__(self, folder: Path, faults_us: Sequence[int]) -> None:
        calm_folder = folder.parents[1] / "construct_data" / folder.name
        calm, day = read_request_files([calm_folder]), read_request_files([folder])
        self._files: RequestFiles | None = None
        self._faults_us = sorted(faults_us)
        if day is None:
            return
        parts = [part for part in (calm, day) if part is not None]
        self._files = RequestFiles(
            pa.concat_tables([part.spans for part in parts]).combine_chunks(),
            pa.concat_tables([part.lines for part in parts]).combine_chunks(),
        )
        times = _times(calm.spans) if calm is not None else np.zeros(0, np.int64)
        self._calm_us = (int(times.min()), int(times.max())) if times.size else (0, -1)

    def around(self, fault_us: int) -> RequestWindow | None:
        """Return the requests around a fault, from what was there at the end of its window; None where there is no trace.

        Templates are mined anew from these lines alone. O(lines log lines) of the day so far.
        """
        if self._files is None:
            return None
        end = fault_us // _MINUTE_US * _MINUTE_US + SEEN_US
        known = files_before(self._files, end)
        requests = requests_of(known.spans, with_templates(known.lines))
        at = requests.start_us
        calm = (at >= self._calm_us[0]) & (at <= self._calm_us[1])
        before = [time for time in self._faults_us if time <= fault_us]
        for number, time in enumerate(before):
            free = time - CALM_US
            if number:
                free = max(free, before[number - 1] + int(FAULT_WINDOW.total_seconds() * 1e6))
            calm |= (at >= free) & (at < time - GUARD_US)
        part = np.full(at.size, LEFT_OUT, np.int64)
        part[calm] = 1 + _numbered(at[calm] // _MINUTE_US)
        part[(at >= fault_us) & (at < end)] = WINDOW
        return RequestWindow(requests, part)


def files_before(files: RequestFiles, end_us: int) -> RequestFiles:
    """Return the spans that were over at a time (us since 1970) and the lines written by then; no part of traces still running.

    A trace cut in the middle would look like one that works differently.
    """
    start = _times(files.spans)
    begun = start < end_us
    length: IntArray = np.asarray(files.spans["duration_us"].combine_chunks().cast(pa.int64()))
    running = files.spans["trace_id"].filter(pa.array(begun & (start + length >= end_us)))
    spans = files.spans.filter(pa.array(begun))
    lines = files.lines.filter(pa.array(_times(files.lines) < end_us))
    return RequestFiles(*(table.filter(_outside(table["trace_id"], running)) for table in (spans, lines)))


def _outside(traces: "pa.ChunkedArray[Any]", running: "pa.ChunkedArray[Any]") -> Any:
    return pc.invert(pc.is_in(traces, value_set=running.combine_chunks()))


def _times(table: pa.Table) -> IntArray:
    return np.asarray(table["timestamp"].combine_chunks().cast(pa.int64()))


def _numbered(minutes: IntArray) -> IntArray:
    return np.unique(minutes, return_inverse=True)[1].astype(np.int64)
