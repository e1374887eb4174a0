"""A source published at its own pace: what a real application would send, from a simulator or a recording.

Run as `python -m orchestration.pipeline.feed --source simulate --speed 1`; `aiops up` starts it. Times are shifted so that the
first row of the replay is now: live processes judge rows against the wall clock.
"""

import argparse
import itertools
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.history import of_replay
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


def slices(chunk: pa.Table, step: timedelta, fallback: datetime) -> Iterator[tuple[datetime, pa.Table]]:
    """Yield (end of the slice, its rows) of a chunk in time order; a chunk without readable times is due at `fallback`."""
    if not pa.types.is_timestamp(chunk["timestamp"].type):
        yield fallback, chunk
        return
    step_us = step // timedelta(microseconds=1)
    slot = chunk["timestamp"].cast(TIMESTAMP).cast(pa.int64()).to_numpy() // step_us
    edges = np.flatnonzero(np.diff(slot, prepend=slot[:1] - 1))
    for begin, end in itertools.pairwise([*edges.tolist(), len(slot)]):
        yield datetime.fromtimestamp(float(slot[begin] + 1) * step_us / 1e6, tz=UTC), chunk.slice(begin, end - begin)


def shifted(rows: pa.Table, by: timedelta) -> pa.Table:
    """Return `rows` with every timestamp moved by `by`."""
    if not pa.types.is_timestamp(rows["timestamp"].type):
        return rows
    moved = pc.add(rows["timestamp"].cast(TIMESTAMP), pa.scalar(by, pa.duration("us")))
    return rows.set_column(rows.schema.get_field_index("timestamp"), "timestamp", moved.cast(TIMESTAMP))


def feed(settings: Settings, choice: SourceChoice, pace: Pace, stop: threading.Event) -> int:
    """Publish the replay part of a source until it ends or `stop` is set; return the points published."""
    source = choice.open()
    workspace = Workspace.open(settings)
    producer = TelemetryProducer(connect(settings), settings.broker.partitions, workspace.graph())
    split, sequence, points = source.split(), producer.resume_from(), 0
    started, shift = time.monotonic(), datetime.now(UTC) - split.replay_start
    at = split.replay_start
    for chunk in source.batches(split.replay_start, split.replay_end):
        for end, rows in slices(of_replay(chunk, split), timedelta(seconds=pace.every_s * pace.speed), at):
            at = end
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
