"""Real Alertmanagers send to the responder's webhook: what fires becomes an incident, what ends ends the alert."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.tree import Settings
from serving.stream.broker import EmbeddedBroker
from tests.testing.aiops_commands import COMMAND, environment
from tests.testing.deadlines import within
from tests.testing.free_ports import free_port, free_ports
from tests.testing.peer_process import PeerProcess, running
from tests.testing.peers import Peer, each_peer
from tests.testing.stream_harness import wait_until

KEY = "k" * 32
TEMPLATES = Path("/usr/share/prometheus/alertmanager")
CONFIG = """
route:
  receiver: aiops
  group_by: [alertname]
  group_wait: 0s
  group_interval: 1s
receivers:
  - name: aiops
    webhook_configs:
      - url: {url}/alerts/alertmanager
        send_resolved: true
"""


@contextmanager
def responder(folder: Path, **settings: str) -> Iterator[PeerProcess]:
    """Run a responder with a broker of its own, and further settings."""
    broker_port, port = free_ports(2)
    folder.mkdir()
    own = {
        "AIOPS_HOME": str(folder),
        "AIOPS_BROKER__PORT": str(broker_port),
        "AIOPS_RESPONDER__PORT": str(port),
        "AIOPS_RESPONDER__SETTLE_S": "0.2",
        **settings,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIOPS_")} | own
    command = [sys.executable, "-m", "serving.incidents.responder"]
    ready = f"http://127.0.0.1:{port}/readyz"
    root = Path(__file__).parents[3]
    with (
        EmbeddedBroker(Settings(home=folder, broker=BrokerSettings(port=broker_port))),
        running(command, folder / "responder", ready, {**environment, "PYTHONPATH": str(root)}) as process,
    ):
        yield process


def started_anywhere(peer: Peer, folder: Path) -> Path:
    """Return the program; where Debian's is not installed, a copy that reads Debian's templates in its folder."""
    program = peer.path.read_bytes()
    templates = peer.path.parents[2] / str(TEMPLATES).lstrip("/")
    if str(TEMPLATES).encode() not in program or TEMPLATES.exists():
        return peer.path
    for template in templates.glob("*.tmpl"):
        shutil.copy(template, folder)
    copy = folder / "alertmanager"
    here = ("./" * len(str(TEMPLATES)))[: len(str(TEMPLATES))]
    copy.write_bytes(program.replace(str(TEMPLATES).encode(), here.encode()))
    copy.chmod(0o755)
    return copy


def rows(process: PeerProcess, path: str, headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    answer = httpx.get(f"{process.url}{path}", headers=headers, timeout=within(30)).json()
    return [dict(row) for row in answer["items"]]


def post(manager: PeerProcess, ends_at: datetime) -> None:
    alerts = [
        {
            "labels": {"alertname": "HighLatency", "service": "checkout", "severity": "critical", "instance": f"web-{number}"},
            "annotations": {"summary": "p99 above 2 s"},
            "endsAt": ends_at.isoformat(),
        }
        for number in range(2)
    ]
    assert httpx.post(f"{manager.url}/api/v2/alerts", json=alerts, timeout=within(30)).is_success, manager.log()


@contextmanager
def alertmanager(peer: Peer, folder: Path, config: str) -> Iterator[PeerProcess]:
    """Run an Alertmanager with a configuration."""
    port = free_port()
    folder.mkdir()
    (folder / "alertmanager.yml").write_text(config)
    command = [
        str(started_anywhere(peer, folder)),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with running(command, folder, f"http://127.0.0.1:{port}/-/ready") as manager:
        yield manager


def aiops(home: Path, *arguments: str) -> str:
    """Run the command line on a home; return what it printed."""
    answer = subprocess.run(
        [*COMMAND, *arguments],
        env=environment(home) | {"AIOPS_SERVING__JWT_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=within(60),
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


@pytest.mark.parametrize("peer", each_peer("prometheus-alertmanager")[-1:])
def test_it_sends_with_a_token_until_that_is_revoked(peer: Peer, tmp_path: Path) -> None:
    home, secret = tmp_path / "home", tmp_path / "aiops-token"
    with responder(home, AIOPS_SERVING__JWT_KEY=KEY) as process:
        secret.write_text(aiops(home, "tokens", "make", "alertmanager", "--role", "operator"))
        config = CONFIG.format(url=process.url) + f"        http_config: {{authorization: {{credentials_file: {secret}}}}}\n"
        reader = {"authorization": f"Bearer {aiops(home, 'tokens', 'make', 'reader')}"}
        with alertmanager(peer, tmp_path / "alertmanager", config) as manager:
            post(manager, datetime.now(UTC) + timedelta(minutes=10))
            assert wait_until(lambda: rows(process, "/incidents", reader), 30), manager.log() + process.log()
            assert manager.totals()["alertmanager_notifications_failed_total"] == 0
            aiops(home, "tokens", "revoke", "alertmanager")
            post(manager, datetime.now(UTC))
            assert wait_until(lambda: manager.totals()["alertmanager_notifications_failed_total"] > 0, 30), manager.log()
            assert rows(process, "/incidents", reader)
    listed = {line["name"]: line for line in json.loads(aiops(home, "tokens", "list", "--json"))}
    assert listed["alertmanager"]["state"].startswith("revoked by ")
    assert listed["reader"]["state"] == "holds"
    audit = [(line["what"], line["subject"]) for line in json.loads(aiops(home, "incidents", "audit", "--json"))]
    assert sorted(what for what, _ in audit if what.startswith("token_")) == ["token_made", "token_made", "token_revoked"]
    assert ("token_revoked", listed["alertmanager"]["id"]) in audit
    assert secret.read_text() not in "".join(path.read_text(errors="replace") for path in home.rglob("*") if path.is_file())


@pytest.mark.parametrize("peer", each_peer("prometheus-alertmanager"))
def test_what_fires_becomes_an_incident(peer: Peer, tmp_path: Path) -> None:
    with (
        responder(tmp_path / "home") as process,
        alertmanager(peer, tmp_path / "alertmanager", CONFIG.format(url=process.url)) as manager,
    ):
        post(manager, datetime.now(UTC) + timedelta(minutes=10))
        assert wait_until(lambda: rows(process, "/incidents"), 30), manager.log() + process.log()
        (incident,) = rows(process, "/incidents")
        assert (incident["severity"], incident["state"], incident["services"]) == ("critical", "open", ["checkout"])
        assert wait_until(lambda: firing(process, incident["incident_id"]) == [2], 30), process.log()
        post(manager, datetime.now(UTC))
        assert wait_until(lambda: manager.totals().get("alertmanager_notifications_total", 0) >= 2, 30), manager.log()
        totals = manager.totals()
        assert wait_until(lambda: firing(process, incident["incident_id"]) == [0], 30), process.log()
    assert totals["alertmanager_notifications_failed_total"] == 0


def firing(process: PeerProcess, incident_id: str) -> list[int]:
    """Return how many instances of each alert of an incident are not over."""
    answer = httpx.get(f"{process.url}/incidents/{incident_id}", timeout=within(30)).json()
    return [int(alert["firing"]) for alert in answer["alerts"]]


@pytest.mark.parametrize("peer", each_peer("amtool"))
def test_amtool_accepts_the_example_of_the_docs_with_its_token(peer: Peer, tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "your-alertmanager.md").read_text()
    example = page.partition("```yaml\n")[2].partition("```")[0].replace("# http_config:", "http_config:")
    assert "credentials_file: /etc/alertmanager/aiops-token" in example
    (tmp_path / "alertmanager.yml").write_text(example)
    command = [str(peer.path), "check-config", str(tmp_path / "alertmanager.yml")]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=within(60), check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
