"""Admission shared by HTTP and gRPC: a bound on calls in progress, a time limit, and threads for work that takes long."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from serving.http.problem import Problem, ProblemError

T = TypeVar("T")
INLINE_BYTES: Final = 512 * 1024
"""Bodies up to this size are worked on without a change of thread: a few milliseconds at most."""
_THREADS: Final = 4


class CallGate:
    """Used on one event loop only. At most `max_concurrency` calls are in progress, each for `timeout_s` at most."""

    def __init__(self, max_concurrency: int, timeout_s: float, advice: str = "in larger batches") -> None:
        self._max_concurrency = max_concurrency
        self._timeout_s = timeout_s
        self._advice = advice
        self._busy = 0
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="scoring")

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Hold one place while the body runs.

        Raises:
            ProblemError: 429 no place is free; 504 the time is over.
        """
        if self._busy >= self._max_concurrency:
            detail = f"{self._busy} calls are in progress, which is the limit. Try again in a moment, {self._advice}."
            raise ProblemError(Problem(429, "overload", detail, "", "", f"at most {self._max_concurrency} calls at once"))
        self._busy += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                yield
        except TimeoutError as error:
            detail = f"the call took longer than {self._timeout_s:g} s. Send fewer rows at once, or try again."
            raise ProblemError(Problem(504, "timeout", detail, "", "", f"at most {self._timeout_s:g} s")) from error
        finally:
            self._busy -= 1

    async def work(self, task: Callable[[], T], long: bool) -> T:
        """Run `task`, in a thread where it is `long`.

        A thread cannot be stopped: when the call's time is over, its place stays taken until the thread is done.
        """
        if not long:
            return task()
        future = self._threads.submit(task)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            self._keep_place(future)
            raise

    def close(self) -> None:
        """End the threads after what they run now."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _keep_place(self, future: "Future[T]") -> None:
        if future.cancelled() or future.done():
            return
        loop = asyncio.get_running_loop()
        self._busy += 1
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._leave))

    def _leave(self) -> None:
        self._busy -= 1
