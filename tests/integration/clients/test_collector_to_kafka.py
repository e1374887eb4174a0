"""A collector of OpenTelemetry that puts what a service gives it into Kafka, and receivers that read it there."""

import json
from pathlib import Path

import pytest

from serving.stream import streams
from tests.testing.client_session import Arrived, outcomes
from tests.testing.filled_topics import FilledTopics
from tests.testing.free_ports import free_ports
from tests.testing.kafka_broker import KafkaBroker
from tests.testing.otel_service import grpc_exporters, otel_service
from tests.testing.peer_process import running
from tests.testing.peers import Peer, each_peer
from tests.testing.receiver_harness import Receiver, receiver_settings
from tests.testing.stream_harness import wait_until

SIGNALS = ("metrics", "logs", "traces")


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("peer", each_peer("rotel"))
def test_what_a_collector_puts_into_kafka_arrives(peer: Peer, compression: str, tmp_path: Path) -> None:
    """In protobuf; what this collector writes as JSON is a list without the request around it, which OTLP does not know."""
    grpc_port, http_port = free_ports(2)
    (tmp_path / "home").mkdir()
    topics = [{"topic": f"otlp_{signal}", "encoding": "otlp_proto", "signal": signal} for signal in SIGNALS]
    with KafkaBroker(tmp_path) as kafka:
        cluster = FilledTopics(kafka.port)
        for signal in SIGNALS:
            cluster.make(f"otlp_{signal}", 2)
        command = [
            str(peer.path),
            "start",
            f"--otlp-grpc-endpoint=127.0.0.1:{grpc_port}",
            f"--otlp-http-endpoint=127.0.0.1:{http_port}",
            "--exporter=kafka",
            f"--kafka-exporter-brokers=127.0.0.1:{kafka.port}",
            "--kafka-exporter-format=protobuf",
            f"--kafka-exporter-compression={compression}",
            "--kafka-exporter-acks=all",
        ]
        settings = receiver_settings(tmp_path / "home", topics=json.dumps(topics), kafka_url=kafka.url)
        with Receiver(settings) as receiver, running(command, tmp_path / "rotel", f"http://127.0.0.1:{http_port}") as relay:
            with otel_service(grpc_exporters(grpc_port)) as service:
                for seconds in (0.05, 0.5):
                    service.work(seconds)
                    assert service.send(), relay.log()
            assert wait_until(lambda: outcomes(receiver).get("written", 0) >= 10, 30), relay.log() + receiver.log()
            assert wait_until(lambda: outcomes(receiver, "aiops_ingest_records_total").get("written", 0) >= 4, 30), relay.log()
            arrived = Arrived.of(receiver)
            assert arrived.services() == {"shop/checkout"}
            assert arrived.values("http.server.requests") == [1.0, 2.0]
            assert len(arrived.histograms) == 4
            assert outcomes(receiver) == {"written": 10.0}
            spans, logs = receiver.rows(streams.KIND_SPANS, "signals"), receiver.rows(streams.KIND_LOGS, "signals")
            assert len(spans) == len(logs) == 2
            assert [row["trace_id"] for row in spans] == [row["trace_id"] for row in logs]
            assert receiver.rows(streams.KIND_REFUSED, "signals") == []
