"""A source in its own order: what of it is history, what is replayed, and when drift is checked."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from aiops.ports import RequestRecords, TelemetrySource
from aiops.replay.history_split import of_history, of_replay
from aiops.types import HistorySplit, RequestRows


@dataclass(frozen=True, slots=True)
class Scenario:
    """A source, what of it is history and replay, and the event times at which drift is checked, ascending.

    `requests_from`: when the application begins to send log lines and spans; None = never.
    """

    source: TelemetrySource
    split: HistorySplit
    checks: tuple[datetime, ...]
    requests_from: datetime | None = None

    def history(self) -> Iterator[pa.Table]:
        """Yield the chunks to fit on."""
        for chunk in self.source.batches(self.split.history_start, self.split.history_end):
            yield of_history(chunk, self.split)

    def replay(self, start: datetime, end: datetime) -> Iterator[pa.Table]:
        """Yield the chunks to replay with start <= time < end."""
        for chunk in self.source.batches(start, end):
            yield of_replay(chunk, self.split)

    def requests(self) -> Iterator[RequestRows]:
        """Yield log lines and spans of the replay; none where the source has none."""
        if self.requests_from is not None and isinstance(self.source, RequestRecords):
            yield from self.source.requests(self.requests_from, self.split.replay_end)


def recorded(source: TelemetrySource) -> Scenario:
    """Return a recorded source in its own order, with drift checked after each third of the replay."""
    split = source.split()
    third = (split.replay_end - split.replay_start) / 3
    return Scenario(source, split, tuple(split.replay_start + third * number for number in (1, 2, 3)))
