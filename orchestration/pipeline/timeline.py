"""When a recorded source happens live: the shift from its times to now, and how far it is published; kept below home."""

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from aiops.types import HistorySplit
from data_contracts.schemas.telemetry_schemas import TIMESTAMP

FILE: Final = "feed.json"


@dataclass(frozen=True, slots=True)
class Timeline:
    """A source whose replay begins at `origin` (event time).

    `position` = source time up to which everything is published; `newest` = the event time that it has there.
    """

    source: str
    origin: datetime
    position: datetime
    newest: datetime

    @classmethod
    def load(cls, home: Path) -> "Timeline | None":
        """Return the timeline that was kept, None without any."""
        path = home / FILE
        if not path.is_file():
            return None
        kept = orjson.loads(path.read_bytes())
        return cls(
            without_secrets(kept["source"]), *(datetime.fromisoformat(kept[name]) for name in ("origin", "position", "newest"))
        )

    def save(self, home: Path) -> None:
        """Keep the timeline; a reader sees the former or this one, whole."""
        staged = home / f".{FILE}"
        staged.write_bytes(orjson.dumps(self))
        staged.replace(home / FILE)

    def at(self, position: datetime, split: HistorySplit) -> "Timeline":
        """Return the timeline with everything before `position` published."""
        return replace(self, position=position, newest=max(self.newest, position + self.replay_shift(split)))

    def replay_shift(self, split: HistorySplit) -> timedelta:
        """Return what is added to times of the replay."""
        return self.origin - split.replay_start

    def history_shift(self, split: HistorySplit) -> timedelta:
        """Return what is added to times of the history, which ends where the replay begins."""
        return self.origin - split.history_end


def timeline_of(home: Path, source: str, split: HistorySplit, now: datetime, step_s: int) -> Timeline:
    """Return the timeline of `source`: the one that was kept, or a new one that begins now (and after what was fed before).

    Args:
        home: where it is kept.
        source: names the source and its options.
        split: of the source.
        now: wall clock.
        step_s: seconds between ticks; source ticks stay ticks.
    """
    kept, source = Timeline.load(home), without_secrets(source)
    if kept is not None and kept.source == source:
        return kept
    step = timedelta(seconds=step_s)
    begin = now if kept is None else max(now, kept.newest + step)
    shift = (begin - split.replay_start) // step * step
    return Timeline(source, split.replay_start + shift, split.replay_start, split.replay_start + shift)


def without_secrets(source: str) -> str:
    """Return what names a source without the options that hold its secret, or say where it is kept.

    >>> without_secrets("--source prometheus --set token=abc --set url=http://p:9090")
    '--source prometheus --set url=http://p:9090'
    """
    return re.sub(r" --set (token|token_file|url_file)=\S+", "", source)


def shifted(rows: pa.Table, by: timedelta, columns: tuple[str, ...] = ("timestamp",)) -> pa.Table:
    """Return `rows` with the times of some columns moved by `by`; text columns stay as they are."""
    for name in columns:
        if pa.types.is_timestamp(rows.schema.field(name).type):
            moved = pc.add(rows[name].cast(TIMESTAMP), pa.scalar(by, pa.duration("us")))
            rows = rows.set_column(rows.schema.get_field_index(name), name, moved.cast(TIMESTAMP))
    return rows
