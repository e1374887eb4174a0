"""Work of requests in the event loop where it is small, beside it where others would wait for it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

Result = TypeVar("Result")


async def in_or_beside_loop(is_large: bool, work: Callable[[], Result], threads: Executor | None = None) -> Result:
    """Return what work gives: large work is done by `threads`, None = the loop's own."""
    if not is_large:
        return work()
    return await asyncio.get_running_loop().run_in_executor(threads, work)
