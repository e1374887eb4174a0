"""Collectors of OpenTelemetry between services and a receiver: lines of files, and what an instrumented service gives them."""

from pathlib import Path

import pytest
import yaml

from serving.stream import streams
from tests.testing.client_session import outcomes
from tests.testing.free_ports import free_port
from tests.testing.peer_process import running
from tests.testing.peers import Peer, each_peer
from tests.testing.receiver_harness import Receiver
from tests.testing.rotel_relay import Rotel, check_arrived, sent_through
from tests.testing.stream_harness import wait_until

SNIPPET = Path(__file__).parents[3] / "infra" / "senders" / "otel-collector-files.yaml"
LINES = [f"order {number} paid" for number in range(2500)]


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
@pytest.mark.parametrize("peer", each_peer("otelcol"))
def test_every_line_of_a_file_arrives_once(peer: Peer, compression: str, receiver: Receiver, tmp_path: Path) -> None:
    """By the configuration that we give to people, with this test's addresses and the collector's own metrics."""
    port = free_port()
    file = tmp_path / "app.log"
    config = yaml.safe_load(SNIPPET.read_text())
    config["receivers"]["filelog"] |= {"include": [str(file)], "start_at": "beginning"}
    config["exporters"]["otlphttp/aiops"] |= {"endpoint": receiver.url, "compression": compression}
    reader = {"pull": {"exporter": {"prometheus": {"host": "127.0.0.1", "port": port}}}}
    config["service"]["telemetry"] = {"metrics": {"readers": [reader]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    file.write_text("".join(f"{line}\n" for line in LINES))
    command = [str(peer.path), f"--config=file:{tmp_path / 'config.yaml'}"]
    with running(command, tmp_path / "otelcol", f"http://127.0.0.1:{port}/metrics") as collector:
        assert wait_until(lambda: outcomes(receiver, "aiops_ingest_records_total").get("written", 0) >= len(LINES), 60), (
            collector.log() + receiver.log()
        )
        own = {name.removesuffix("_total"): total for name, total in collector.totals().items() if "exporter" in name}
    print({name: total for name, total in own.items() if "log_records" in name})
    logs = receiver.rows(streams.KIND_LOGS, "signals")
    assert own["otelcol_exporter_sent_log_records"] == len(LINES)
    assert own.get("otelcol_exporter_send_failed_log_records", 0) == 0
    assert outcomes(receiver, "aiops_ingest_records_total") == {"written": float(len(LINES))}
    assert sorted(row["body"] for row in logs) == sorted(LINES)
    assert {row["service"] for row in logs} == {"myapp"}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
@pytest.mark.parametrize("peer", each_peer("rotel"))
def test_what_a_service_gives_a_collector_arrives(peer: Peer, protocol: str, receiver: Receiver, tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{receiver.settings.ingest.grpc_port}" if protocol == "grpc" else receiver.url
    options = ["--exporter=otlp", f"--otlp-exporter-endpoint={address}", f"--otlp-exporter-protocol={protocol}"]
    rotel = Rotel.of(peer, options, tmp_path)
    with rotel.started() as relay:
        sent_through(rotel, relay, receiver)
    check_arrived(receiver)
