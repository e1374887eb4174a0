"""Real Prometheus servers that scrape themselves and a node exporter, and send to a receiver: what they count is what arrived."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.testing.client_session import Arrived, outcomes, scraping_ended, settled
from tests.testing.free_ports import free_port
from tests.testing.peer_process import PeerProcess, prometheus, running
from tests.testing.peers import Peer, each_peer, needed_peer, peers
from tests.testing.receiver_harness import Receiver
from tests.testing.stream_harness import wait_until

SCRAPES = """
scrape_configs:
  - job_name: itself
    scrape_interval: 1s
    static_configs:
      - targets: ["127.0.0.1:{own}"]
"""
NODE = """
  - job_name: node
    scrape_interval: 1s
    static_configs:
      - targets: ["{node}"]
"""
WRITES = """
remote_write:
  - url: {url}/api/v1/write
    name: aiops
    send_exemplars: true
    send_native_histograms: true
    {version}
    queue_config:
      batch_send_deadline: 1s
      retry_on_http_429: true
    metadata_config:
      send_interval: 1s
"""
VERSION_2 = "protobuf_message: io.prometheus.write.v2.Request"
FEATURES = "--enable-feature=exemplar-storage,native-histograms"


def senders() -> list[object]:
    """Return a parameter for every Prometheus there is and every version of remote write that it sends."""
    made: list[object] = []
    for peer in peers("prometheus"):
        made.append(pytest.param(peer, "1.0", id=f"{peer}, remote write 1.0"))
        if not peer.release or peer.release >= (2, 54):
            made.append(pytest.param(peer, "2.0", id=f"{peer}, remote write 2.0"))
    return made or [pytest.param(None, "", marks=each_peer("prometheus")[0].marks, id="no prometheus")]


@contextmanager
def node_exporter(folder: Path) -> Iterator[PeerProcess]:
    """Run a node exporter of the newest version."""
    port = free_port()
    command = [str(needed_peer("prometheus-node-exporter").path), f"--web.listen-address=127.0.0.1:{port}"]
    with running(command, folder, f"http://127.0.0.1:{port}/metrics") as exporter:
        yield exporter


@contextmanager
def sending(peer: Peer, folder: Path, writes: str, node: PeerProcess) -> Iterator[PeerProcess]:
    """Run a Prometheus that scrapes itself and a node exporter."""
    port = free_port()
    config = SCRAPES.format(own=port) + NODE.format(node=node.url.removeprefix("http://")) + writes
    flags = [FEATURES + (",metadata-wal-records" if "v2.Request" in writes else ""), "--web.enable-lifecycle"]
    with prometheus(peer, folder, config, *flags, port=port) as server:
        yield server


@pytest.mark.parametrize(("peer", "version"), senders())
def test_what_prometheus_counts_as_sent_has_arrived_once(peer: Peer, version: str, receiver: Receiver, tmp_path: Path) -> None:
    writes = WRITES.format(url=receiver.url, version=VERSION_2 if version == "2.0" else "")
    with node_exporter(tmp_path / "node") as node, sending(peer, tmp_path / "prometheus", writes, node) as server:
        assert wait_until(lambda: outcomes(receiver).get("written", 0) > 8000, 60), server.log() + receiver.log()
        node.stop()
        assert wait_until(lambda: "node_load1" in Arrived.of(receiver).ended(), 30), server.log()
        scraping_ended(server, tmp_path / "prometheus" / "prometheus.yml", writes)
        assert settled(lambda: (outcomes(receiver), server.totals()["prometheus_remote_storage_samples_pending"]), 60)
        own = {name.removeprefix("prometheus_remote_storage_"): total for name, total in server.totals().items()}
        log = server.log()
    arrived = Arrived.of(receiver)
    print({name: total for name, total in own.items() if name.startswith(("samples_", "histograms_", "exemplars_", "metadata_"))})
    assert own["samples_pending"] == own["samples_failed_total"] == own["samples_retried_total"] == 0, log
    assert own["histograms_failed_total"] == own["exemplars_failed_total"] == own["metadata_failed_total"] == 0, log
    assert own["samples_total"] == len(arrived.points)
    assert own["histograms_total"] == len(arrived.histograms)
    assert outcomes(receiver) == {"written": own["samples_total"] + own["histograms_total"]}
    assert arrived.undefined() == 0
    assert arrived.roles("prometheus_http_requests_total").keys() == {"total"}
    assert arrived.roles("prometheus_tsdb_compaction_chunk_range_seconds_bucket").keys() == {"bucket"}
    if arrived.histograms:
        assert arrived.roles("prometheus_http_request_duration_seconds").keys() == {"histogram"}
    assert bool(arrived.histograms) is (not peer.release or peer.release >= (3,))
    assert arrived.roles("go_goroutines") == {"value": 2}
    assert arrived.roles("node_cpu_seconds_total").keys() == {"total"}
    assert arrived.services() == {"itself", "node", "127.0.0.1"}
    assert "node_cpu_seconds_total" in arrived.ended()
    assert "up" not in arrived.ended()
    why = {row["metric"]: row["why"] for row in arrived.series.values()}
    assert "by name" not in why["go_goroutines"]
