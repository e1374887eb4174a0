"""A source published at its own pace: what a real application would send, from a simulator or a recording.

Run as `python -m orchestration.pipeline.feed --source simulate --speed 1`; `aiops up` starts it. Times are shifted so that the
first row of the replay is now: live processes judge rows against the wall clock.
"""

import argparse
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from aiops.settings import Settings
from data_contracts.schemas import TIMESTAMP
from orchestration.commands.options import SourceChoice
from orchestration.workspace import Workspace
from serving.broker import connect
from serving.producer import TelemetryProducer


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast: `speed` seconds of the source in one second, in batches of `every_s` seconds of wall time."""

    speed: float = 1.0
    every_s: float = 1.0


def slices(chunk: pa.Table, step: timedelta) -> Iterator[tuple[datetime, pa.Table]]:
    """Yield (end of the slice, its rows) of a chunk sorted by time; rows without a readable time go with the first slice."""
    times = chunk["timestamp"].cast(TIMESTAMP)
    bounds = pc.min_max(times).as_py()
    begin: datetime = bounds["min"]
    while begin <= bounds["max"]:
        end = begin + step
        inside = pc.and_(pc.greater_equal(times, pa.scalar(begin, TIMESTAMP)), pc.less(times, pa.scalar(end, TIMESTAMP)))
        rows = chunk.filter(inside)
        if rows.num_rows:
            yield end, rows
        begin = end


def shifted(rows: pa.Table, by: timedelta) -> pa.Table:
    """Return `rows` with every timestamp moved by `by`."""
    moved = pc.add(rows["timestamp"].cast(TIMESTAMP), pa.scalar(by, pa.duration("us")))
    return rows.set_column(rows.schema.get_field_index("timestamp"), "timestamp", moved.cast(TIMESTAMP))


def feed(settings: Settings, choice: SourceChoice, pace: Pace, stop: threading.Event) -> int:
    """Publish the replay part of a source until it ends or `stop` is set; return the points published."""
    source = choice.open()
    workspace = Workspace.open(settings)
    producer = TelemetryProducer(connect(settings), settings.broker.partitions, workspace.graph())
    split, sequence, points = source.split(), producer.resume_from(), 0
    started, shift = time.monotonic(), datetime.now(UTC) - split.replay_start
    for chunk in source.batches(split.replay_start, split.replay_end):
        for end, rows in slices(chunk, timedelta(seconds=pace.every_s * pace.speed)):
            due = started + (end - split.replay_start).total_seconds() / pace.speed
            if stop.wait(max(0.0, due - time.monotonic())):
                return points
            producer.publish(shifted(rows, shift), sequence)
            sequence, points = sequence + 1, points + rows.num_rows
    return points


def main() -> None:
    """Feed until the source ends or SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="simulate")
    parser.add_argument("--path", type=Path, default=None)
    parser.add_argument("--set", action="append", default=[], dest="options")
    parser.add_argument("--speed", type=float, default=1.0)
    arguments = parser.parse_args()
    stop = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stop.set())
    choice = SourceChoice(arguments.source, arguments.path, tuple(arguments.options))
    feed(Settings(), choice, Pace(arguments.speed), stop)
    stop.wait()


if __name__ == "__main__":
    main()
