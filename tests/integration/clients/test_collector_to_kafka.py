"""A collector of OpenTelemetry that puts what a service gives it into Kafka, and receivers that read it there."""

import json
from pathlib import Path

import pytest

from serving.stream import streams
from tests.testing.filled_topics import FilledTopics
from tests.testing.kafka_broker import KafkaBroker
from tests.testing.peers import Peer, each_peer
from tests.testing.receiver_harness import Receiver, receiver_settings
from tests.testing.rotel_relay import Rotel, check_arrived, sent_through

SIGNALS = ("metrics", "logs", "traces")


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("peer", each_peer("rotel"))
def test_what_a_collector_puts_into_kafka_arrives(peer: Peer, compression: str, tmp_path: Path) -> None:
    """In protobuf; what this collector writes as JSON is a list without the request around it, which OTLP does not know."""
    (tmp_path / "home").mkdir()
    topics = [{"topic": f"otlp_{signal}", "encoding": "otlp_proto", "signal": signal} for signal in SIGNALS]
    with KafkaBroker(tmp_path) as kafka:
        cluster = FilledTopics(kafka.port)
        for signal in SIGNALS:
            cluster.make(f"otlp_{signal}", 2)
        options = [
            "--exporter=kafka",
            f"--kafka-exporter-brokers=127.0.0.1:{kafka.port}",
            "--kafka-exporter-format=protobuf",
            f"--kafka-exporter-compression={compression}",
            "--kafka-exporter-acks=all",
        ]
        settings = receiver_settings(tmp_path / "home", topics=json.dumps(topics), kafka_url=kafka.url)
        rotel = Rotel.of(peer, options, tmp_path)
        with Receiver(settings) as receiver, rotel.started() as relay:
            sent_through(rotel, relay, receiver)
            spans, logs = check_arrived(receiver)
            assert len(spans) == len(logs) == 2
            assert receiver.rows(streams.KIND_REFUSED, "signals") == []
