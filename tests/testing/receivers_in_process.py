"""The HTTP application of the receivers in the test's own process, over a broker that only counts."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiops.settings.ingest_settings import IngestSettings
from serving.http.auth import Authenticator
from serving.http.cross_site import SiteRules
from serving.ingest.producer_sequence import Appended, BatchAppended, EntryBatch, EntryGroup, GroupAppended
from serving.ingest.receive.group_commit import CommitRules, GroupCommit
from serving.ingest.receive.ingest_app import IngestParts, ingest_app
from serving.ingest.receive.ingest_metrics import IngestMetrics
from serving.ingest.receive.intake_rules import IntakeRules
from serving.ingest.receive.line_endpoint import LineEndpoint
from serving.ingest.receive.loki_endpoint import LokiEndpoint
from serving.ingest.receive.otlp_endpoint import OtlpIntake, OtlpJson
from serving.ingest.receive.receivers import ReceiverRules, Receivers
from serving.ingest.receive.remote_write_endpoint import VERSION_1, VERSION_2, RemoteWriteEndpoint
from serving.ingest.receive.series_identity import IdentityRules
from serving.ingest.receive.series_names import NameHolders
from serving.ingest.receive.signals.otlp_logs import accept_logs
from serving.ingest.receive.signals.otlp_traces import accept_spans
from serving.ingest.receive.tenant_limits import LimitsByTenant
from serving.ingest.receive.wire.otlp_decoder import OtlpMetricsDecoder
from serving.ingest.receive.wire.remote_write_decoders import RemoteWrite1Decoder, RemoteWrite2Decoder
from serving.ingest.topic_positions import Advance
from serving.stream import streams


class Answer(NamedTuple):
    """An answer of the application."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class CountingBroker:
    """Takes every batch and counts rows by kind; `outcomes` are given first, one a batch or group."""

    rows: Counter[bytes] = field(default_factory=Counter)
    outcomes: list[Appended | Exception] = field(default_factory=list)
    moved: list[Advance] = field(default_factory=list)
    """Positions of topics."""
    refused: list[dict[str, Any]] = field(default_factory=list)
    """Dead letters that came with them."""

    def newest(self) -> int:
        return 0

    def append_batch(self, batch: EntryBatch, max_backlog: int) -> BatchAppended:
        outcome = self.outcomes.pop(0) if self.outcomes else Appended.NEW
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is Appended.NEW:
            for entry in batch.entries:
                if entry.kind == streams.KIND_WATERMARK:
                    continue
                self.rows[entry.kind] += streams.from_ipc(entry.payload).num_rows
        return BatchAppended(outcome, 0)

    def append_group(self, group: EntryGroup, max_backlog: int) -> GroupAppended:
        outcome = self.outcomes.pop(0) if self.outcomes else Appended.NEW
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is not Appended.NEW:
            return GroupAppended(outcome)
        for batch in group.batches:
            self.append_batch(batch, max_backlog)
        self.moved += group.advances
        self.refused += [
            row
            for batch in group.batches
            for entry in batch.entries
            if entry.kind == streams.KIND_REFUSED
            for row in streams.from_ipc(entry.payload).to_pylist()
        ]
        return GroupAppended(outcome, (0,) * len(group.batches))

    def done(self, seq: int, newest_us: int = 0) -> None:
        """Take note of nothing."""


class ReceiversInProcess:
    """Use inside one event loop: `async with ReceiversInProcess() as app: await app.post(…)`."""

    def __init__(self, broker: CountingBroker | None = None, names: NameHolders | None = None, **settings: Any) -> None:
        self.broker = broker or CountingBroker()
        self.metrics = IngestMetrics()
        ingest = IngestSettings(**{"points_per_s": 10**12, **settings})
        unread: Any = None
        self._commit = GroupCommit(self.broker, unread, CommitRules(2, 1000, patience_s=0.05))
        self.later_s = 0.0
        """By how much the receivers' own clock is put forward."""
        intake = IntakeRules(2, monotonic=lambda: time.monotonic() + self.later_s, shared=names is not None)
        rules = ReceiverRules(intake, IdentityRules(), LimitsByTenant(ingest), names=names, masks=ingest.masks)
        self.receivers = Receivers(self._commit, rules, self.metrics)
        otlp = OtlpMetricsDecoder(5)
        parts = IngestParts(
            self.receivers,
            RemoteWriteEndpoint(self.receivers, {VERSION_1: RemoteWrite1Decoder(5), VERSION_2: RemoteWrite2Decoder(5)}),
            OtlpIntake(self.receivers, {"protobuf": otlp, "json": OtlpJson(otlp)}, {"logs": accept_logs, "traces": accept_spans}),
            LineEndpoint(self.receivers),
            LokiEndpoint(self.receivers),
            Authenticator("HS256", None),
            SiteRules(),
            self.metrics,
            self._ready,
        )
        self.app: Any = ingest_app(parts)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "ReceiversInProcess":
        self._task = asyncio.create_task(self._commit.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._commit.close()

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Return the answer to one request."""
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []
        named = {"host": "127.0.0.1", "content-length": str(len(body)), **headers}
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(name.lower().encode(), text.encode()) for name, text in named.items()],
            "client": ("127.0.0.1", 1),
        }

        async def receive() -> dict[str, Any]:
            return messages.pop()

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        start = sent[0]
        answered = {name.decode().lower(): text.decode() for name, text in start["headers"]}
        return Answer(start["status"], answered, b"".join(message.get("body", b"") for message in sent[1:]))

    def counted(self, name: str, **labels: str) -> float:
        """Return the sum of a metric over all whose labels agree."""
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == name and all(sample.labels.get(key) == text for key, text in labels.items())
        )

    @staticmethod
    async def _ready() -> str:
        return ""
