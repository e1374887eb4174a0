"""A receiver process over an embedded broker, and bodies of remote write for it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cramjam
import httpx

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.ingest_settings import IngestSettings
from aiops.settings.tree import Settings
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from tests.testing.deadlines import within
from tests.testing.free_ports import free_ports
from tests.testing.stream_harness import wait_until
from tests.testing.wire_messages import REMOTE_WRITE_1, REMOTE_WRITE_2

VERSION_1 = {"content-type": "application/x-protobuf", "content-encoding": "snappy", "x-prometheus-remote-write-version": "0.1.0"}
VERSION_2 = {**VERSION_1, "content-type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
WRITTEN = "x-prometheus-remote-write-samples-written"


@dataclass(frozen=True, slots=True)
class Sent:
    """One series with its samples: (value, ms since 1970)."""

    labels: Mapping[str, str]
    samples: Sequence[tuple[float, int]] = ()
    kind: int = 0
    unit: str = ""


def write_1(series: Sequence[Sent], metadata: Sequence[tuple[str, int]] = ()) -> bytes:
    """Return a WriteRequest, compressed; metadata = (family, type)."""
    request = REMOTE_WRITE_1["WriteRequest"]()
    for sent in series:
        row = request.timeseries.add()
        for name, text in sorted(sent.labels.items()):
            row.labels.add(name=name, value=text)
        for value, at_ms in sent.samples:
            row.samples.add(value=value, timestamp=at_ms)
    for family, kind in metadata:
        request.metadata.add(metric_family_name=family, type=kind)
    return compressed(request.SerializeToString())


def write_2(series: Sequence[Sent]) -> bytes:
    """Return a Request of 2.0, compressed."""
    request = REMOTE_WRITE_2["Request"]()
    symbols = {"": 0}
    for sent in series:
        row = request.timeseries.add()
        for pair in sorted(sent.labels.items()):
            row.labels_refs.extend(symbols.setdefault(text, len(symbols)) for text in pair)
        for value, at_ms in sent.samples:
            row.samples.add(value=value, timestamp=at_ms)
        row.metadata.type = sent.kind
        row.metadata.unit_ref = symbols.setdefault(sent.unit, len(symbols))
    request.symbols.extend(symbols)
    return compressed(request.SerializeToString())


def compressed(body: bytes) -> bytes:
    """Return a body as senders of remote write compress it."""
    return bytes(cramjam.snappy.compress_raw(body))


def receiver_settings(home: Path, **ingest: Any) -> Settings:
    """Return settings with free ports."""
    broker, http, grpc = free_ports(3)
    return Settings(
        home=home, broker=BrokerSettings(port=broker, partitions=2), ingest=IngestSettings(port=http, grpc_port=grpc, **ingest)
    )


@dataclass(slots=True)
class Receiver:
    """Broker and receiver of one home; everything it starts it also ends."""

    settings: Settings
    more: Mapping[str, str] = field(default_factory=dict)
    broker: EmbeddedBroker = field(init=False)
    process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.broker = EmbeddedBroker(self.settings)

    def __enter__(self) -> "Receiver":
        self.broker.start()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.broker.stop()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.ingest.port}"

    def start(self) -> None:
        """Start the receiver; return when it is ready."""
        log = (self.settings.root / "ingest.log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "serving.ingest"],
            env=environment(self.settings, self.more),
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[2],
        )
        log.close()
        assert wait_until(self.ready, 60), self.log()

    def ready(self) -> bool:
        """Return whether it can take something."""
        try:
            return httpx.get(f"{self.url}/readyz", timeout=within(5)).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """End it at once."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def drain(self) -> int:
        """Ask it to end; return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within(20))

    def log(self) -> str:
        return (self.settings.root / "ingest.log").read_text()

    def write(self, body: bytes, headers: Mapping[str, str] = VERSION_1, **more: str) -> httpx.Response:
        """Post a body of remote write."""
        return httpx.post(f"{self.url}/api/v1/write", content=body, headers={**headers, **more}, timeout=within(30))

    def rows(self, kind: bytes, stream: str = "telemetry") -> list[dict[str, Any]]:
        """Return the rows of all entries of a kind, with their tenant."""
        name = {"telemetry": streams.telemetry, "signals": streams.signals}[stream]
        broker = open_streams(self.settings)
        return [
            {**row, "tenant": entry.tenant}
            for partition in range(self.settings.broker.partitions)
            for entry in broker.range(name(partition))
            if entry.kind == kind
            for row in streams.from_ipc(entry.payload).to_pylist()
        ]


def environment(settings: Settings, more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that gives a receiver these settings."""
    ingest = {
        f"AIOPS_INGEST__{name.upper()}": str(value) for name, value in settings.ingest.model_dump(exclude_none=True).items()
    }
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIOPS_")},
        **ingest,
        "AIOPS_HOME": str(settings.root),
        "AIOPS_BROKER__PORT": str(settings.broker.port),
        "AIOPS_BROKER__PARTITIONS": str(settings.broker.partitions),
        **more,
    }
