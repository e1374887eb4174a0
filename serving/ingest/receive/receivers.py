"""The receivers: bodies of tenants in, acknowledged by the broker; limits before, counts and notices beside."""

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, Protocol

from aiops.errors import AiopsError, Unavailable
from data_contracts.values.masking import NOTHING_MASKED, Masks
from serving.host.log_rate_limit import LineLimit
from serving.http.problem import refused
from serving.ingest.producer_sequence import EncodedEntry
from serving.ingest.receive.agreed_names import AgreedNames
from serving.ingest.receive.agreed_pairs import AgreedPairs, PairLeases
from serving.ingest.receive.body_gathering import BodyGathering
from serving.ingest.receive.group_commit import BacklogFull, GroupCommit
from serving.ingest.receive.ingest_metrics import IngestMetrics
from serving.ingest.receive.intake_rules import IN_LOOP_BYTES, IntakeRules
from serving.ingest.receive.loop_sharing import Result, in_or_beside_loop
from serving.ingest.receive.point_intake import TenantIntake
from serving.ingest.receive.raw_batch import RawBatch
from serving.ingest.receive.receipts import REASONS, Receipt
from serving.ingest.receive.series_growth import Explosion
from serving.ingest.receive.series_identity import IdentityRules, SeriesIdentities
from serving.ingest.receive.series_names import NameHolders
from serving.ingest.receive.signals.signal_outcome import SignalIntake, SignalOutcome
from serving.ingest.receive.tenant_limits import LimitsByTenant, PointBudget
from serving.ingest.receive.wire.decoded import DecodedBody, MalformedBody
from serving.stream.notices import Notice

BACKLOG_RETRY_S: Final = 5

log = logging.getLogger(__name__)
_lines = LineLimit(log)


class TooFast(AiopsError):
    """A tenant sends more than it may: the same body may be sent again after `retry_s`."""

    def __init__(self, text: str, retry_s: int) -> None:
        super().__init__(text)
        self.retry_s = retry_s


class BodyDecoder(Protocol):
    """Reads one format."""

    @property
    def in_loop_bytes(self) -> int:
        """Return how large a body may be that is read in the event loop: it takes no more than a millisecond or two."""

    def decode(self, body: bytes) -> DecodedBody:
        """Return what a body holds; raises MalformedBody."""


class SourceSeen(Protocol):
    """Hears which source sent something, and its newest event time."""

    def saw(self, tenant: str, source: str, newest_us: int) -> None:
        """Note it."""


Encoding = Literal["protobuf", "json"]
SignalReader = Callable[[bytes, Encoding, SignalIntake], SignalOutcome]


class Signal(NamedTuple):
    """Logs or traces, by which protocol they came, how a body of it is read, and how large one is that the event loop reads."""

    name: str
    protocol: str
    read: Callable[[bytes, SignalIntake], SignalOutcome]
    in_loop_bytes: int = IN_LOOP_BYTES


@dataclass(frozen=True, slots=True)
class ReceiverRules:
    """`idle_s`: a series that sends nothing for so long is forgotten; `max_tenants` may send.

    `archives`: somebody copies logs, spans and exemplars to the lake; without, they are not taken. `pairs`: where receivers agree
    who leads an HA pair, `names`: by which label a series is named. `masks`: what is hidden in logs and spans.
    """

    intake: IntakeRules
    identity: IdentityRules
    limits: LimitsByTenant
    idle_s: float = 7200.0
    max_tenants: int = 32
    archives: bool = True
    pairs: PairLeases | None = None
    names: NameHolders | None = None
    masks: Masks = NOTHING_MASKED


class _Tenant:
    def __init__(self, name: str, rules: ReceiverRules) -> None:
        limits = rules.limits.of(name)
        self.limits = limits
        self.intake = TenantIntake(name, limits, SeriesIdentities(rules.identity), rules.intake)
        self.budget = PointBudget(limits.points_per_s)
        self.used_s = rules.intake.monotonic()

    def forget(self, now_s: float, idle_s: float) -> bool:
        """Forget series that were not seen for so long; return whether nothing is left, and nothing came for as long."""
        self.intake.forget(idle_s)
        return now_s - self.used_s > idle_s and not len(self.intake.table) and not self.intake.growth.is_growing


