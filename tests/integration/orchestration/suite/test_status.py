"""`aiops status` tells what is wrong: silent and refusing processes, readers that stand still, full streams; and answers soon."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from aiops.settings.broker_settings import BrokerSettings
from aiops.settings.consumer_settings import ConsumerSettings
from aiops.settings.ingest_settings import IngestSettings
from aiops.settings.responder_settings import ResponderSettings
from aiops.settings.serving_settings import ServingSettings
from aiops.settings.tree import Settings
from aiops.settings.up_settings import UpSettings
from models.artifacts.export import write_aliases
from orchestration.suite.health import PROBE_S, ask
from orchestration.workspace.current_settings import note_running
from serving.signal_minutes.progress_notes import COUNTS, PROGRESS, MinuteProgress, progress_text
from serving.stream import streams
from serving.stream.broker import EmbeddedBroker, open_streams
from serving.stream.consumer.commit import Position
from serving.stream.ownership.checkpoint_place import CheckpointNote, CheckpointPlace
from serving.stream.ownership.lease_groups import INGEST, lease_group
from serving.stream.ownership.leases import CHECKPOINT, Leases, Member
from tests.testing.deadlines import within
from tests.testing.stream_harness import free_ports


@pytest.fixture
def settings(home: Path) -> Settings:
    ports = free_ports(9)
    return Settings(
        home=home,
        broker=BrokerSettings(port=ports[0], partitions=1),
        serving=ServingSettings(http_port=ports[1], grpc_port=ports[2]),
        consumer=ConsumerSettings(metrics_port=ports[3], max_backlog=10),
        responder=ResponderSettings(port=ports[4]),
        up=UpSettings(mlflow_port=ports[5], dagster_port=ports[6]),
        ingest=IngestSettings(port=ports[7], grpc_port=ports[8]),
    )


@pytest.fixture
def broker(settings: Settings) -> Iterator[streams.Streams]:
    with EmbeddedBroker(settings):
        yield open_streams(settings)


def entry(broker: streams.Streams, stream: str, entry_id: str = "*") -> None:
    broker.client.xadd(stream, {"k": "t", "b": b"rows"}, id=entry_id)


def test_readers_that_stand_still_are_faults(broker: streams.Streams, settings: Settings) -> None:
    old_ms = int(time.time() * 1e3) - 3_600_000
    assert ask(settings).faults == ()
    entry(broker, streams.telemetry(0), f"{old_ms}-0")
    entry(broker, streams.DETECTIONS, f"{old_ms}-0")
    faults = ask(settings).faults
    assert len(faults) == 3
    assert any("is not scored (stage1 stands still" in fault for fault in faults)
    assert any("is not copied to the lake (archive-telemetry" in fault for fault in faults)
    assert any(fault.startswith("aiops:detections: what came 36") for fault in faults)
    for stage in ("stage1", "archive-telemetry"):
        broker.hash_set(streams.offset(stage, 0), {"id": f"{old_ms}-0"})
    assert len(ask(settings).faults) == 1
    off = settings.consumer.model_copy(update={"archive": "off"})
    assert ask(settings.model_copy(update={"consumer": off})).faults == ()


def test_a_fresh_entry_is_no_fault_and_a_full_stream_is(broker: streams.Streams, settings: Settings) -> None:
    for _ in range(9):
        entry(broker, streams.telemetry(0))
    assert ask(settings).faults == ()
    entry(broker, streams.telemetry(0))
    (fault,) = ask(settings).faults
    assert fault == "aiops:telemetry:0 is full: 10 of 10 entries, producers wait"
    assert not ask(settings).healthy


class Refusing(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(503)
        self.end_headers()
        self.wfile.write(b"no answer from the broker")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Stay silent."""


def test_silent_refusing_and_ended_processes_are_distinguished_at_once(settings: Settings) -> None:
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    note_running(settings, {"feeder": ended.pid, "dagster-daemon": os.getpid()})
    refusing = HTTPServer(("127.0.0.1", settings.responder.port), Refusing)
    Thread(target=refusing.serve_forever, daemon=True).start()
    with socket.create_server(("127.0.0.1", settings.serving.http_port)):
        began = time.monotonic()
        report = ask(settings)
        took_s = time.monotonic() - began
    refusing.shutdown()
    refusing.server_close()
    states = {process.name: (process.healthy, process.detail) for process in report.processes}
    assert states["scorer"] == (False, f"no answer within {PROBE_S:g} s")
    assert states["responder"] == (False, "503: no answer from the broker")
    assert states["consumer"] == (False, "no answer (ConnectError)")
    assert states["feeder"] == (False, "it has ended")
    assert states["dagster-daemon"] == (True, "")
    assert not states["broker"][0]
    assert took_s < 5 * PROBE_S, "all are asked at once"


