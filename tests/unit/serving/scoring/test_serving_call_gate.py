"""Admission: places are counted, time is limited, and work that cannot be stopped keeps its place."""

import asyncio
import threading
from contextlib import suppress

import pytest

from serving.http.problem import ProblemError
from serving.scoring.answers.call_gate import CallGate
from tests.testing.deadlines import Deadline, within


def test_a_call_beyond_the_limit_is_429_and_the_place_is_free_again_afterwards() -> None:
    async def scenario() -> None:
        gate = CallGate(max_concurrency=1, timeout_s=within(5.0))
        async with gate.call():
            with pytest.raises(ProblemError) as refusal:
                async with gate.call():
                    pass
            assert refusal.value.problem.status == 429
        async with gate.call():
            assert await gate.work(lambda: 7, long=True) == 7
        gate.close()

    asyncio.run(scenario())


def test_a_call_that_takes_too_long_is_504_and_its_thread_keeps_the_place() -> None:
    async def scenario() -> None:
        gate = CallGate(max_concurrency=1, timeout_s=0.05)
        stuck = threading.Event()
        with pytest.raises(ProblemError) as late:
            async with gate.call():
                await gate.work(stuck.wait, long=True)
        assert late.value.problem.status == 504
        with pytest.raises(ProblemError) as full:
            async with gate.call():
                pass
        assert full.value.problem.status == 429
        stuck.set()
        deadline, free = Deadline(2.0), False
        while not free and not deadline.passed:
            await asyncio.sleep(0.01)
            with suppress(ProblemError):
                async with gate.call():
                    free = True
        assert free, "the place was never freed"
        gate.close()

    asyncio.run(scenario())


def test_a_refusal_inside_a_call_frees_its_place() -> None:
    async def scenario() -> None:
        gate = CallGate(max_concurrency=1, timeout_s=within(5.0))
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with gate.call():
                    await gate.work(lambda: 1 // 0, long=False)
        gate.close()

    asyncio.run(scenario())