class Receivers:
    """All tenants of this process; one event loop has it."""

    def __init__(
        self, commit: GroupCommit, rules: ReceiverRules, metrics: IngestMetrics, watch: SourceSeen | None = None
    ) -> None:
        self._commit = commit
        self._rules = rules
        self._watch = watch
        self._tenants: dict[str, _Tenant] = {}
        self._names = AgreedNames(rules.names)
        self._gathering = BodyGathering(self.commit, AgreedPairs(rules.pairs), self._names)
        self._reading = ThreadPoolExecutor(1, "large bodies")
        self.metrics = metrics

    def limits_of(self, tenant: str) -> int:
        """Return the largest body of a tenant, in bytes."""
        return self._rules.limits.of(tenant).max_body_bytes

    async def points(self, tenant: str, protocol: str, body: bytes, decoder: BodyDecoder) -> Receipt:
        """Take a decompressed body of metrics; return, once it is on the broker, what became of it.

        Raises:
            MalformedBody: it cannot be read; nothing of it is kept.
            TooFast, BacklogFull, Unavailable: nothing of it is kept; send it again.
            ProblemError: 400, too many tenants.
        """
        self.hold_back()
        try:
            decoded = await self._read(len(body) > decoder.in_loop_bytes, lambda: decoder.decode(body))
        except MalformedBody as error:
            self.malformed(tenant, protocol, error)
            raise
        count = len(decoded.points) + len(decoded.histograms)
        self.hold_to_budget(tenant, count)
        receipt, batch = await self._gathering.body(self._tenant(tenant).intake, decoded)
        self._without_exemplars(receipt, batch)
        await self.commit(batch)
        self.took(tenant, protocol, receipt, count)
        return receipt

    def malformed(self, tenant: str, protocol: str, error: Exception) -> None:
        """Count a body that cannot be read."""
        self.metrics.malformed.labels(protocol).inc()
        _lines.warn(protocol, f"{protocol} of tenant {tenant}: {error}")

    def hold_to_budget(self, tenant: str, points: int) -> None:
        """Raise TooFast where a tenant may not send so many points now; ProblemError where there are too many tenants."""
        owner = self._tenant(tenant)
        wait_s = owner.budget.wait_s(points)
        if wait_s:
            self.metrics.pressed.labels("points_per_s").inc()
            rule = f"{owner.limits.points_per_s} points a second are allowed (AIOPS_INGEST__POINTS_PER_S)"
            raise TooFast(f"tenant {tenant}: {rule}; send the same again in {wait_s} s", wait_s)

    async def gather(self, tenant: str, bodies: Sequence[DecodedBody]) -> tuple[list[Receipt], RawBatch]:
        """Return what became of bodies that go together, in order, and the batch to commit before anything else is awaited."""
        receipts, batch = await self._gathering.bodies(self._tenant(tenant).intake, bodies)
        for receipt in receipts:
            self._without_exemplars(receipt, batch)
        return receipts, batch

    def _without_exemplars(self, receipt: Receipt, batch: RawBatch) -> None:
        if not self._rules.archives:
            batch.leave_out_exemplars()
            receipt.exemplars = 0

    def took(self, tenant: str, protocol: str, receipt: Receipt, points: int) -> None:
        """Count what became of a committed body of so many points."""
        self._tenant(tenant).budget.spend(points)
        self.metrics.took(tenant, protocol, receipt)
        for reason, refusal in receipt.refusals.items():
            _lines.warn(REASONS[reason], f"{protocol} of tenant {tenant}: {refusal.text()}")

    def signal_intake(self) -> SignalIntake:
        """Return how logs and spans that come now are read."""
        rules = self._rules
        return SignalIntake(now_utc(), rules.identity.services, int(rules.intake.future_tolerance_s), rules.masks)

    def _read(self, is_large: bool, read: Callable[[], Result]) -> Awaitable[Result]:
        """Read a body; a large one beside the event loop, one at a time."""
        return in_or_beside_loop(is_large, read, self._reading)

    async def records(self, tenant: str, signal: Signal, body: bytes) -> SignalOutcome:
        """Take a decompressed body of logs or spans; return, once it is on the broker, what became of it.

        Raises:
            MalformedBody, TooFast, BacklogFull, Unavailable, ProblemError: as `points`.
        """
        if not self._rules.archives:
            raise refused(signal.name, "", "are not kept: AIOPS_CONSUMER__ARCHIVE is off", "set it to inside or separate")
        self.hold_back()
        try:
            intake = self.signal_intake()
            outcome = await self._read(len(body) > signal.in_loop_bytes, lambda: signal.read(body, intake))
        except MalformedBody:
            self.metrics.malformed.labels(signal.protocol).inc()
            raise
        self._tenant(tenant)
        batch = RawBatch(signals=[EncodedEntry(tenant, entry.kind, entry.payload) for entry in outcome.entries])
        await self.commit(batch)
        self.metrics.took_records(signal.name, outcome)
        return outcome

    def forget_idle(self) -> None:
        """Forget what was not seen for long, tenants and their places too; call it every few minutes."""
        now_s = self._rules.intake.monotonic()
        for name, tenant in list(self._tenants.items()):
            if tenant.forget(now_s, self._rules.idle_s):
                del self._tenants[name]
                self.metrics.forget(name)

    def look(self) -> list[Notice]:
        """Pass on which services sent something; return notices of labels that explode. Call it every second or so."""
        notices: list[Notice] = []
        for name, tenant in self._tenants.items():
            if self._watch is not None:
                for service, newest_us in tenant.intake.services.news():
                    self._watch.saw(name, service, newest_us)
            notices += [_notice(name, explosion) for explosion in tenant.intake.growth.look()]
        return notices

    async def hold_names(self) -> None:
        """Say again by which labels active series are named; call it every second or so."""
        await self._names.hold([tenant.intake for tenant in self._tenants.values()])

    def active_series(self) -> Mapping[str, int]:
        """Return the active series of each tenant."""
        return {name: len(tenant.intake.table) for name, tenant in self._tenants.items()}

    def _tenant(self, name: str) -> _Tenant:
        """Return a tenant, new where it sends for the first time: only what sends something readable takes a place."""
        tenant = self._tenants.get(name)
        if tenant is None:
            if len(self._tenants) >= self._rules.max_tenants:
                self.forget_idle()
            if len(self._tenants) >= self._rules.max_tenants:
                rule = f"{self._rules.max_tenants} tenants send already, or did within AIOPS_INGEST__IDLE_H"
                raise refused("x-scope-orgid", name, rule, "raise AIOPS_TELEMETRY__MAX_TENANTS")
            tenant = self._tenants[name] = _Tenant(name, self._rules)
        tenant.used_s = self._rules.intake.monotonic()
        return tenant

    def hold_back(self) -> None:
        """Raise BacklogFull while the streams are nearly full."""
        if self._commit.pressed:
            self.metrics.pressed.labels("backlog").inc()
            raise BacklogFull("the telemetry streams are nearly full: their readers are behind; send it again")

    async def commit(self, batch: RawBatch) -> None:
        """Return once a batch is on the broker; raises Unavailable, BacklogFull: nothing of it is kept."""
        try:
            await self._commit.commit(batch)
        except (Unavailable, BacklogFull) as error:
            self.metrics.pressed.labels("broker_full" if isinstance(error, BacklogFull) else "broker_away").inc()
            _lines.warn(type(error).__name__, f"refused for now: {error}")
            raise


def _notice(tenant: str, explosion: Explosion) -> Notice:
    ends_at = datetime.fromtimestamp(explosion.ends_s, UTC) if explosion.ends_s else None
    starts_at = datetime.fromtimestamp(explosion.since_s, UTC)
    return Notice(
        tenant, explosion.service, explosion.name, explosion.text, now_utc(), starts_at, ends_at, subject=explosion.metric
    )


def new_seed() -> int:
    """Return a random seed for hashes of labels: nobody outside can choose labels that collide."""
    return secrets.randbits(64)


def now_utc() -> datetime:
    """Return the wall clock."""
    return datetime.fromtimestamp(time.time(), UTC)
