"""A Prometheus that sends all that it has to the suite, and gets the suite's findings: they come back and are left out."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiops.settings.export_settings import ExportSettings
from serving.stream import streams
from serving.stream.broker import open_streams
from tests.testing.client_session import Arrived, outcomes, scraping_ended, settled
from tests.testing.deadlines import within
from tests.testing.free_ports import free_port
from tests.testing.peer_process import prometheus, query
from tests.testing.peers import needed_peer
from tests.testing.receiver_harness import Receiver
from tests.testing.stream_harness import environment, wait_until

SCRAPES = """
scrape_configs:
  - job_name: itself
    scrape_interval: 1s
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""
WRITES = """
remote_write:
  - url: {url}/api/v1/write
    queue_config:
      batch_send_deadline: 1s
"""
OUTCOMES = ("points_scored", "points_warmup", "points_rejected", "points_repeated", "points_folded")


@contextmanager
def consumer(receiver: Receiver, url: str) -> Iterator[Path]:
    """Run stage 1 over the receiver's broker, with findings to an address; yield the file of its log."""
    settings = receiver.settings
    export = ExportSettings(url=url, select="itself|process_resident_memory_bytes", every_s=0.5)
    soon = settings.telemetry.model_copy(update={"warmup_s": 0})
    own = settings.model_copy(
        update={
            "export": export,
            "telemetry": soon,
            "consumer": settings.consumer.model_copy(update={"metrics_port": 0, "archive": "off"}),
        }
    )
    log = settings.root / "consumer.log"
    with log.open("wb") as sink:
        command = [sys.executable, "-m", "serving.stream.consumer", "--only", "ingest"]
        root = Path(__file__).parents[3]
        process = subprocess.Popen(command, env=environment(own), stdout=sink, stderr=sink, cwd=root)
    try:
        yield log
    finally:
        process.terminate()
        process.wait(within(20))


def counts(receiver: Receiver) -> Counter[str]:
    """Return the counters of stage 1."""
    broker = open_streams(receiver.settings)
    totals: Counter[str] = Counter()
    for number in range(receiver.settings.broker.partitions):
        totals.update({name: int(value) for name, value in broker.hash_all(streams.counts(number)).items()})
    return totals


def test_findings_go_out_and_do_not_come_in(receiver: Receiver, tmp_path: Path) -> None:
    peer = needed_peer("prometheus")
    port = free_port()
    writes = WRITES.format(url=receiver.url)
    folder = tmp_path / "prometheus"
    flags = ("--web.enable-remote-write-receiver", "--web.enable-lifecycle")
    with (
        prometheus(peer, folder, SCRAPES.format(port=port) + writes, *flags, port=port) as server,
        consumer(receiver, f"{server.url}/api/v1/write") as log,
    ):
        assert wait_until(lambda: outcomes(receiver).get("own_findings", 0) >= 5, 90), log.read_text() + server.log()
        scraping_ended(server, folder / "prometheus.yml", writes)
        assert settled(lambda: (outcomes(receiver), counts(receiver)["points_in"]), 60, still_s=3)
        received, counted = outcomes(receiver), counts(receiver)
        band = query(server, 'last_over_time(aiops_upper{service="itself"}[10m])', _newest_s(receiver))
        own = server.totals()
    arrived = Arrived.of(receiver)
    print(received, dict(counted))
    assert set(received) == {"written", "own_findings"}
    assert not [row["metric"] for row in arrived.series.values() if row["metric"] in {"aiops_upper", "aiops_value"}]
    assert own["prometheus_remote_storage_samples_failed_total"] == 0
    assert own["prometheus_remote_storage_samples_total"] == received["written"] + received["own_findings"]
    assert counted["points_in"] == sum(counted[name] for name in OUTCOMES)
    assert counted["points_in"] >= received["written"], "what histograms become counts beside their parts"
    assert counted["points_rejected"] == 0
    assert counted["points_scored"] > 0
    assert counted["points_folded"] > 0
    assert {result["metric"]["metric"] for result in band} >= {"process_resident_memory_bytes"}


def _newest_s(receiver: Receiver) -> float:
    newest: float = max(row["timestamp"] for row in receiver.rows(streams.KIND_POINTS)).timestamp()
    return newest + 5
