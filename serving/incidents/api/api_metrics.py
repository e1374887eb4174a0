"""What the incident API counts about itself."""

from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import Scope

STREAMS: Final = frozenset({"/events"})
"""Calls that stay open: they have a limit of their own."""
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class ApiMetrics:
    """Counts answers by route and status; observer of the gate."""

    def __init__(self, registry: CollectorRegistry, watchers: Callable[[], float]) -> None:
        names = ["method", "route", "code"]
        self.requests = Counter("aiops_incident_api_requests", "Answered calls", names, registry=registry)
        self.seconds = Histogram(
            "aiops_incident_api_seconds", "Time to answer a call", ["method", "route"], buckets=_SECONDS, registry=registry
        )
        Gauge("aiops_incident_api_watchers", "Live streams that are open", registry=registry).set_function(watchers)

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer."""
        route = str(getattr(scope.get("route"), "path", "other"))
        method = scope["method"] if route != "other" else "other"
        self.requests.labels(method, route, str(status)).inc()
        if scope["path"] not in STREAMS:
            self.seconds.labels(method, route).observe(seconds)
