"""What the receivers count: points by protocol and outcome, refusals by reason, requests, series, appends."""

import contextlib
import resource
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import Scope

from serving.http.request_tenant import TenantScope
from serving.http.tenant_metrics import OfTenants
from serving.ingest.receive.receipts import REASONS, Receipt

if TYPE_CHECKING:
    from serving.ingest.receive.signals.signal_outcome import SignalOutcome

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
WRITE = "/api/v1/write"
METRICS, LOGS, TRACES = "/v1/metrics", "/v1/logs", "/v1/traces"
LINES, LOKI = "/v1/logs/lines", "/loki/api/v1/push"
_COUNTED = frozenset({WRITE, METRICS, LOGS, TRACES, LINES, LOKI})
_OUTCOMES: Final = ("written", "repeated", "other_replica", "own_findings", "refused")


class IngestMetrics:
    """Self-metrics of the receivers, in a registry of their own; observer of the gate."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry = registry or CollectorRegistry()
        self._requests = Counter(
            "aiops_ingest_requests_total", "Requests by path and status", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "aiops_ingest_request_seconds", "Arrived to answered", ["path"], registry=registry, buckets=_SECONDS
        )
        self._points = Counter(
            "aiops_ingest_points_total", "Points and histograms by outcome", ["protocol", "outcome"], registry=registry
        )
        self._tenant_points = Counter(
            "aiops_ingest_tenant_points_total",
            "Points and histograms of tenants by outcome",
            ["tenant", "outcome"],
            registry=registry,
        )
        self._exemplars = Counter("aiops_ingest_exemplars_total", "Exemplars by outcome", ["outcome"], registry=registry)
        self._records = Counter(
            "aiops_ingest_records_total", "Logs and spans by outcome", ["signal", "outcome"], registry=registry
        )
        self._masked = Counter(
            "aiops_ingest_masked_texts_total",
            "Texts of logs and spans by the rule that masked them",
            ["signal", "rule"],
            registry=registry,
        )
        self._refused = Counter("aiops_ingest_refused_total", "What was refused by reason", ["reason"], registry=registry)
        self.malformed = Counter("aiops_ingest_malformed_total", "Bodies that could not be read", ["protocol"], registry=registry)
        self.defined = Counter("aiops_ingest_series_defined_total", "Series seen for the first time", registry=registry)
        self.pressed = Counter("aiops_ingest_pressed_total", "Requests sent away by cause", ["cause"], registry=registry)
        self.series = Gauge("aiops_ingest_series", "Active series", ["tenant"], registry=registry)
        self.appends = Gauge("aiops_ingest_appends", "Group commits since the start", registry=registry)
        self.ready = Gauge("aiops_ingest_ready", "1 = the broker answers", registry=registry)
        memory = Gauge("aiops_ingest_resident_peak_bytes", "Largest resident memory so far", registry=registry)
        memory.set_function(lambda: 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        Gauge("aiops_ingest_started_seconds", "When the process began, since 1970", registry=registry).set(time.time())

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer."""
        path = scope["path"] if scope["path"] in _COUNTED else "other"
        self._requests.labels(path, str(status)).inc()
        if path != "other":
            self._seconds.labels(path).observe(seconds)

    def answered_grpc(self, path: str, code: str, seconds: float) -> None:
        """Count one answer of gRPC under the path of HTTP that stands for it."""
        self._requests.labels(path, code).inc()
        self._seconds.labels(path).observe(seconds)

    def took(self, tenant: str, protocol: str, receipt: Receipt) -> None:
        """Count what became of a body."""
        written = receipt.samples + receipt.histograms
        counts = (
            written - receipt.repeated - receipt.other_replica - receipt.own_findings,
            receipt.repeated,
            receipt.other_replica,
            receipt.own_findings,
            receipt.refused_points,
        )
        for outcome, count in zip(_OUTCOMES, counts, strict=True):
            if count:
                self._points.labels(protocol, outcome).inc(count)
                self._tenant_points.labels(tenant, outcome).inc(count)
        for refusal in receipt.refusals.values():
            self._refused.labels(REASONS[refusal.reason]).inc(max(1, refusal.total))
        self._exemplars.labels("written").inc(receipt.exemplars)
        self._exemplars.labels("refused").inc(sum(refusal.exemplars for refusal in receipt.refusals.values()))
        self.defined.inc(receipt.defined)

    def forget(self, tenant: str) -> None:
        """Say nothing more of a tenant."""
        for metric, labels in ((self.series, ()), *((self._tenant_points, (outcome,)) for outcome in _OUTCOMES)):
            with contextlib.suppress(KeyError):  # nothing was said of it
                metric.remove(tenant, *labels)

    def took_records(self, signal: str, outcome: "SignalOutcome") -> None:
        """Count logs or spans, and what was masked in them."""
        self._records.labels(signal, "written").inc(outcome.accepted)
        self._records.labels(signal, "refused").inc(outcome.rejected)
        for rule, texts in outcome.masked.items():
            self._masked.labels(signal, rule).inc(texts)

    def page(self, series: Mapping[str, int], scope: TenantScope) -> bytes:
        """Return as text what a caller may see; `series` are active, by tenant."""
        for tenant, count in series.items():
            self.series.labels(tenant).set(count)
        return generate_latest(OfTenants(self.registry, scope))
