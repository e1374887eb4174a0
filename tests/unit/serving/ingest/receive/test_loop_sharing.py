"""Small work is done in the event loop, large work beside it while the loop goes on."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from serving.ingest.receive.loop_sharing import in_or_beside_loop
from tests.testing.deadlines import within


def test_small_work_is_done_in_the_thread_of_the_loop() -> None:
    async def main() -> bool:
        return await in_or_beside_loop(False, threading.get_ident) == threading.get_ident()

    assert asyncio.run(main())


def test_large_work_is_done_by_the_threads_given_while_the_loop_goes_on() -> None:
    go_on = threading.Event()

    def work() -> str:
        assert go_on.wait(within(20))
        return threading.current_thread().name

    async def main() -> str:
        with ThreadPoolExecutor(1, "large") as threads:
            doing = asyncio.create_task(in_or_beside_loop(True, work, threads))
            await asyncio.sleep(0)
            assert not doing.done()
            go_on.set()
            return await doing

    assert asyncio.run(asyncio.wait_for(main(), within(20))).startswith("large")


@pytest.mark.parametrize("is_large", [False, True])
def test_what_work_raises_is_raised(is_large: bool) -> None:
    def fails() -> None:
        raise ValueError("no such body")

    with pytest.raises(ValueError, match="no such body"):
        asyncio.run(in_or_beside_loop(is_large, fails))
