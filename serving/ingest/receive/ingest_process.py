"""The process of the receivers: HTTP and gRPC in one event loop, group commit beside, drained on SIGTERM or Ctrl-C."""

import asyncio
import gc
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from aiops.errors import AiopsError, Unavailable
from aiops.normalise.service_labels import ServiceRules
from aiops.settings.setting_parts import setting_parts
from serving.http.auth import authenticator
from serving.http.cross_site import site_rules
from serving.http.loop_server import LoopServer, run_in_loop
from serving.http.server import bound
from serving.ingest.producer_sequence import ProducerSequence
from serving.ingest.receive.group_commit import CommitRules, GroupCommit
from serving.ingest.receive.ingest_app import IngestParts, ingest_app
from serving.ingest.receive.ingest_metrics import IngestMetrics
from serving.ingest.receive.intake_rules import IntakeRules
from serving.ingest.receive.line_endpoint import LineEndpoint
from serving.ingest.receive.loki_endpoint import LokiEndpoint
from serving.ingest.receive.otlp_endpoint import OtlpIntake, OtlpJson
from serving.ingest.receive.otlp_grpc import OtlpGrpcServer
from serving.ingest.receive.receiver_warm_up import OTLP, warm_up
from serving.ingest.receive.receivers import BodyDecoder, ReceiverRules, Receivers, SignalReader, new_seed
from serving.ingest.receive.remote_write_endpoint import VERSION_1, VERSION_2, RemoteWriteEndpoint
from serving.ingest.receive.replica_leases import ReplicaLeases
from serving.ingest.receive.series_identity import IdentityRules
from serving.ingest.receive.series_names import SeriesNames
from serving.ingest.receive.tenant_limits import LimitsByTenant
from serving.ingest.receive.topics.message_content import RemoteWriteContent
from serving.ingest.receive.topics.reading_topics import ReadingTopics, TopicDecoders
from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder
from serving.ingest.receive.wire.remote_write_decoders import RemoteWrite1Decoder, RemoteWrite2Decoder
from serving.ingest.receive.writer_metrics import WriterMetrics
from serving.ingest.source_watch import SourceWatch
from serving.stream.broker import open_streams, wait_ready
from serving.stream.notices import Notice, add_notices

if TYPE_CHECKING:
    from aiops.settings.tree import Settings
    from serving.stream.streams import Streams

_BROKER_WAIT_S: Final = 60.0
_SWEEP_S: Final = 300.0
_PROBE_S: Final = 2.0
_LOOK_S: Final = 1.0
_SWITCH_S: Final = 0.001
"""A thread that reads a large body gives way to the event loop after so long: a small request needs its turn several times."""

log = logging.getLogger(__name__)


def run_ingest(settings: "Settings") -> int:
    """Run the receivers until SIGTERM, Ctrl-C or a failure; return the exit code (0 = drained)."""
    sys.setswitchinterval(_SWITCH_S)
    try:
        return run_in_loop(_IngestProcess(settings).run())
    except AiopsError as error:
        log.error("%s: %s", type(error).__name__, error)
        return error.exit_code


