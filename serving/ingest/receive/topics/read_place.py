"""A partition of a topic that this process reads: what was fetched, the run that is being taken, and where it stands."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final

from aiops.errors import Unavailable
from serving.http.problem import ProblemError
from serving.ingest.receive.group_commit import BacklogFull
from serving.ingest.receive.receivers import BACKLOG_RETRY_S, TooFast
from serving.ingest.receive.topics.topic_intake import RunIntake, RunTaken
from serving.ingest.receive.topics.topic_messages import TopicMessage, TopicRun
from serving.ingest.topic_positions import Advance, TopicPlace, TopicPositions

RUN_MESSAGES: Final = 128
RUN_BYTES: Final = 1 << 20
"""A run ends with the message that reaches one of these."""
MOST_FETCHED: Final = 8 << 20
"""Bytes fetched and not yet taken from which on fetching waits; it goes on at half of that."""
_RETRY_S: Final = 0.5
_TENANT_RETRY_S: Final = 30.0


class ReadPlace:
    """One partition; the thread of its reader has it, runs are taken in the event loop, one at a time."""

    def __init__(self, place: TopicPlace, token: str, following: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.place = place
        self.token = token
        self.next_offset = following
        """The offset after what is on the broker."""
        self.fetched_to = following
        """The offset to fetch next."""
        self.high = following
        """The offset after the newest message, as far as it is known."""
        self.noted_at = 0.0
        self.held = False
        self.problem = ""
        """Why the last run was refused, "" where it was not."""
        self._clock = clock
        self._fetched: deque[TopicMessage] = deque()
        self._bytes = 0
        self._run: TopicRun | None = None
        self._taking: Future[RunTaken] | None = None
        self._retry_at = 0.0

    @property
    def busy(self) -> bool:
        """Return whether a run is being taken."""
        return self._taking is not None

    def add(self, message: TopicMessage) -> None:
        """Add a message that was fetched; one that was fetched before is left out."""
        if message.offset < self.fetched_to:
            return
        self.fetched_to = message.offset + 1
        self._fetched.append(message)
        self._bytes += len(message.content)
        self.held = self.held or self._bytes >= MOST_FETCHED

    def start(self, intake: RunIntake, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to take the next run, where none is being taken."""
        if self._taking is not None or self._clock() < self._retry_at:
            return
        if self._run is None:
            self._run = self._next_run()
        if self._run is not None:
            self._taking = asyncio.run_coroutine_threadsafe(intake.take(self._run), loop)

    def settle(self, positions: TopicPositions) -> RunTaken | None:
        """Return what became of a run that is over, None where none is; one that was refused is taken again later.

        Raises:
            FencedError: another process reads the partition now.
            Unavailable: the state store does not answer; call it again.
        """
        if self._taking is None or self._run is None or not self._taking.done():
            return None
        error = self._taking.exception()
        if error is None:
            taken = self._taking.result()
            return self._done(taken, int(self._run.first(taken.read + taken.unreadable).advance.end))
        if not isinstance(error, (TooFast, BacklogFull, Unavailable, ProblemError)):
            raise error
        if isinstance(error, Unavailable):
            at = positions.current(self.place, self.token)
            if at != self._run.advance.begin:  # its answer was lost, it was in
                left = self._run.after(at)
                return self._done(RunTaken(len(self._run.messages) - len(left.messages if left else ()), 0), at)
        self._taking, self.problem = None, str(error)
        self._retry_at = self._clock() + _wait_s(error)
        return None

    def _done(self, taken: RunTaken, end: int) -> RunTaken:
        assert self._run is not None
        self.next_offset, self._run, self._taking, self.problem = end, self._run.after(end), None, ""
        return taken

    def _next_run(self) -> TopicRun | None:
        messages: list[TopicMessage] = []
        size = 0
        while self._fetched and len(messages) < RUN_MESSAGES and size < RUN_BYTES:
            messages.append(self._fetched.popleft())
            size += len(messages[-1].content)
        self._bytes -= size
        if self._bytes <= MOST_FETCHED // 2:
            self.held = False
        if not messages:
            return None
        return TopicRun(tuple(messages), Advance(self.place, self.token, self.next_offset, messages[-1].offset + 1))


def _wait_s(error: TooFast | BacklogFull | Unavailable | ProblemError) -> float:
    if isinstance(error, TooFast):
        return error.retry_s
    if isinstance(error, ProblemError):
        return _TENANT_RETRY_S
    return BACKLOG_RETRY_S / 5 if isinstance(error, BacklogFull) else _RETRY_S
