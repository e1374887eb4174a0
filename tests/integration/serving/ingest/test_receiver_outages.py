"""kill -9 and a broker that is away or full: what was answered 2xx is on the stream once, what was not may be sent again."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import httpx
import pytest

from serving.stream import streams
from serving.stream.broker import open_streams
from tests.testing.deadlines import within
from tests.testing.receiver_harness import VERSION_1, WRITTEN, Receiver, Sent, receiver_settings, write_1
from tests.testing.stream_harness import wait_until

NOW_MS = int(time.time() * 1000)
SERIES = 20


def body(number: int) -> bytes:
    """Return a body whose values all say its number."""
    return write_1(
        [
            Sent(
                {"__name__": f"m{series}", "job": f"service-{series % 5}"}, [(float(number), NOW_MS - 10_000_000 + number * 1000)]
            )
            for series in range(SERIES)
        ]
    )


async def load(url: str, first: int, count: int, senders: int = 8) -> set[int]:
    """Send bodies at once, each until it is answered or its sender gives up; return the numbers that were answered 204."""
    numbers, answered = iter(range(first, first + count)), set[int]()

    async def sender(client: httpx.AsyncClient) -> None:
        for number in numbers:
            try:
                answer = await client.post(f"{url}/api/v1/write", content=body(number), headers=VERSION_1)
            except httpx.HTTPError:
                continue
            if answer.status_code == 204:
                assert answer.headers[WRITTEN] == str(SERIES)
                answered.add(number)
            else:
                assert answer.status_code in (429, 503)

    async with httpx.AsyncClient(timeout=within(20)) as client:
        await asyncio.gather(*(sender(client) for _ in range(senders)))
    return answered


def stored(receiver: Receiver) -> Counter[int]:
    """Return how many points the streams hold by the number of their body."""
    return Counter(int(row["value"]) for row in receiver.rows(streams.KIND_POINTS))


def defined_before_use(receiver: Receiver) -> bool:
    """Return whether each stream defines every series before its first point."""
    broker = open_streams(receiver.settings)
    for partition in range(receiver.settings.broker.partitions):
        known: set[int] = set()
        for entry in broker.range(streams.telemetry(partition)):
            ids = set(streams.from_ipc(entry.payload).column("series_id").to_pylist())
            if entry.kind == streams.KIND_DEFINITIONS:
                known |= ids
            elif not ids <= known:
                return False
    return True


@pytest.fixture
def receiver(tmp_path: Path) -> Receiver:
    home = tmp_path / "home"
    home.mkdir()
    return Receiver(receiver_settings(home))


def test_what_was_answered_before_kill_9_is_on_the_stream_exactly_once(receiver: Receiver) -> None:
    with receiver:
        answered: set[int] = set()
        for round_number in range(3):
            answered |= asyncio.run(_killed_under_load(receiver, 1 + round_number * 400))
            receiver.start()
        answered |= asyncio.run(load(receiver.url, 5000, 20))
        counts = stored(receiver)
        assert len(answered) > 60
        assert {number for number in answered if counts[number] != SERIES} == set()
        assert all(count <= SERIES for count in counts.values())
        assert defined_before_use(receiver)
        assert receiver.drain() == 0


async def _killed_under_load(receiver: Receiver, first: int) -> set[int]:
    sending = asyncio.create_task(load(receiver.url, first, 400))
    await asyncio.sleep(within(0.4))
    receiver.kill()
    return await sending


def test_a_broker_that_is_away_is_503_and_what_is_sent_again_is_kept(receiver: Receiver) -> None:
    with receiver:
        assert receiver.write(body(1)).status_code == 204
        receiver.broker.kill()
        away = receiver.write(body(2))
        assert (away.status_code, away.headers[WRITTEN]) == (503, "0")
        assert int(away.headers["retry-after"]) > 0
        assert not receiver.ready()
        receiver.broker.start()
        assert wait_until(receiver.ready, 20)
        again = receiver.write(body(2))
        assert (again.status_code, again.headers.get("x-aiops-repeated")) == (204, None)
        assert stored(receiver)[2] >= SERIES
        assert stored(receiver)[1] == SERIES


def test_full_streams_are_503_until_there_is_room(receiver: Receiver) -> None:
    receiver.more = {"AIOPS_CONSUMER__MAX_BACKLOG": "20"}
    with receiver:
        answers = [receiver.write(body(number)) for number in range(1, 40)]
        assert [answer.status_code for answer in answers[:5]] == [204] * 5
        assert answers[-1].status_code == 503, "Prometheus would drop what is refused with 429"
        assert (answers[-1].headers[WRITTEN], int(answers[-1].headers["retry-after"]) > 0) == ("0", True)
        broker = open_streams(receiver.settings)
        for partition in range(2):
            broker.client.delete(streams.telemetry(partition))
        assert wait_until(lambda: receiver.write(body(99)).status_code == 204, 20)
        metrics = httpx.get(f"{receiver.url}/metrics", timeout=within(10)).text
        assert 'aiops_ingest_pressed_total{cause="backlog"}' in metrics


def test_points_a_second_are_limited_for_each_tenant(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with Receiver(receiver_settings(home, points_per_s=10, limits='{"acme": {"points_per_s": 100000}}')) as receiver:
        statuses = [receiver.write(body(number)).status_code for number in range(1, 9)]
        assert statuses[:5] == [204] * 5, "a burst of ten seconds' worth"
        assert statuses[-1] == 429
        assert receiver.write(body(9), VERSION_1, **{"x-scope-orgid": "acme"}).status_code == 204
