"""Runs of messages into the receivers: a bad one is a dead letter that says where it lay, and its neighbours count."""

import asyncio
import base64
import json
import random
import time
from collections.abc import Sequence

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from aiops.errors import Unavailable
from aiops.settings.topic_settings import TopicSettings
from serving.ingest.receive.group_commit import BacklogFull
from serving.ingest.receive.otlp_endpoint import OtlpJson
from serving.ingest.receive.receivers import TooFast
from serving.ingest.receive.signals.otlp_logs import accept_logs
from serving.ingest.receive.topics.message_content import RemoteWriteContent, metric_contents
from serving.ingest.receive.topics.topic_intake import MetricRunIntake, RunIntake, RunTaken, SignalRunIntake
from serving.ingest.receive.topics.topic_messages import TopicMessage, TopicRun
from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder
from serving.ingest.receive.wire.remote_write_decoders import RemoteWrite1Decoder, RemoteWrite2Decoder
from serving.ingest.topic_positions import Advance, TopicPlace
from serving.stream import streams
from tests.testing.otlp_bodies import add_log
from tests.testing.receiver_harness import Sent, write_1
from tests.testing.receivers_in_process import CountingBroker, ReceiversInProcess
from tests.testing.wire_bodies import REQUESTS, damaged

NOW_MS = int(time.time() * 1000)


def good(number: int, at_ms: int = NOW_MS) -> bytes:
    return write_1([Sent({"__name__": f"m{number}", "job": "cart"}, [(1.0, at_ms)])])


def run_of(contents: Sequence[bytes], first: int = 100) -> TopicRun:
    messages = tuple(TopicMessage(3, first + number, content, {}) for number, content in enumerate(contents))
    return TopicRun(messages, Advance(TopicPlace("t", 3), "token", first, first + len(messages)))


def remote_write(app: ReceiversInProcess) -> RunIntake:
    otlp = OtlpMetricsDecoder(5)
    contents = metric_contents(otlp, OtlpJson(otlp), RemoteWriteContent(RemoteWrite1Decoder(5), RemoteWrite2Decoder(5)))
    return MetricRunIntake(app.receivers, TopicSettings(topic="t", encoding="remote_write"), contents["remote_write"])


def taken(broker: CountingBroker, run: TopicRun, **settings: int) -> RunTaken:
    async def main() -> RunTaken:
        async with ReceiversInProcess(broker, **settings) as app:
            return await remote_write(app).take(run)

    return asyncio.run(main())


def test_bad_messages_are_dead_letters_and_their_neighbours_count() -> None:
    broker = CountingBroker()
    old = good(9, 1000)
    run = run_of([good(1), b"\x0a\xff", good(2), b"", old])
    assert taken(broker, run) == RunTaken(3, 2)
    assert broker.rows[streams.KIND_POINTS] == 2
    assert broker.moved == [run.advance]
    letters = [(letter["reason"], json.loads(letter["row"])["entry"], letter["source"]) for letter in broker.refused]
    assert letters == [
        ("undecodable", "t/3/101", "kafka/t"),
        ("undecodable", "t/3/103", "kafka/t"),
        ("bad_timestamp", "t/3/104", "kafka/t"),
    ]
    assert "message t/3/104: bad_timestamp: 1 sample; first: m9" in broker.refused[2]["detail"]


def test_good_messages_count_among_thousands_of_damaged_ones() -> None:
    """Whatever a message holds, the run is taken: no failure, and every good point is there."""
    rng = random.Random(17)
    broker = CountingBroker()

    async def main() -> None:
        async with ReceiversInProcess(broker, max_series=10**6) as app:
            intake = remote_write(app)
            for number in range(40):
                contents = []
                for _ in range(50):
                    body = REQUESTS[rng.choice(("remote_write_1", "remote_write_2"))](rng).SerializeToString()
                    contents.append(damaged(body, rng) if rng.random() < 0.9 else rng.randbytes(rng.randint(0, 200)))
                contents.insert(rng.randrange(50), good(number))
                await intake.take(run_of(contents, number * 51))
            assert app.counted("aiops_ingest_points_total", protocol="kafka_remote_write", outcome="written") >= 40

    asyncio.run(main())
    assert [(advance.begin, advance.end) for advance in broker.moved] == [(number * 51, number * 51 + 51) for number in range(40)]


@pytest.mark.parametrize("outcome", [Unavailable("gone"), BacklogFull("full")])
def test_what_is_not_on_the_broker_is_taken_again_whole(outcome: Exception) -> None:
    broker = CountingBroker(outcomes=[outcome] * 100)

    async def main() -> RunTaken:
        async with ReceiversInProcess(broker) as app:
            intake, run = remote_write(app), run_of([good(1), good(2)])
            with pytest.raises(type(outcome)):
                await intake.take(run)
            assert (broker.moved, app.counted("aiops_ingest_points_total")) == ([], 0)
            broker.outcomes.clear()
            return await intake.take(run)

    assert asyncio.run(main()) == RunTaken(2, 0)
    assert broker.rows[streams.KIND_POINTS] == 2


def test_a_tenant_that_has_no_points_left_waits() -> None:
    broker = CountingBroker()

    async def main() -> None:
        async with ReceiversInProcess(broker, points_per_s=1) as app:
            intake = remote_write(app)
            await intake.take(run_of([good(number) for number in range(12)]))
            with pytest.raises(TooFast, match="POINTS_PER_S"):
                await intake.take(run_of([good(99)], 112))

    asyncio.run(main())
    assert len(broker.moved) == 1


def test_refused_log_records_say_which_message_they_came_in() -> None:
    request = ExportLogsServiceRequest()
    add_log(request)
    add_log(request, severity_number=99)
    body = request.SerializeToString()
    broker = CountingBroker()

    async def main() -> RunTaken:
        async with ReceiversInProcess(broker) as app:
            topic = TopicSettings(topic="t", encoding="otlp_proto", signal="logs")
            return await SignalRunIntake(app.receivers, topic, accept_logs).take(run_of([body, b"\x0a\xff", body]))

    assert asyncio.run(main()) == RunTaken(2, 1)
    assert broker.rows[streams.KIND_LOGS] == 2
    assert [letter["source"] for letter in broker.refused] == ["kafka/t/3/100", "kafka/t", "kafka/t/3/102"]


def test_an_unreadable_message_of_logs_is_masked() -> None:
    broker = CountingBroker()

    async def main() -> RunTaken:
        async with ReceiversInProcess(broker) as app:
            topic = TopicSettings(topic="t", encoding="otlp_json", signal="logs")
            return await SignalRunIntake(app.receivers, topic, accept_logs).take(run_of([b"no JSON: password=hunter2"]))

    assert asyncio.run(main()) == RunTaken(0, 1)
    kept = base64.b64decode(json.loads(broker.refused[0]["row"])["payload_base64"])
    assert kept == b"no JSON: password=[masked:named_secret]"
