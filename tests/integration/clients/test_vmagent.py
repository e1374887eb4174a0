"""A real vmagent that scrapes itself and sends to a receiver by its own protocol of remote write 1.0, snappy and zstd."""

from pathlib import Path

import pytest

from tests.testing.client_session import Arrived, outcomes, scraping_ended, settled
from tests.testing.free_ports import free_port
from tests.testing.peer_process import PeerProcess, running
from tests.testing.peers import Peer, each_peer
from tests.testing.receiver_harness import Receiver
from tests.testing.stream_harness import wait_until

SCRAPES = """
scrape_configs:
  - job_name: vmagent
    scrape_interval: 1s
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


def own_counts(agent: PeerProcess) -> dict[str, float]:
    """Return what the agent counts of its remote write."""
    return {
        name.removeprefix("vmagent_remotewrite_"): total
        for name, total in agent.totals().items()
        if name.startswith("vmagent_remotewrite_")
    }


@pytest.mark.parametrize("protocol", ["zstd", "snappy"])
@pytest.mark.parametrize("peer", each_peer("vmagent"))
def test_what_vmagent_counts_as_sent_has_arrived_once(peer: Peer, protocol: str, receiver: Receiver, tmp_path: Path) -> None:
    port = free_port()
    folder = tmp_path / "vmagent"
    folder.mkdir()
    config = folder / "scrape.yml"
    config.write_text(SCRAPES.format(port=port))
    command = [
        str(peer.path),
        f"-httpListenAddr=127.0.0.1:{port}",
        f"-promscrape.config={config}",
        f"-remoteWrite.url={receiver.url}/api/v1/write",
        f"-remoteWrite.tmpDataPath={folder / 'data'}",
        f"-remoteWrite.forceVMProto={'true' if protocol == 'zstd' else 'false'}",
        f"-remoteWrite.forcePromProto={'true' if protocol == 'snappy' else 'false'}",
        "-remoteWrite.flushInterval=1s",
    ]
    with running(command, folder, f"http://127.0.0.1:{port}/health") as agent:
        assert wait_until(lambda: outcomes(receiver).get("written", 0) > 3000, 60), agent.log() + receiver.log()
        scraping_ended(agent, config, "scrape_configs: []")
        assert settled(lambda: (outcomes(receiver), own_counts(agent)["pending_data_bytes"]), 60, still_s=3)
        own = own_counts(agent)
        log = agent.log()
    arrived = Arrived.of(receiver)
    print(own)
    assert own["retries_count_total"] == own["packets_dropped_total"] == own["errors_total"] == 0, log
    assert own["block_size_rows_sum"] == len(arrived.points)
    assert outcomes(receiver) == {"written": own["block_size_rows_sum"]}
    assert arrived.undefined() == 0
    assert arrived.services() == {"vmagent"}
    assert arrived.roles("vmagent_remotewrite_requests_total").keys() == {"total"}
    assert arrived.roles("go_goroutines") == {"value": 1}
    assert "go_goroutines" in arrived.ended()
