"""What an API counts about its answers."""

from collections.abc import Collection
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import Scope

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class AnswerMetrics:
    """Counts answers by route and status under names that begin with `prefix`; observer of the gate.

    `streams`: paths of calls that stay open, whose length says nothing.
    """

    def __init__(self, registry: CollectorRegistry, prefix: str, streams: Collection[str] = ()) -> None:
        names = ["method", "route", "code"]
        self._streams = streams
        self.requests = Counter(f"{prefix}_requests", "Answered calls", names, registry=registry)
        self.seconds = Histogram(f"{prefix}_seconds", "Time to answer a call", names[:2], buckets=_SECONDS, registry=registry)

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer."""
        route = str(getattr(scope.get("route"), "path", "other"))
        method = scope["method"] if route != "other" else "other"
        self.requests.labels(method, route, str(status)).inc()
        if scope["path"] not in self._streams:
            self.seconds.labels(method, route).observe(seconds)
