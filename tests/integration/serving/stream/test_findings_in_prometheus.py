"""Findings of a running consumer in a real Prometheus: written to it, and scraped from the page, with the same numbers."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest

from aiops.settings.export_settings import ExportSettings
from aiops.settings.tree import Settings
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.series.finding_metrics import FINDING_METRICS
from tests.testing.free_ports import free_port
from tests.testing.grafana_dashboard import queries
from tests.testing.peer_process import PeerProcess, prometheus, query
from tests.testing.peers import Peer, each_peer
from tests.testing.stream_harness import Batch, Fleet, drained, publish_all, quick_settings, wait_until

SECONDS = 900
LATE = 3 * 60
"""Rows of the second batch: the last minute."""
METRIC = "latency_p99_ms"
CONFIG = """
scrape_configs:
  - job_name: findings
    scrape_interval: 1s
    metrics_path: /findings
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One point a second of three services until now; `pay` is far off in all but the first seconds of the last minute."""

    end_s: int
    rows: pa.Table


def telemetry() -> Telemetry:
    rng = np.random.default_rng(3)
    end_s = int(time.time())
    services = np.tile(np.array(["cart", "pay", "web"]), SECONDS)
    times_us = (end_s - SECONDS + 1 + np.repeat(np.arange(SECONDS), 3)) * 1_000_000
    values = 200 + 5 * rng.standard_normal(3 * SECONDS)
    values[-LATE + 16 :: 3] = 900.0
    columns = {"timestamp": pa.array(times_us, TIMESTAMP), "service": services, "metric": [METRIC] * values.size, "value": values}
    return Telemetry(end_s, pa.table(columns))


def with_export(home: Path, url: str, port: int) -> Settings:
    settings = quick_settings(home)
    consumer = settings.consumer.model_copy(update={"metrics_port": port})
    export = ExportSettings(url=url, select="cart|*", every_s=0.2)
    return settings.model_copy(update={"consumer": consumer, "export": export})


def figures(server: PeerProcess, selector: str, at_s: float) -> dict[str, float]:
    """Return what Prometheus has at a time, by metric; the newest of the last 5 minutes before it."""
    results = query(server, f'{{__name__=~"aiops_.*",{selector}}}', at_s)
    return {result["metric"]["__name__"]: float(result["value"][1]) for result in results}


@pytest.mark.parametrize("peer", each_peer("prometheus"))
def test_the_band_arrives(peer: Peer, tmp_path: Path) -> None:
    port = free_port()
    sent = telemetry()
    now = datetime.fromtimestamp(sent.end_s, UTC)
    with prometheus(peer, tmp_path / "prometheus", CONFIG.format(port=port), "--web.enable-remote-write-receiver") as server:
        settings = with_export(tmp_path / "home", f"{server.url}/api/v1/write", port)
        with Fleet(settings) as fleet:
            process = fleet.consume("--only", "ingest")
            assert wait_until(lambda: page(port, "/readyz"), 60), fleet.log()
            early = sent.rows.slice(0, 3 * SECONDS - LATE)
            publish_all(settings, [Batch(1, now, rows=early)])
            assert wait_until(lambda: 'aiops_export_series{state="exported"} 1.0' in page(port, "/metrics"), 30), fleet.log()
            publish_all(settings, [Batch(1, now, rows=early), Batch(2, now, rows=sent.rows.slice(3 * SECONDS - LATE))])
            written, scraped = 'service="{}",job=""', 'service="{}",job="findings"'
            selectors = [selector.format(service) for selector in (written, scraped) for service in ("cart", "pay")]
            assert wait_until(lambda: all(len(figures(server, each, sent.end_s)) == 5 for each in selectors), 30), fleet.log()
            by_write = {service: figures(server, written.format(service), sent.end_s) for service in ("cart", "pay", "web")}
            by_scrape = {service: figures(server, scraped.format(service), sent.end_s) for service in ("cart", "pay", "web")}
            drawn = [query(server, each, sent.end_s) for each in queries(tenant="default", service="pay", metric=METRIC)]
            assert drained(process) == 0
    assert all(drawn), "a panel of the dashboard that shows nothing"
    assert by_write == by_scrape
    assert by_write["web"] == {}
    assert set(by_write["cart"]) == set(FINDING_METRICS)
    value = dict(zip(("cart", "pay"), sent.rows["value"].to_pylist()[-3:-1], strict=True))
    for service, row in by_write.items():
        if row:
            assert row["aiops_value"] == value[service]
            assert row["aiops_lower"] < row["aiops_expected"] < row["aiops_upper"]
    assert by_write["cart"]["aiops_lower"] < value["cart"] < by_write["cart"]["aiops_upper"]
    assert by_write["pay"]["aiops_upper"] < 900.0
    assert by_write["cart"]["aiops_anomaly_score"] < 0.5 < by_write["pay"]["aiops_anomaly_score"]


def page(port: int, path: str) -> str:
    """Return a page of the consumer, empty while there is none."""
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}{path}")
    except httpx.TransportError:
        return ""
    return answer.text if answer.is_success else ""
