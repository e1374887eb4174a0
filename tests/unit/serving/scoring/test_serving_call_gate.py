"""Admission: places are counted, time is limited, and work that cannot be stopped keeps its place."""

import asyncio
import threading

import pytest

from serving.http.problem import ProblemError
from serving.scoring.answers.call_gate import CallGate


def test_a_call_beyond_the_limit_is_429_and_the_place_is_free_again_afterwards() -> None:
    async def scenario() -> None:
        gate = CallGate(max_concurrency=1, timeout_s=5.0)
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
        for _ in range(100):
            await asyncio.sleep(0.01)
            try:
                async with gate.call():
                    break
            except ProblemError:
                continue
        else:
            pytest.fail("the place was never freed")
        gate.close()

    asyncio.run(scenario())


def test_a_refusal_inside_a_call_frees_its_place() -> None:
    async def scenario() -> None:
        gate = CallGate(max_concurrency=1, timeout_s=5.0)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                async with gate.call():
                    await gate.work(lambda: 1 // 0, long=False)
        gate.close()

    asyncio.run(scenario())
