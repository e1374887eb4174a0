"""Which names of series a receiver claims: only those it lets in, the first label of a body, and by a sweep in between too."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from aiops.errors import Unavailable
from serving.ingest.receive.receipts import SAME_IDENTITY, Receipt
from serving.ingest.receive.wire.body_compression import uncompressed
from serving.ingest.receive.wire.remote_write_decoders import RemoteWrite1Decoder
from tests.testing.deadlines import within
from tests.testing.receiver_harness import Sent, write_1
from tests.testing.receivers_in_process import Answer, ReceiversInProcess

AT_MS = int(time.time() * 1000)
PROTOBUF = {"content-type": "application/x-protobuf", "content-encoding": "snappy"}


@dataclass(slots=True)
class FirstHolds:
    """Names in memory: the first label that is said holds one for good."""

    labels: dict[int, str] = field(default_factory=dict)
    said: list[Mapping[int, str]] = field(default_factory=list)
    away: bool = False
    answers: threading.Event = field(default_factory=threading.Event)
    heard: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.answers.set()

    def claim(self, tenant: str, labels: Mapping[int, str]) -> dict[int, str]:
        self.answers.wait()
        if self.away:
            raise Unavailable("no answer")
        self.said.append(labels)
        self.heard()
        holders = {series_id: self.labels.setdefault(series_id, label) for series_id, label in labels.items()}
        return {series_id: holder for series_id, holder in holders.items() if holder != labels[series_id]}


def series(label: str, metric: str) -> Sent:
    return Sent({"__name__": metric, label: "x", "zone": "a"}, [(1.0, AT_MS)])


async def sent(app: ReceiversInProcess, *rows: Sent) -> Answer:
    return await app.post("/api/v1/write", write_1(rows), PROTOBUF)


def test_series_beyond_the_cap_claim_no_name() -> None:
    async def main() -> None:
        names = FirstHolds()
        async with ReceiversInProcess(names=names, max_series=3) as left, ReceiversInProcess(names=names) as right:
            assert (await sent(left, *(series("service", f"m{number}") for number in range(250)))).status == 400
            assert len(names.labels) == 3
            assert (await sent(left, series("service", "m300"))).status == 400
            assert len(names.labels) == 3
            assert (await sent(right, series("job", "m200"))).status == 204, "the other label is nobody's"

    asyncio.run(main())


def test_names_that_others_hold_are_kept_up_to_a_bound() -> None:
    async def main() -> None:
        names = FirstHolds()
        metrics = [f"m{number}" for number in range(1500)]
        async with ReceiversInProcess(names=names) as left, ReceiversInProcess(names=names, max_series=1000) as right:
            assert (await sent(left, *(series("service", metric) for metric in metrics))).status == 204
            refused = await sent(right, *(series("job", metric) for metric in metrics))
            assert refused.status == 400
            assert right.receivers.active_series() == {"default": 0}
            assert (await sent(right, series("job", "free"))).status == 400, "not let in before the next sweep"
            assert len(names.labels) == 1500
            right.receivers.forget_idle()
            assert (await sent(right, series("job", "free"))).status == 204

    asyncio.run(main())


def test_of_two_labels_in_one_body_the_first_holds_the_name_everywhere() -> None:
    async def main() -> None:
        names = FirstHolds()
        async with ReceiversInProcess(names=names) as left, ReceiversInProcess(names=names) as right:
            refused = await sent(left, series("service", "up"), series("job", "up"))
            assert (refused.status, left.receivers.active_series()) == (400, {"default": 1})
            assert list(names.labels.values()) == ["service"]
            assert (await sent(left, series("service", "up"))).status == 204
            assert (await sent(right, series("job", "up"))).status == 400
            assert (await sent(right, series("service", "up"))).status == 204

    asyncio.run(main())


def test_a_store_that_hangs_keeps_no_other_work_waiting() -> None:
    async def main() -> None:
        names = FirstHolds()
        names.answers.clear()
        async with ReceiversInProcess(names=names) as app:
            bodies = [asyncio.ensure_future(sent(app, series("job", f"m{number}"))) for number in range(40)]
            try:
                await asyncio.sleep(0.05)
                assert await asyncio.wait_for(asyncio.to_thread(lambda: 7), within(30)) == 7
                assert not any(body.done() for body in bodies)
            finally:
                names.answers.set()
            assert {answer.status for answer in await asyncio.gather(*bodies)} == {204}

    asyncio.run(main())


def test_names_that_the_store_did_not_hear_are_said_the_next_time() -> None:
    async def main() -> None:
        names = FirstHolds()
        async with ReceiversInProcess(names=names) as app:
            assert (await sent(app, series("job", "up"), series("job", "load"))).status == 204
            for later_s, metric in ((700.0, "up"), (701.0, "load")):
                app.later_s, names.away = later_s, True
                assert (await sent(app, series("job", metric))).status == 204
                await app.receivers.hold_names()
            names.away = False
            for _ in range(2):
                await app.receivers.hold_names()
            assert [*map(len, names.said)] == [2, 2], "at first, and again once"

    asyncio.run(main())


def test_series_forgotten_before_their_points_are_taken_are_agreed_on_again() -> None:
    async def main() -> list[Receipt]:
        names, decoder, loop = FirstHolds(), RemoteWrite1Decoder(5), asyncio.get_running_loop()
        bodies = [write_1([series("service", metric)]) for metric in ("up", "load")]
        async with ReceiversInProcess(names=names) as app:

            def sweep() -> None:
                app.later_s = 8000.0
                app.receivers.forget_idle()

            def second_claim() -> None:
                if len(names.said) == 2:  # the first body is announced, the second one in progress
                    names.labels = dict.fromkeys(names.said[0], "job")
                    loop.call_soon_threadsafe(sweep)

            names.heard = second_claim
            decoded = [decoder.decode(uncompressed(body, "snappy", 1 << 20)) for body in bodies]
            receipts, batch = await app.receivers.gather("default", decoded)
            assert sum(len(part.time_us) for share in batch.shares.values() for part in share.points) == 1
            return receipts

    first, second = asyncio.run(main())
    assert ([*first.refusals], [*second.refusals]) == ([SAME_IDENTITY], [])
    assert second.samples == 1
