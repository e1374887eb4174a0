"""Two series that only the label of their service tells apart are two at any receivers: the first label holds the name."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from serving.ingest.receive.series_names import SeriesNames
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from tests.testing.free_ports import free_port
from tests.testing.receiver_harness import Sent, write_1
from tests.testing.receivers_in_process import Answer, CountingBroker, ReceiversInProcess

AT_MS = int(time.time() * 1000)
PROTOBUF = {"content-type": "application/x-protobuf", "content-encoding": "snappy"}
HOLD_MIN = 120
TENANT = "default"


@dataclass(slots=True)
class Store:
    """The state store with a clock of the test's."""

    broker: streams.Streams
    minute: int = 1000

    def names(self) -> SeriesNames:
        return SeriesNames(self.broker, 60.0 * HOLD_MIN, lambda: self.minute)

    def bytes_held(self) -> int:
        client = self.broker.client
        return sum(int(client.memory_usage(key, samples=0) or 0) for key in client.scan_iter("aiops:naming:*", count=1000))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    settings = Settings(home=tmp_path_factory.mktemp("home"), broker=BrokerSettings(port=free_port()))
    with EmbeddedBroker(settings):
        yield settings


@pytest.fixture
def store(server: Settings) -> Store:
    broker = open_streams(server)
    broker.client.flushall()
    return Store(broker)


def body(label: str, *metrics: str) -> bytes:
    """Return a point of each metric whose service `x` this label names."""
    return write_1([Sent({"__name__": metric, label: "x", "zone": "a"}, [(1.0, AT_MS)]) for metric in metrics])


async def sent(app: ReceiversInProcess, label: str, *metrics: str) -> Answer:
    return await app.post("/api/v1/write", body(label, *metrics), PROTOBUF)


def test_the_second_receiver_refuses_what_the_first_has_by_another_label_and_names_both(store: Store) -> None:
    async def main() -> tuple[Answer, Answer, int, int]:
        first, second = CountingBroker(), CountingBroker()
        async with ReceiversInProcess(first, store.names()) as left, ReceiversInProcess(second, store.names()) as right:
            assert (await sent(left, "service", "up", "load")).status == 204
            refused = await sent(right, "job", "up", "free")
            again = await sent(right, "job", "up")
            assert (await sent(right, "service", "up")).status == 204, "the same label is the same series"
            return refused, again, first.rows[streams.KIND_POINTS], second.rows[streams.KIND_POINTS]

    refused, again, at_first, at_second = asyncio.run(main())
    assert (refused.status, again.status) == (400, 400)
    text = refused.body.decode()
    assert "its service x is said by label job, by service in up{service=x,zone=a}" in text.replace('"', "").replace("'", ""), (
        text
    )
    assert (at_first, at_second) == (2, 2), "all but the refused ones"


def test_many_new_series_are_agreed_on_part_by_part(store: Store) -> None:
    metrics = [f"m{number}" for number in range(1000)]

    async def main() -> tuple[int, int]:
        first, second = CountingBroker(), CountingBroker()
        async with ReceiversInProcess(first, store.names()) as left, ReceiversInProcess(second, store.names()) as right:
            assert (await sent(left, "service", *metrics[:500])).status == 204
            assert (await sent(right, "job", *metrics)).status == 400
            return first.rows[streams.KIND_POINTS], second.rows[streams.KIND_POINTS]

    assert asyncio.run(main()) == (500, 500)


def test_a_label_holds_a_name_for_as_long_as_somebody_says_it(store: Store) -> None:
    left, right = store.names(), store.names()
    assert left.claim(TENANT, {7: "service", -9: "service"}) == {}
    store.minute += HOLD_MIN
    assert right.claim(TENANT, {7: "job", 8: "job"}) == {7: "service"}
    assert left.claim(TENANT, {7: "service"}) == {}
    assert right.claim("other", {7: "job"}) == {}, "tenants have names of their own"
    store.minute += 1
    assert right.claim(TENANT, {7: "job", -9: "job"}) == {7: "service"}, "nobody says the other one any more"
    assert left.claim(TENANT, {-9: "service"}) == {-9: "job"}


def test_series_that_are_defined_again_keep_their_name(store: Store) -> None:
    async def main() -> None:
        async with ReceiversInProcess(CountingBroker(), store.names()) as left:
            await sent(left, "service", "up")
            (series_id,) = [int.from_bytes(held, "big", signed=True) for held in held_ids(store)]
            store.minute += HOLD_MIN
            left.later_s = 700.0
            await sent(left, "service", "up")
            await left.receivers.hold_names()
            store.minute += 1
            assert store.names().claim(TENANT, {series_id: "job"}) == {series_id: "service"}

    asyncio.run(main())


def test_a_store_without_room_takes_no_name_and_the_body_comes_again(store: Store) -> None:
    async def main() -> tuple[list[int], int]:
        async with ReceiversInProcess(CountingBroker(), store.names()) as left:
            maxmemory = store.broker.client.config_get("maxmemory")["maxmemory"]
            store.broker.client.config_set("maxmemory", "1")
            try:
                statuses = [(await sent(left, "service", "up")).status]
            finally:
                store.broker.client.config_set("maxmemory", maxmemory)
            held = len(held_ids(store))
            return [*statuses, (await sent(left, "service", "up")).status], held

    assert asyncio.run(main()) == ([503, 204], 0)


def held_ids(store: Store) -> list[bytes]:
    client = store.broker.client
    return [field for key in client.scan_iter("aiops:naming:*") for field in client.hkeys(key)]


def test_what_has_expired_is_removed_and_a_name_takes_some_forty_bytes(store: Store) -> None:
    names = store.names()
    for generation in range(4):
        names.claim(TENANT, {generation * 200_000 + number: "service_name" for number in range(200_000)})
        store.minute += HOLD_MIN + 1
    held = len(held_ids(store))
    assert held < 3 * 200_000
    print(f"{store.bytes_held() / held:.0f} bytes a name")
    assert store.bytes_held() / held < 60
