"""Self-metrics of the responder; labels come from fixed sets and tenants, so there are as many series however many incidents."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from data_contracts.series.tenant import DEFAULT_TENANT
from serving.incidents.desk.desk import Step
from serving.incidents.desk.stream_inputs import Batch

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_OTHER: Final = "other"
_MOST_SOURCES: Final = 20


class MetricFamilies:
    """Everything that is counted, each by tenant. Counters are this process's; the exact totals lie in the store."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        of = ["tenant"]
        self.alerts = Counter("aiops_alerts_total", "New alerts by source", [*of, "source"], registry=registry)
        self.duplicates = Counter("aiops_alerts_duplicate_total", "Alerts that had been taken before", of, registry=registry)
        about = "Detections below their series' threshold"
        self.below = Counter("aiops_alerts_below_threshold_total", about, of, registry=registry)
        self.fates = Counter("aiops_alert_fates_total", "What became of alerts", [*of, "reason"], registry=registry)
        self.settling = Gauge("aiops_alerts_settling", "Alerts that wait for earlier ones", of, registry=registry)
        self.late = Gauge("aiops_alerts_late", "Alerts that came after their time had settled", of, registry=registry)
        self.open = Gauge("aiops_incidents_open", "Incidents that are not closed", of, registry=registry)
        self.storm = Gauge("aiops_storm_active", "1 while the storm breaker is on", of, registry=registry)
        self.rate = Gauge("aiops_alerts_last_minute", "Alerts of the last minute", of, registry=registry)
        self.pages = Counter("aiops_pages_total", "Pages sent", [*of, "severity"], registry=registry)
        self.held = Gauge("aiops_pages_held_back", "Incidents whose page waits", of, registry=registry)
        self.snapshot = Gauge("aiops_desk_snapshot_bytes", "Size of the last saved state", of, registry=registry)
        self.step_s = Histogram(
            "aiops_desk_step_seconds", "One step of the correlation of a tenant (its desk)", registry=registry, buckets=_SECONDS
        )
        about = "Part of a stream not read yet"
        self.behind_s = Gauge("aiops_responder_lag_seconds", about, [*of, "stream"], registry=registry)
        self.unreadable = Counter("aiops_responder_unreadable_total", "Entries without readable rows", of, registry=registry)
        self.gaps = Counter("aiops_responder_gaps_total", "Streams trimmed before they were read", of, registry=registry)
        self.up = Gauge("aiops_responder_up", "1 while it answers", [*of, "part"], registry=registry)
        self.tenants = Gauge("aiops_responder_tenants", "Tenants that the responder serves now", registry=registry)
        self.refused = Gauge(
            "aiops_responder_tenants_refused", "Tenants that the responder does not serve: there are too many", registry=registry
        )
        self.analysis_s = Histogram("aiops_rca_seconds", "One root cause analysis", registry=registry, buckets=_SECONDS)
        self.analyses = Counter("aiops_rca_total", "Root cause analyses", [*of, "outcome"], registry=registry)
        self.waiting = Gauge("aiops_rca_waiting", "Incidents that are to be explained now", of, registry=registry)


class ResponderMetrics:
    """What is counted of one tenant."""

    def __init__(self, families: MetricFamilies | None = None, tenant: str = DEFAULT_TENANT) -> None:
        self._families = families or MetricFamilies()
        self._tenant = tenant
        self.registry = self._families.registry
        self.step_s = self._families.step_s
        self.analysis_s = self._families.analysis_s
        self._sources: set[str] = set()

    def read(self, batch: Batch) -> None:
        """Count what was read."""
        self._families.below.labels(self._tenant).inc(batch.below_threshold)
        self._families.unreadable.labels(self._tenant).inc(batch.unreadable)

    def stepped(self, step: Step) -> None:
        """Count what a step did."""
        outcome, tenant, families = step.outcome, self._tenant, self._families
        for source, count in step.taken.items():
            families.alerts.labels(tenant, self._source(source)).inc(count)
        families.duplicates.labels(tenant).inc(step.duplicates)
        for fate in outcome.fates:
            families.fates.labels(tenant, str(fate.kind)).inc()
        for page in outcome.pages:
            families.pages.labels(tenant, page.severity.name.lower()).inc()
        families.late.labels(tenant).set(outcome.late)
        families.settling.labels(tenant).set(step.settling)
        families.open.labels(tenant).set(len(step.open_ids))
        families.storm.labels(tenant).set(outcome.storm.active)
        families.rate.labels(tenant).set(outcome.storm.per_minute)
        families.held.labels(tenant).set(len(outcome.held_back))
        if step.snapshot_bytes:
            families.snapshot.labels(tenant).set(step.snapshot_bytes)

    def behind(self, stream: str, seconds: float) -> None:
        """Note how much of a stream is not read yet."""
        self._families.behind_s.labels(self._tenant, stream).set(seconds)

    def gap(self) -> None:
        """Count a stream that was trimmed before it was read."""
        self._families.gaps.labels(self._tenant).inc()

    def answers(self, part: str, up: bool) -> None:
        """Note whether a part answers."""
        self._families.up.labels(self._tenant, part).set(up)

    def explained(self, outcome: str) -> None:
        """Count an analysis by what came of it."""
        self._families.analyses.labels(self._tenant, outcome).inc()

    def to_explain(self, count: int) -> None:
        """Note how many incidents are to be explained."""
        self._families.waiting.labels(self._tenant).set(count)

    def _source(self, source: str) -> str:
        """Return the label of a source: its name, while there are not too many of them."""
        if len(self._sources) < _MOST_SOURCES:
            self._sources.add(source)
        return source if source in self._sources else _OTHER
