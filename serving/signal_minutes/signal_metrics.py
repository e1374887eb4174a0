"""What the process that makes series of logs and spans says of itself, and its pages."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serving.http.cross_site import SiteRules
from serving.http.probe_server import Page, ProbeServer
from serving.stream.consumer.consumer_metrics import resident_bytes

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_STALLED_S: Final = 60.0
_UNKNOWN: Final = "(refused)"


class SignalMetrics:
    """Counters are this process's; `aiops_signals` are exact totals, whoever has the partition."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        names = ["partition", "tenant", "what"]
        self.signals = Gauge(
            "aiops_signals", "Lines and spans taken in, points made of them, and what was left out", names, registry=registry
        )
        self.points = Counter("aiops_signal_points_total", "Points of series appended to telemetry", registry=registry)
        self.letters = Counter("aiops_signal_letters_total", "Entries that could not be read", registry=registry)
        self.state_lost = Counter("aiops_signal_state_lost_total", "Starts without a usable checkpoint", registry=registry)
        self.lag_entries = Gauge("aiops_signal_entries", "Entries on the broker", ["stream"], registry=registry)
        self.lag_s = Gauge("aiops_signal_lag_seconds", "Age of the newest committed entry", ["partition"], registry=registry)
        self.checkpoint_bytes = Gauge(
            "aiops_signal_checkpoint_bytes", "Size of the newest checkpoint", ["partition"], registry=registry
        )
        self.commit_s = Histogram("aiops_signal_commit_seconds", "One append or commit", registry=registry, buckets=_SECONDS)
        self.end_to_end_s = Histogram(
            "aiops_signal_end_to_end_seconds", "Entries: appended to committed", registry=registry, buckets=_SECONDS
        )
        memory = Gauge("aiops_signal_resident_bytes", "Resident memory", registry=registry)
        memory.set_function(resident_bytes)
        self._beat_at: dict[str, float] = {}
        self._named: dict[int, list[tuple[str, str]]] = {}

    def show(self, partition: int, counts: Mapping[str, Mapping[str, int]]) -> None:
        """Show what came of each tenant of a partition; nothing of those that are no longer there."""
        self._remove(partition)
        self._named[partition] = [(tenant or _UNKNOWN, what) for tenant, own in counts.items() for what in own]
        for tenant, own in counts.items():
            for what, total in own.items():
                self.signals.labels(str(partition), tenant or _UNKNOWN, what).set(total)

    def forget(self, partition: int, stream: str) -> None:
        """Show nothing more of a partition that another process has."""
        self._remove(partition)
        for gauge, name in ((self.lag_entries, stream), (self.lag_s, str(partition)), (self.checkpoint_bytes, str(partition))):
            with suppress(KeyError):
                gauge.remove(name)

    def _remove(self, partition: int) -> None:
        for tenant, what in self._named.pop(partition, []):
            self.signals.remove(str(partition), tenant, what)

    def beat(self, loop: str) -> None:
        """Note that a loop is alive."""
        self._beat_at[loop] = time.monotonic()

    def stalled(self) -> Sequence[str]:
        """Return the loops that did not beat for a minute."""
        now = time.monotonic()
        return [loop for loop, at in self._beat_at.items() if now - at > _STALLED_S]


class SignalPages(ProbeServer):
    """`/metrics`, `/livez` (the loop beats) and `/readyz` (it runs)."""

    def __init__(self, metrics: SignalMetrics, host: str, port: int, ready: Callable[[], bool], site: SiteRules) -> None:
        def alive() -> Page:
            stalled = metrics.stalled()
            return Page(503, f"stalled: {', '.join(stalled)}\n".encode()) if stalled else Page(200, b"ok\n")

        pages = {
            "/metrics": lambda: Page(200, generate_latest(metrics.registry)),
            "/livez": alive,
            "/readyz": lambda: Page(200, b"ok\n") if ready() else Page(503, b"starting\n"),
        }
        super().__init__(pages, host, port, site)
