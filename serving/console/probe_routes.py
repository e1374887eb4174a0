"""Probes and metrics of the console."""

from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from serving.console.bundle import Bundle
from serving.console.console_request import authorization_of, is_local
from serving.http.auth import Authenticator, Role
from serving.http.content import JSON

_METRICS: Final = "text/plain; version=0.0.4; charset=utf-8"


class ProbeRoutes:
    """Says whether the process lives and has its pages, and what it counts.

    What stands behind it has probes of its own: a console that is not there can say nothing of who does not answer.
    """

    def __init__(self, bundle: Bundle, auth: Authenticator, registry: CollectorRegistry) -> None:
        self._bundle = bundle
        self._auth = auth
        self._registry = registry

    async def alive(self, _: Request) -> Response:
        """Always the same word."""
        return Response("alive", media_type="text/plain")

    async def readiness(self, _: Request) -> Response:
        """Each part says how it is."""
        fault = self._bundle.fault
        body = msgspec.json.encode({"ready": not fault, "parts": {"bundle": fault or "ok"}})
        return Response(body, 503 if fault else 200, media_type=JSON)

    async def metrics(self, request: Request) -> Response:
        """Text exposition format."""
        self._auth.check(authorization_of(request), Role.VIEWER, is_local(request))
        return Response(generate_latest(self._registry), media_type=_METRICS)