def test_the_command_imports_nothing_heavy_and_names_the_champions(settings: Settings) -> None:
    write_aliases(settings.root / "models", "service-ensemble", {"champion": "3"})
    names = ("mlflow", "duckdb", "pandas", "dagster", "sklearn", "feast")
    code = f"import sys; from orchestration.cli import run; run(['status', '--json']); print([*set({names}) & set(sys.modules)])"
    environment = {"PATH": os.environ["PATH"], "AIOPS_HOME": str(settings.root)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    shown, _, loaded = done.stdout.strip().rpartition("\n")
    assert loaded == "[]"
    assert {"name": "service-ensemble", "version": "3", "alias": "champion"} in json.loads(shown)["models"]


def test_writers_are_listed_with_their_lag_and_one_that_stands_still_is_a_fault(
    broker: streams.Streams, settings: Settings
) -> None:
    now_ms = int(time.time() * 1e3)
    for name, age_s, lasting in (("feed-here", 400, "1"), ("replay-x", 400, "0"), ("receive-1", 3, "1")):
        at = {"newest": str((now_ms - 1000 * (age_s + 10)) * 1000), "at": str(now_ms - 1000 * age_s), "interval": "60000"}
        broker.hash_set(streams.producer(name), {**at, "lasting": lasting, "done": "7"})
    report = ask(settings)
    assert [line.producer for line in report.writers] == ["receive-1", "feed-here", "replay-x"]
    assert [round(line.lag_s) // 10 for line in report.writers] == [1, 41, 41]
    (fault,) = report.faults
    assert fault.startswith("feed-here has written nothing for 40")
    assert not report.healthy


def test_who_has_which_partition_and_what_nobody_has(broker: streams.Streams, settings: Settings) -> None:
    assert ask(settings).partitions == ()
    near, far = (CheckpointPlace(folder, host, "/data") for folder, host in (("1", "near"), ("2", "far")))
    now_ms = time.time_ns() // 1_000_000
    member = Member("b", now_ms, far, pid=77)
    Position(broker, "stage1", 0).write_field(CHECKPOINT, CheckpointNote("5-0", near).to_text())
    leases = Leases(broker, lease_group(settings, INGEST), member, lambda: now_ms - 100_000)
    leases.beat()
    leases = Leases(broker, lease_group(settings, INGEST), member)
    leases.beat()
    report = ask(settings)
    assert [(line.partition, line.stage, line.owner, line.checkpoint) for line in report.partitions] == [
        (0, "stage 1", "", "/data of near")
    ]
    fault = next(fault for fault in report.faults if "no owner" in fault)
    assert "partition 0 has had no owner in stage 1 for 10" in fault
    assert "no running consumer reaches its checkpoint in /data of near" in fault
    leases.claim({0})
    report = ask(settings)
    assert [line.owner for line in report.partitions] == ["far, process 77"]
    assert abs(report.partitions[0].since.timestamp() - time.time()) < within(5)
    assert not any("no owner" in fault for fault in report.faults)


def test_signals_are_listed_with_their_lag_and_what_nobody_makes_series_of_is_a_fault(
    broker: streams.Streams, settings: Settings
) -> None:
    assert ask(settings).signals == ()
    now_us = time.time_ns() // 1000
    progress = {"acme": MinuteProgress(now_us - 4_000_000, 1_790_000_040_000_000, 12)}
    counts = {"acme": {"logs.records": 70, "logs.late": 2, "spans.spans": 9, "points": 24}, "": {"refused_tenants": 3}}
    note = {COUNTS: json.dumps(counts), PROGRESS: progress_text(progress)}
    broker.hash_set(streams.offset("signals", 0), note)
    (line,) = ask(settings).signals
    assert (line.tenant, line.lines, line.spans, line.points, line.series) == ("acme", 70, 9, 24, 12)
    assert line.lag_s is not None
    assert 4 <= line.lag_s < 4 + within(5)
    assert line.made_until == datetime(2026, 9, 21, 14, 14, tzinfo=UTC)
    old_ms = int(time.time() * 1e3) - 3_600_000
    entry(broker, streams.signals(0), f"{old_ms}-0")
    fault, _ = sorted(ask(settings).faults, key=lambda text: "lake" in text)
    assert "is not made into series (signals stands still or is too slow)" in fault
    off = settings.model_copy(update={"signals": settings.signals.model_copy(update={"minutes": False})})
    assert not any("series" in fault for fault in ask(off).faults)


def test_signals_noted_by_an_older_version_have_no_times(broker: streams.Streams, settings: Settings) -> None:
    broker.hash_set(streams.offset("signals", 0), {COUNTS: json.dumps({"acme": {"logs.records": 70}})})
    (line,) = ask(settings).signals
    assert (line.lines, line.spans, line.lag_s, line.newest_event_at, line.made_until) == (70, 0, None, None, None)
