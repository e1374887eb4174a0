"""Real Prometheus servers that scrape themselves and a node exporter: what is proposed for them, and followed live."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serving.ingest.pull.prometheus_discovery import Discovered, discover
from serving.ingest.pull.prometheus_http import PrometheusHttp
from serving.ingest.pull.prometheus_live import PullCursor, http_of
from serving.ingest.pull.source_options import SourceOptions
from serving.ingest.pull.source_registry import open_live
from tests.testing.free_ports import free_port
from tests.testing.peer_process import prometheus, running
from tests.testing.peers import Peer, each_peer, needed_peer
from tests.testing.stream_harness import wait_until

CONFIG = """
scrape_configs:
  - job_name: itself
    scrape_interval: 1s
    static_configs:
      - targets: ["127.0.0.1:{own}"]
  - job_name: node
    scrape_interval: 1s
    static_configs:
      - targets: ["127.0.0.1:{node}"]
"""


@pytest.fixture
def node(tmp_path: Path) -> Iterator[int]:
    port = free_port()
    command = [str(needed_peer("prometheus-node-exporter").path), f"--web.listen-address=127.0.0.1:{port}"]
    with running(command, tmp_path / "node", f"http://127.0.0.1:{port}/metrics"):
        yield port


def proposed(http: PrometheusHttp) -> dict[str, tuple[str, ...]]:
    discovered: Discovered = discover(http)
    return {proposal.query.name: proposal.services for proposal in discovered.proposals}


@pytest.mark.parametrize("peer", each_peer("prometheus"))
def test_a_server_is_understood_and_followed(peer: Peer, node: int, tmp_path: Path) -> None:
    port = free_port()
    with prometheus(peer, tmp_path / "prometheus", CONFIG.format(own=port, node=node), port=port) as server:
        options = SourceOptions(url=server.url, step_s=1, delay_s=1, overlap_s=10, retries=0)
        http = http_of(options)
        wanted = {"cpu_utilization", "memory_utilization", "requests_per_second", "process_cpu_cores", "targets_up_ratio"}
        assert wait_until(lambda: wanted <= proposed(http).keys(), 60), server.log()
        services = proposed(http)
        http.close()
        assert services["cpu_utilization"] == ("127.0.0.1",), "a machine is named by its host"
        assert services["requests_per_second"] == ("itself",)
        assert services["targets_up_ratio"] == ("itself", "node")

        source = open_live("prometheus", options)
        cursor, begin = PullCursor.at(datetime.now(UTC) - timedelta(seconds=10), 1), time.time()
        points: Counter[tuple[str, str, int]] = Counter()
        while time.time() < begin + 6:
            polled = source.poll(cursor, time.time())
            cursor = polled.cursor
            for table in polled.tables:
                points.update((row["service"], row["metric"], int(row["timestamp"].timestamp())) for row in table.to_pylist())
            time.sleep(0.3)
        history = source.history(datetime.now(UTC))
        assert sum(table.num_rows for table in history.batches()) > 20
        history.close()
        source.close()
    assert max(points.values()) == 1
    up = sorted(at for service, metric, at in points if (service, metric) == ("node", "targets_up_ratio"))
    assert up[-5:] == list(range(up[-1] - 4, up[-1] + 1)), "every second of it"
    assert up[-1] >= begin
