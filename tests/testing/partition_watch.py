"""Watches from outside when each partition commits, and under which epoch: how long it stands still as it moves."""

import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise

from aiops.errors import Unavailable
from serving.stream import streams
from serving.stream.broker import open_streams
from tests.testing.stream_harness import Fleet

EVERY_S = 0.03


@dataclass(frozen=True, slots=True)
class Seen:
    """A partition at one moment: its epoch, the id it has committed, whether entries wait."""

    at_s: float
    epoch: int
    committed: str
    behind: bool


@dataclass(frozen=True, slots=True)
class Move:
    """A partition that has a new owner since `taken_s`: when the former one committed last, and the new one first.

    `waiting_s` = since when entries waited.
    """

    partition: int
    last_commit_s: float
    taken_s: float
    first_commit_s: float
    waiting_s: float

    @property
    def idle_s(self) -> float:
        """Return for how long entries waited for an owner."""
        return self.first_commit_s - max(self.last_commit_s, self.waiting_s)


@dataclass(slots=True)
class PartitionWatch:
    """Looks every few milliseconds until `stop`. Use as a context manager."""

    fleet: Fleet
    seen: dict[int, list[Seen]] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> "PartitionWatch":
        self._thread = threading.Thread(target=self._run, name="watch")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        assert self._thread is not None
        self._thread.join()

    def _run(self) -> None:
        broker = open_streams(self.fleet.settings)
        while not self.stop.wait(EVERY_S):
            for number in range(self.fleet.settings.broker.partitions):
                try:
                    stored = broker.hash_all(streams.offset("stage1", number))
                    newest = broker.last_id(streams.telemetry(number))
                except Unavailable:
                    continue
                committed = stored.get("id", streams.START)
                seen = Seen(time.monotonic(), int(stored.get("epoch", 0)), committed, newest != committed)
                self.seen.setdefault(number, []).append(seen)

    def moves(self) -> list[Move]:
        """Return all moves after the first owner of each partition, in order of time."""
        made = [move for number, seen in self.seen.items() for move in _moves(number, seen)]
        return sorted(made, key=lambda move: move.taken_s)

    def longest_wait_s(self) -> float:
        """Return the longest time in which entries of a partition waited and none was committed."""
        longest = 0.0
        for seen in self.seen.values():
            since, committed = None, ""
            for now in seen:
                if not now.behind or now.committed != committed:
                    since = now.at_s if now.behind else None
                elif since is None:
                    since = now.at_s
                committed = now.committed
                longest = max(longest, now.at_s - since if since is not None else 0.0)
        return longest


def _moves(number: int, seen: list[Seen]) -> list[Move]:
    made: list[Move] = []
    last_commit_s = waiting_s = seen[0].at_s
    taken: Seen | None = None
    for before, now in pairwise(seen):
        if now.behind and (not before.behind or (taken is None and now.committed != before.committed)):
            waiting_s = now.at_s
        if now.epoch != before.epoch and before.epoch > 0 and taken is None:
            taken = now
        if now.committed != before.committed:
            if taken is not None:
                made.append(Move(number, last_commit_s, taken.at_s, now.at_s, waiting_s))
                taken = None
            last_commit_s = now.at_s
    return made
