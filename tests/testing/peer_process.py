"""Programs of others as processes of a test: with a folder and ports of their own, ready before it goes on, ended with it."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.testing.deadlines import within
from tests.testing.free_ports import free_port
from tests.testing.peers import Peer
from tests.testing.stream_harness import wait_until

READY_WITHIN_S: Final = 30.0
STOPS_WITHIN_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class PeerProcess:
    """A program that runs and answers at `url`."""

    process: "subprocess.Popen[bytes]"
    url: str
    log_path: Path

    def log(self) -> str:
        """Return what it printed."""
        return self.log_path.read_text(errors="replace")

    def totals(self, path: str = "/metrics") -> dict[str, float]:
        """Return the numbers on its own page of metrics, added up over labels, by name."""
        totals: dict[str, float] = {}
        for family in text_string_to_metric_families(httpx.get(self.url + path, timeout=within(30)).text):
            for sample in family.samples:
                totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
        return totals

    def stop(self) -> None:
        """Ask it to end and wait."""
        self.process.terminate()
        self.process.wait(within(STOPS_WITHIN_S))


@contextmanager
def running(command: Sequence[str], folder: Path, ready: str, env: Mapping[str, str] | None = None) -> Iterator[PeerProcess]:
    """Run a command until the block ends; `ready` answers, and not by 5xx, when it can be used.

    Raises:
        AssertionError: it ended or was not ready in time; the message has what it printed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log_path = folder / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(list(command), cwd=folder, stdout=log, stderr=log, env=env)
    address = httpx.URL(ready)
    peer = PeerProcess(process, f"{address.scheme}://{address.netloc.decode()}", log_path)
    try:
        wait_until(lambda: process.poll() is not None or _answers(ready), READY_WITHIN_S)
        assert process.poll() is None, peer.log()
        assert _answers(ready), peer.log()
        yield peer
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(within(STOPS_WITHIN_S))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code < 500
    except httpx.TransportError:
        return False


@contextmanager
def prometheus(peer: Peer, folder: Path, config: str, *flags: str, port: int = 0) -> Iterator[PeerProcess]:
    """Run a Prometheus server with a configuration, on a free port where none is given."""
    port = port or free_port()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "prometheus.yml").write_text(config)
    command = [
        str(peer.path),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        *flags,
    ]
    with running(command, folder, f"http://127.0.0.1:{port}/-/ready") as server:
        yield server


def query(server: PeerProcess, expression: str, at_s: float) -> list[Any]:
    """Return what a Prometheus server answers to a query."""
    answer = httpx.get(f"{server.url}/api/v1/query", params={"query": expression, "time": str(at_s)}, timeout=within(30)).json()
    assert answer["status"] == "success", answer
    result: list[Any] = answer["data"]["result"]
    return result
