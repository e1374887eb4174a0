"""An instrumented service that gives metrics, logs and spans to a collector (rotel), which passes them on to receivers."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving.stream import streams
from tests.testing.client_session import Arrived, outcomes
from tests.testing.free_ports import free_ports
from tests.testing.otel_service import grpc_exporters, otel_service
from tests.testing.peer_process import PeerProcess, running
from tests.testing.peers import Peer
from tests.testing.receiver_harness import Receiver
from tests.testing.stream_harness import wait_until

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Rotel:
    """The collector with options for its exporter, its logs in a folder."""

    peer: Peer
    options: Sequence[str]
    folder: Path
    grpc_port: int
    http_port: int

    @classmethod
    def of(cls, peer: Peer, options: Sequence[str], folder: Path) -> "Rotel":
        return cls(peer, options, folder, *free_ports(2))

    def started(self) -> AbstractContextManager[PeerProcess]:
        listens = (f"--otlp-grpc-endpoint=127.0.0.1:{self.grpc_port}", f"--otlp-http-endpoint=127.0.0.1:{self.http_port}")
        command = [str(self.peer.path), "start", *listens, *self.options]
        return running(command, self.folder / "rotel", f"http://127.0.0.1:{self.http_port}")


def sent_through(rotel: Rotel, relay: PeerProcess, receiver: Receiver) -> None:
    """Let a service send all three signals, and wait until they arrived."""
    with otel_service(grpc_exporters(rotel.grpc_port)) as service:
        for seconds in (0.05, 0.5):
            service.work(seconds)
            assert service.send(), relay.log()
    assert wait_until(lambda: outcomes(receiver).get("written", 0) >= 10, 30), relay.log() + receiver.log()
    assert wait_until(lambda: outcomes(receiver, "aiops_ingest_records_total").get("written", 0) >= 4, 30), relay.log()


def check_arrived(receiver: Receiver) -> tuple[Rows, Rows]:
    """Assert that what `sent_through` sent is there, once; return the spans and the logs."""
    arrived = Arrived.of(receiver)
    assert arrived.services() == {"shop/checkout"}
    assert arrived.values("http.server.requests") == [1.0, 2.0]
    assert len(arrived.histograms) == 4
    assert outcomes(receiver) == {"written": 10.0}
    spans, logs = receiver.rows(streams.KIND_SPANS, "signals"), receiver.rows(streams.KIND_LOGS, "signals")
    assert [row["trace_id"] for row in spans] == [row["trace_id"] for row in logs]
    return spans, logs
