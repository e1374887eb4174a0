"""Self-metrics of the responder; labels come from fixed sets, so there are as many series however many incidents."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serving.responder.desk import Step
from serving.responder.inputs import Batch

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_OTHER: Final = "other"
_MOST_SOURCES: Final = 20


class ResponderMetrics:
    """Everything the responder says about itself. Counters are this process's; the exact totals lie in the store."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._alerts = Counter("aiops_alerts_total", "New alerts by source", ["source"], registry=registry)
        self._duplicates = Counter("aiops_alerts_duplicate_total", "Alerts that had been taken before", registry=registry)
        self._below = Counter("aiops_alerts_below_threshold_total", "Detections below their series' threshold", registry=registry)
        self._fates = Counter("aiops_alert_fates_total", "What became of alerts", ["reason"], registry=registry)
        self._settling = Gauge("aiops_alerts_settling", "Alerts that wait for earlier ones", registry=registry)
        self._late = Gauge("aiops_alerts_late", "Alerts that came after their time had settled", registry=registry)
        self._open = Gauge("aiops_incidents_open", "Incidents that are not closed", registry=registry)
        self._storm = Gauge("aiops_storm_active", "1 while the storm breaker is on", registry=registry)
        self._rate = Gauge("aiops_alerts_last_minute", "Alerts of the last minute", registry=registry)
        self._pages = Counter("aiops_pages_total", "Pages sent", ["severity"], registry=registry)
        self._held = Gauge("aiops_pages_held_back", "Incidents whose page waits", registry=registry)
        self._snapshot = Gauge("aiops_desk_snapshot_bytes", "Size of the last saved state", registry=registry)
        self.step_s = Histogram("aiops_desk_step_seconds", "One step of the desk", registry=registry, buckets=_SECONDS)
        self.behind_s = Gauge("aiops_responder_lag_seconds", "Part of a stream not read yet", ["stream"], registry=registry)
        self._unreadable = Counter("aiops_responder_unreadable_total", "Entries without readable rows", registry=registry)
        self.gaps = Counter("aiops_responder_gaps_total", "Streams trimmed before they were read", registry=registry)
        self.up = Gauge("aiops_responder_up", "1 while it answers", ["part"], registry=registry)
        self.analysis_s = Histogram("aiops_rca_seconds", "One root cause analysis", registry=registry, buckets=_SECONDS)
        self.analyses = Counter("aiops_rca_total", "Root cause analyses", ["outcome"], registry=registry)
        self.waiting = Gauge("aiops_rca_waiting", "Incidents that are to be explained now", registry=registry)
        self._sources: set[str] = set()

    def read(self, batch: Batch) -> None:
        """Count what was read."""
        self._below.inc(batch.below_threshold)
        self._unreadable.inc(batch.unreadable)

    def stepped(self, step: Step) -> None:
        """Count what a step did."""
        outcome = step.outcome
        for source, count in step.taken.items():
            self._alerts.labels(self._source(source)).inc(count)
        self._duplicates.inc(step.duplicates)
        for fate in outcome.fates:
            self._fates.labels(str(fate.kind)).inc()
        for page in outcome.pages:
            self._pages.labels(page.severity.name.lower()).inc()
        self._late.set(outcome.late)
        self._settling.set(step.settling)
        self._open.set(len(step.open_ids))
        self._storm.set(outcome.storm.active)
        self._rate.set(outcome.storm.per_minute)
        self._held.set(len(outcome.held_back))
        if step.snapshot_bytes:
            self._snapshot.set(step.snapshot_bytes)

    def _source(self, source: str) -> str:
        """Return the label of a source: its name, while there are not too many of them."""
        if len(self._sources) < _MOST_SOURCES:
            self._sources.add(source)
        return source if source in self._sources else _OTHER