class _IngestProcess:
    def __init__(self, settings: "Settings") -> None:
        self._settings = settings
        self._auth = authenticator(settings.serving, settings.tokens_path, settings.ingest.host, "ingest.host")
        self._socket = bound(settings.ingest.host, settings.ingest.port, "ingest.port")
        self._broker = open_streams(settings)
        self._metrics = IngestMetrics()
        self._writers = WriterMetrics(self._metrics.registry)
        seed = new_seed()
        self._otlp = OtlpMetricsDecoder(seed)
        self._remote_write: Mapping[str, BodyDecoder] = {
            VERSION_1: RemoteWrite1Decoder(seed),
            VERSION_2: RemoteWrite2Decoder(seed),
        }

    async def run(self) -> int:
        """Serve until told to stop; a failure of the group commit ends the process."""
        settings = self._settings
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await asyncio.to_thread(wait_ready, self._broker, _BROKER_WAIT_S)
        producer = ProducerSequence(self._broker, _producer_id(self._socket))
        rules = CommitRules(settings.broker.partitions, settings.consumer.max_backlog)
        commit = GroupCommit(producer, self._broker, rules)
        watch, watch_ends = SourceWatch.of(settings), threading.Event()
        rules_of_tenants = shared_rules(settings, self._broker)
        receivers = Receivers(commit, rules_of_tenants, self._metrics, watch)
        threading.Thread(target=watch.run, args=(watch_ends,), name="sources", daemon=True).start()
        parts = self._parts(receivers, commit)
        topics = self._reading_topics(receivers)
        await asyncio.to_thread(self._warm_up, rules_of_tenants)
        server = LoopServer(ingest_app(parts), self._socket)
        largest, most = LimitsByTenant(settings.ingest).largest_body, settings.ingest.max_in_flight
        grpc_server = OtlpGrpcServer(parts.otlp, self._auth, largest, most)
        await grpc_server.start(settings.ingest.host, settings.ingest.grpc_port)
        beside = (_sweep(receivers), _look(receivers, self._broker), _hold_names(receivers), self._writers.watch(self._broker))
        tasks = [asyncio.create_task(task) for task in (commit.run(), commit.watch(), *beside, topics.run(), server.run())]
        stopping = asyncio.create_task(stop.wait())
        gc.collect()
        gc.freeze()
        log.info("receiving on %s:%d", settings.ingest.host, server.port)
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        watch_ends.set()
        topics.stop()
        server.stop()
        await grpc_server.stop()
        failures = [task.exception() for task in tasks if task.done() and not task.cancelled()]
        await asyncio.wait(tasks[-2:], timeout=10)
        for task in (*tasks, stopping):
            task.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)
        commit.close()
        _raise_first(failures)
        return 0

    def _parts(self, receivers: Receivers, commit: GroupCommit) -> IngestParts:
        settings = self._settings
        otlp = self._otlp
        self._metrics.appends.set_function(lambda: commit.appends)
        return IngestParts(
            receivers,
            RemoteWriteEndpoint(receivers, self._remote_write),
            OtlpIntake(receivers, {"protobuf": otlp, "json": OtlpJson(otlp)}, _signal_readers()),
            LineEndpoint(receivers),
            LokiEndpoint(receivers),
            self._auth,
            site_rules(settings.serving.allowed_hosts, settings.ingest.host, self._auth.key is None),
            self._metrics,
            self._ready,
            settings.ingest.max_in_flight,
        )

    def _reading_topics(self, receivers: Receivers) -> ReadingTopics:
        remote_write = RemoteWriteContent(self._remote_write[VERSION_1], self._remote_write[VERSION_2])
        decoders = TopicDecoders(self._otlp, OtlpJson(self._otlp), remote_write, _signal_readers())
        return ReadingTopics(self._settings, self._broker, receivers, decoders, _producer_id(self._socket))

    def _warm_up(self, rules: ReceiverRules) -> None:
        started = time.perf_counter()
        warm_up({**self._remote_write, OTLP: self._otlp}, rules)
        log.info("kernels are ready after %.1f s", time.perf_counter() - started)

    async def _ready(self) -> str:
        try:
            answers = await asyncio.wait_for(asyncio.to_thread(self._broker.ping), _PROBE_S)
        except TimeoutError:
            answers = False
        self._metrics.ready.set(int(answers))
        return "" if answers else "the broker does not answer"


def shared_rules(settings: "Settings", broker: "Streams") -> ReceiverRules:
    """Return the rules that the settings give, with what is agreed among receivers."""
    ingest = settings.ingest
    hold_s = max(3600 * ingest.idle_h, 5 * ingest.announce_s)
    leases = ReplicaLeases(broker, ingest.replica_silent_s)
    return replace(receiver_rules(settings), pairs=leases, names=SeriesNames(broker, hold_s))


def receiver_rules(settings: "Settings") -> ReceiverRules:
    """Return the rules that the settings give."""
    ingest = settings.ingest
    services = ServiceRules(setting_parts(ingest.service_labels), setting_parts(ingest.host_metrics))
    identity = IdentityRules(
        services,
        setting_parts(ingest.resource_labels),
        ingest.replica_label,
        ingest.cluster_label,
        setting_parts(ingest.pair_labels),
    )
    intake = IntakeRules(
        settings.broker.partitions,
        ingest.announce_s,
        settings.telemetry.future_tolerance_s,
        ingest.replica_silent_s,
        ingest.explosion_series,
        shared=True,
    )
    archives = settings.consumer.archive != "off"
    idle_s, most = 3600 * ingest.idle_h, settings.telemetry.max_tenants
    return ReceiverRules(intake, identity, LimitsByTenant(ingest), idle_s, most, archives, masks=ingest.masks)


def _signal_readers() -> Mapping[str, SignalReader]:
    from serving.ingest.receive.signals.otlp_logs import accept_logs
    from serving.ingest.receive.signals.otlp_traces import accept_spans

    return {"logs": accept_logs, "traces": accept_spans}


def _producer_id(listening: socket.socket) -> str:
    """Return the id of this receiver: the same whenever it starts again on this host and port."""
    host = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in socket.gethostname())[:80]
    return f"receiver-{host}-{listening.getsockname()[1]}"


def _raise_first(failures: Sequence[BaseException | None]) -> None:
    for failure in failures:
        if failure is not None:
            raise failure


async def _sweep(receivers: Receivers) -> None:
    while True:
        await asyncio.sleep(_SWEEP_S)
        receivers.forget_idle()


async def _hold_names(receivers: Receivers) -> None:
    while True:
        await asyncio.sleep(_LOOK_S)
        await receivers.hold_names()


async def _look(receivers: Receivers, broker: "Streams") -> None:
    notices: list[Notice] = []
    while True:
        await asyncio.sleep(_LOOK_S)
        notices += receivers.look()
        if notices:
            try:
                await asyncio.to_thread(add_notices, broker, notices)
                notices = []
            except Unavailable as error:
                log.warning("notices: %s; they are written once it answers", error)
