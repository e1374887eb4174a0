"""Self-metrics of the consumer, in a registry of their own, served with a health page on the metrics port."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.http.cross_site import SiteRules
from serving.http.probe_server import Page, ProbeServer

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
REFUSED: Final = "(refused)"
"""Label of all tenants beyond the limit."""
_STALLED_S: Final = 60.0
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


class ConsumerMetrics:
    """Everything the consumer says about itself. Counters are this process's; the exact totals live on the broker."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        self.points = Counter("aiops_points_total", "Points by outcome", ["outcome"], registry=registry)
        self.tenant_points = Counter("aiops_tenant_points_total", "Points by tenant", ["tenant", "outcome"], registry=registry)
        self.rejects = Counter("aiops_rejected_total", "Rejected rows by reason", ["reason"], registry=registry)
        self.candidates = Counter("aiops_candidates_total", "Candidates routed to the models", registry=registry)
        self.detections = Counter("aiops_detections_total", "Detections committed", ["tier", "revision"], registry=registry)
        self.predictions = Counter("aiops_predictions_total", "Predictions committed", registry=registry)
        self.asked = Counter("aiops_asked_total", "Rows answered by the tiers beyond the first", ["tier"], registry=registry)
        self.fallbacks = Counter(
            "aiops_fallbacks_total", "Candidates whose tier had no answer, by tier and why", ["tier", "reason"], registry=registry
        )
        left = Gauge("aiops_left_tier1_share", "Candidates with a point per point since the start", registry=registry)
        left.set_function(lambda: self._left / max(1, self._seen))
        self._left = self._seen = 0
        self.deferred = Counter("aiops_deferred_total", "Candidates put off because the models did not answer", registry=registry)
        self.flush_failures = Counter("aiops_feature_flush_failures_total", "Failed online feature writes", registry=registry)
        self.flushed = Counter("aiops_features_flushed_total", "Feature rows written online", ["table"], registry=registry)
        self.archived = Counter("aiops_archived_total", "Rows copied to the lake", ["table"], registry=registry)
        self.state_lost = Counter("aiops_state_lost_total", "Starts without a usable checkpoint", registry=registry)
        self.lag_entries = Gauge("aiops_lag_entries", "Entries waiting", ["stream"], registry=registry)
        self.lag_s = Gauge("aiops_lag_seconds", "Age of the newest committed telemetry entry", ["partition"], registry=registry)
        self.breaker = Gauge("aiops_breaker_state", "0 closed, 1 half open, 2 open", registry=registry)
        self.checkpoint_bytes = Gauge("aiops_checkpoint_bytes", "Size of the newest checkpoint", ["partition"], registry=registry)
        checkpoint_age = Gauge("aiops_checkpoint_age_seconds", "Time since the newest checkpoint", registry=registry)
        self.commit_s = Histogram("aiops_commit_seconds", "One atomic commit", registry=registry, buckets=_SECONDS)
        self.tick_s = Histogram("aiops_tick_seconds", "One read: decode to outputs", registry=registry, buckets=_SECONDS)
        self.scoring_s = Histogram("aiops_scoring_seconds", "One call of a tier", ["tier"], registry=registry, buckets=_SECONDS)
        self.end_to_end_s = Histogram(
            "aiops_end_to_end_seconds", "Entries: produced to committed", ["stage"], registry=registry, buckets=_SECONDS
        )
        memory = Gauge("aiops_resident_bytes", "Resident memory", registry=registry)
        memory.set_function(resident_bytes)
        self._checkpoint_at = time.monotonic()
        checkpoint_age.set_function(lambda: time.monotonic() - self._checkpoint_at)
        self._beat_at: dict[str, float] = {}

    def count_points(self, counts: Mapping[str, int]) -> None:
        """Add one commit's counters (names as in the broker's hash)."""
        self._seen += counts.get("points_in", 0)
        for name, by in counts.items():
            if name.startswith("rejected."):
                self.rejects.labels(name.removeprefix("rejected.")).inc(by)
            elif name.startswith("points_"):
                self.points.labels(name.removeprefix("points_")).inc(by)

    def count_tenant(self, tenant: str, counts: Mapping[str, int]) -> None:
        """Add what one commit holds of a tenant; those that the partition has no room for share one label."""
        label = REFUSED if counts.get("rejected.too_many_tenants") else tenant
        for name in ("points_in", "points_rejected"):
            if counts.get(name):
                self.tenant_points.labels(label, name.removeprefix("points_")).inc(counts[name])

    def count_candidates(self, rows: int, with_point: int) -> None:
        """Add candidates of one commit; `with_point` of them take a point beyond tier 1."""
        self.candidates.inc(rows)
        self._left += with_point

    def committed(self, stage: str, produced_ns: Sequence[int]) -> float:
        """Note when each entry of a commit that was just made was produced, newest last; return the age of the newest (s)."""
        now_ns = time.time_ns()
        ages_s = [max(0.0, (now_ns - at_ns) / 1e9) for at_ns in produced_ns]
        observe = self.end_to_end_s.labels(stage).observe
        for age_s in ages_s:
            observe(age_s)
        return ages_s[-1]

    def checkpointed(self, partition: int, size: int) -> None:
        """Note a written checkpoint."""
        self._checkpoint_at = time.monotonic()
        self.checkpoint_bytes.labels(str(partition)).set(size)

    def forget(self, partition: int, streams: Sequence[str]) -> None:
        """Show nothing more of a partition that another process has, nor of its streams."""
        for gauge, names in (
            (self.lag_entries, streams),
            (self.lag_s, [str(partition)]),
            (self.checkpoint_bytes, [str(partition)]),
        ):
            for name in names:
                with suppress(KeyError):
                    gauge.remove(name)

    def beat(self, loop: str) -> None:
        """Note that a loop is alive."""
        self._beat_at[loop] = time.monotonic()

    def stalled(self) -> list[str]:
        """Return the loops that did not beat for a minute."""
        now = time.monotonic()
        return [loop for loop, at in self._beat_at.items() if now - at > _STALLED_S]


def resident_bytes() -> float:
    """Return the resident memory of this process in bytes (0 where /proc is absent)."""
    statm = Path("/proc/self/statm")
    return float(statm.read_text().split()[1]) * _PAGE_BYTES if statm.exists() else 0.0


@dataclass(frozen=True, slots=True)
class StatePages:
    """What the pages beside `/metrics` tell: whether the process is ready, and what it exports of the series it watches."""

    ready: Callable[[], bool]
    findings: Callable[[], bytes] = bytes


class MetricsServer(ProbeServer):
    """HTTP server of `/metrics`, `/findings`, `/livez` (loops beat) and `/readyz` (ownership taken, state restored)."""

    def __init__(self, metrics: ConsumerMetrics, host: str, port: int, state: StatePages, site: SiteRules | None = None) -> None:
        def alive() -> Page:
            stalled = metrics.stalled()
            return Page(503, f"stalled: {', '.join(stalled)}\n".encode()) if stalled else Page(200, b"ok\n")

        pages = {
            "/metrics": lambda: Page(200, generate_latest(metrics.registry)),
            "/livez": alive,
            "/findings": lambda: Page(200, state.findings()),
            "/readyz": lambda: Page(200, b"ok\n") if state.ready() else Page(503, b"starting\n"),
        }
        super().__init__(pages, host, port, site or SiteRules())
