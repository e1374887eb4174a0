"""What the service counts about itself, for /metrics.

With several workers prometheus_client keeps every worker's values in files that BentoML's /metrics adds up; so these
metrics need no registry of their own there, and one of their own only where several services live in one process (tests).
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from aiops.types import ReadStatistics

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ViewMetrics:
    """What reads of the online feature views met: missing, stale, and how fresh they are."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._missing = Counter("aiops_feature_view_missing", "Entities a view does not hold", ["view"], registry=registry)
        self._stale = Counter("aiops_feature_view_stale", "Entities whose row is past its TTL", ["view"], registry=registry)
        self._freshness = Gauge(
            "aiops_feature_view_freshness_seconds",
            "Age of the newest row of a view in the last read",
            ["view"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._noted: dict[tuple[str, str], int] = {}

    def note(self, statistics: ReadStatistics) -> None:
        """Bring the counters up to `statistics`, which only grow."""
        for kind, counter, totals in (
            ("missing", self._missing, statistics.missing_total),
            ("stale", self._stale, statistics.stale_total),
        ):
            for view, total in totals.items():
                counter.labels(view).inc(max(0, total - self._noted.get((kind, view), 0)))
                self._noted[kind, view] = total
        for view, age_s in statistics.freshness_s.items():
            self._freshness.labels(view).set(age_s)


class ScoringMetrics:
    """Counters, latencies and versions; also the observer of model swaps."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter("aiops_scoring_requests", "Answered calls", ["transport", "endpoint", "code"], registry=registry)
        self.rows = Counter("aiops_scoring_rows", "Rows scored", ["model", "role"], registry=registry)
        self.seconds = Histogram(
            "aiops_scoring_seconds", "Time to answer a call", ["transport", "endpoint"], buckets=_SECONDS, registry=registry
        )
        self.model_info = Gauge(
            "aiops_scoring_model_info",
            "1 = this version is loaded",
            ["model", "alias", "version"],
            registry=registry,
            multiprocess_mode="livemax",
        )
        self.swaps = Counter("aiops_scoring_model_swaps", "Models swapped in", ["model", "alias"], registry=registry)
        self.swap_failures = Counter(
            "aiops_scoring_model_swap_failures", "Versions refused or lookups failed", ["model", "alias"], registry=registry
        )
        self.served_rows = Counter("aiops_scoring_served_log_rows", "Served rows written to the lake", registry=registry)
        self.served_dropped = Counter(
            "aiops_scoring_served_log_dropped_rows", "Served rows dropped because the queue was full", registry=registry
        )
        self.served_failures = Counter(
            "aiops_scoring_served_log_failures", "Writes of the served log that failed and are tried again", registry=registry
        )
        self.unknown_features = Counter(
            "aiops_scoring_unknown_online_features", "Looked-up feature values that were missing or stale", registry=registry
        )
        self.season_unknown = Counter("aiops_season_unknown_rows", "Points without a seasonal verdict", registry=registry)
        self.root_causes = Counter("aiops_root_causes", "Incidents explained", ["outcome"], registry=registry)
        self.views = ViewMetrics(registry)
        self.shadow_skipped = Counter(
            "aiops_scoring_shadow_skipped_rows", "Rows not scored in shadow because shadow scoring lagged", registry=registry
        )

    def swapped(self, name: str, alias: str, old: str | None, new: str | None) -> None:
        """Count a swap and show the new version alone."""
        self.swaps.labels(name, alias).inc()
        if old is not None:
            self.model_info.labels(name, alias, old).set(0)
        if new is not None:
            self.model_info.labels(name, alias, new).set(1)

    def swap_failed(self, name: str, alias: str) -> None:
        """Count a refused version."""
        self.swap_failures.labels(name, alias).inc()

    def written(self, rows: int) -> None:
        """Count served rows that reached the lake."""
        self.served_rows.inc(rows)

    def dropped(self, rows: int) -> None:
        """Count served rows that were dropped."""
        self.served_dropped.inc(rows)

    def failed(self) -> None:
        """Count a write of the served log that failed."""
        self.served_failures.inc()
