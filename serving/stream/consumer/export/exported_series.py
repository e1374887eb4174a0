"""Which series are exported, and what is known of each: those that globs select, and those with a finding lately; bounded.

A series keeps its place for `keep_us` of event time after its last finding; one that is selected, after its last point. Where
there is no room, new ones wait and are counted: none that is exported is driven out.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from serving.stream.consumer.export.export_labels import Label, export_labels
from serving.stream.consumer.export.picked_points import PickedPoints, PointPicker

_NEVER: Final = -(2**62)


@dataclass(frozen=True, slots=True)
class ExportRules:
    """What is exported: `select` holds globs of `service|metric`."""

    select: tuple[str, ...]
    max_series: int
    keep_us: int


class Sample(NamedTuple):
    """What tier 1 said of one point; NaN or infinite = it says nothing."""

    timestamp_ms: int
    value: float
    score: float
    expected: float
    lower: float
    upper: float

    @property
    def figures(self) -> tuple[float, ...]:
        """Return the numbers in the order of `FINDING_METRICS`."""
        return self[1:]


@dataclass(slots=True, eq=False)
class ExportedSeries:
    """One series that is exported, and its newest point."""

    labels: tuple[Label, ...]
    selected: bool
    alive_us: int = _NEVER
    """Event time of its last finding; of its last point where it is selected."""
    newest: Sample | None = None
    sent_ms: int = _NEVER
    """Time of the newest point that a receiver took."""


class NewSample(NamedTuple):
    """A point that was just judged, of a series that is exported."""

    series: ExportedSeries
    sample: Sample


@dataclass(slots=True)
class Room:
    """Places for series that several engines share."""

    free: int

    def take(self) -> bool:
        """Take a place; False where there is none."""
        if self.free <= 0:
            return False
        self.free -= 1
        return True


@dataclass(slots=True)
class EngineExport:
    """The exported series of one engine. For one thread, except the picker's side of the hot thread."""

    tenant: str
    rules: ExportRules
    room: Room
    picker: PointPicker = field(default_factory=PointPicker)
    held: dict[int, ExportedSeries] = field(default_factory=dict)
    left_out: int = 0
    """Series with a finding, or selected, that there was no room for in the last round."""
    _waiting: deque[int] = field(default_factory=deque)
    _looked_at: int = 0
    _newest_us: int = 0

    def collect(self) -> list[NewSample]:
        """Take in what was picked since the last call; return the points of exported series, oldest first."""
        self._select()
        refused: set[int] = set()
        made = [new for batch in self.picker.take() for new in self._samples(batch, refused)]
        self._expire()
        self.left_out = len(refused) + len(self._waiting)
        self.picker.want(list(self.held))
        return made

    def _select(self) -> None:
        """Give places to the series that a glob selects; each is looked at once."""
        series = self.picker.series
        if self.rules.select:
            size = len(series)
            for slot, name in zip(range(self._looked_at, size), series[self._looked_at : size], strict=True):
                if any(fnmatchcase(f"{name.service}|{name.metric}", glob) for glob in self.rules.select):
                    self._waiting.append(slot)
            self._looked_at = size
        for _ in range(len(self._waiting)):
            slot = self._waiting[0]
            if slot in self.held:
                self.held[slot].selected = True
            elif self.room.take():
                self.held[slot] = ExportedSeries(export_labels(self.tenant, series[slot]), selected=True)
            else:
                return
            self._waiting.popleft()

    def _samples(self, batch: PickedPoints, refused: set[int]) -> Iterator[NewSample]:
        rows = zip(batch.slot.tolist(), batch.timestamp_us.tolist(), batch.flagged.tolist(), *batch.figures.tolist(), strict=True)
        for slot, timestamp_us, flagged, *figures in rows:
            self._newest_us = max(self._newest_us, timestamp_us)
            series = self.held.get(slot)
            if series is None:
                if not flagged:
                    continue
                if not self.room.take():
                    refused.add(slot)
                    continue
                series = self.held[slot] = ExportedSeries(export_labels(self.tenant, batch.series[slot]), selected=False)
            if flagged or series.selected:
                series.alive_us = max(series.alive_us, timestamp_us)
            sample = Sample(timestamp_us // 1000, *figures)
            if series.newest is None or sample.timestamp_ms >= series.newest.timestamp_ms:
                series.newest = sample
            yield NewSample(series, sample)

    def _expire(self) -> None:
        until_us = self._newest_us - self.rules.keep_us
        for series in self.held.values():
            series.alive_us = self._newest_us if series.alive_us == _NEVER else series.alive_us
        for slot in [slot for slot, series in self.held.items() if series.alive_us < until_us]:
            if self.held.pop(slot).selected:
                self._waiting.append(slot)  # if it comes back, and there is room then
            self.room.free += 1
