"""The application: pages, the session, and the APIs, behind one gate."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx
from prometheus_client import CollectorRegistry
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.console.bundle import Bundle
from serving.console.forwarding import Forwarder, ForwardLimits, Upstream
from serving.console.probe_routes import ProbeRoutes
from serving.console.session_routes import SessionRoutes
from serving.console.sessions import Sessions
from serving.http.answer_metrics import AnswerMetrics
from serving.http.cross_site import SiteRules
from serving.http.problem import ProblemError, no_such_path
from serving.http.request_gate import Gate, GateRules

STREAMS: Final = frozenset({"/api/incidents/events"})
"""Calls that stay open."""
_API: Final = "/api/"
_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_MOST_AT_ONCE: Final = 256
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class ConsoleParts:
    """Everything behind the routes; `upstreams` by the name that stands in a path after /api/."""

    bundle: Bundle
    sessions: Sessions
    client: httpx.AsyncClient
    upstreams: Mapping[str, Upstream]
    registry: CollectorRegistry
    site: SiteRules = field(default_factory=SiteRules)
    limits: ForwardLimits = field(default_factory=ForwardLimits)


@dataclass(frozen=True, slots=True)
class RouteName:
    """What metrics call a route."""

    path: str


class Routes:
    """Finds what answers a path."""

    def __init__(self, parts: ConsoleParts) -> None:
        self._bundle = parts.bundle
        self._forwarder = Forwarder(parts.client, parts.upstreams, parts.sessions, parts.limits)
        session, probes = SessionRoutes(parts.sessions), ProbeRoutes(parts.bundle, parts.sessions.auth, parts.registry)
        self._fixed: Mapping[str, Mapping[str, Endpoint]] = {
            "/session": {"GET": session.shown, "POST": session.opened, "DELETE": session.ended},
            "/livez": {"GET": probes.alive},
            "/healthz": {"GET": probes.alive},
            "/readyz": {"GET": probes.readiness},
            "/metrics": {"GET": probes.metrics},
        }

    def methods(self, path: str) -> frozenset[str]:
        """Return the methods of a path; none for one that there is not."""
        if path in self._fixed:
            return frozenset(self._fixed[path])
        if path.startswith(_API):
            return _METHODS if self._forwarder.knows(_api_name(path)) else frozenset()
        return frozenset({"GET"}) if self._bundle.holds(path) else frozenset()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request that has passed the gate."""
        response = await self._answer(Request(scope, receive), scope)
        await response(scope, receive, send)

    async def _answer(self, request: Request, scope: Scope) -> Response:
        path: str = scope["path"]
        if not self.methods(path):
            raise ProblemError(no_such_path(path))
        if path in self._fixed:
            scope["route"] = RouteName(path)
            return await self._fixed[path][request.method](request)
        if path.startswith(_API):
            name = _api_name(path)
            scope["route"] = RouteName(f"{_API}{name}")
            return await self._forwarder.forwarded(request, name)
        scope["route"] = RouteName("page")
        return self._bundle.answer(path, request.headers)


def create_app(parts: ConsoleParts) -> ASGIApp:
    """Return the application. It has no threads of its own."""
    routes = Routes(parts)
    metrics = AnswerMetrics(parts.registry, "aiops_console", STREAMS)
    rules = GateRules(lambda: parts.site, routes.methods, metrics, STREAMS, _MOST_AT_ONCE)
    return Gate(routes, rules)


def _api_name(path: str) -> str:
    return path.removeprefix(_API).partition("/")[0]
