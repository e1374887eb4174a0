"""Probes, metrics and the description of the API."""

from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from serving.http.auth import Role
from serving.http.guarded_route import By
from serving.http.operations import Operation, answer
from serving.http.tenant_metrics import OfTenants
from serving.incidents.api.ports import ApiReadiness

_TEXT = "text/plain"
_METRICS = "text/plain; version=0.0.4; charset=utf-8"


class Probes:
    """Says whether the process lives and is ready, what it counts, and what it can do."""

    def __init__(
        self,
        ready: Callable[[], ApiReadiness],
        registry: CollectorRegistry,
        description: Callable[[], dict[str, Any]],
        about_ready: str = "The store answers and alerts are correlated (else 503)",
    ) -> None:
        self._ready = ready
        self._registry = registry
        self._description = description
        self._about_ready = about_ready

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        return (
            Operation("GET", "/livez", self.alive, None, "The process runs", media=_TEXT),
            Operation("GET", "/readyz", self.readiness, None, self._about_ready, ApiReadiness),
            Operation("GET", "/metrics", self.metrics, Role.VIEWER, "Prometheus metrics", media=_TEXT),
            Operation("GET", "/docs.json", self.docs, Role.VIEWER, "This description, OpenAPI 3.1", dict[str, Any]),
        )

    async def alive(self) -> Response:
        """Always the same word."""
        return Response("alive", media_type=_TEXT)

    async def readiness(self) -> Response:
        """Each part says how it is."""
        ready = await run_in_threadpool(self._ready)
        return answer(ready, 200 if ready.ready else 503)

    def metrics(self, by: By) -> Response:
        """Text exposition format; of the series with a tenant those of the caller's tenants."""
        return Response(generate_latest(OfTenants(self._registry, by.tenants)), media_type=_METRICS)

    async def docs(self) -> Response:
        """Routes, roles, parameters, answers and refusals."""
        return answer(self._description())
