"""Who may call what of the scoring service, and for whom; probes, the description and the start page.

Only the paths below are answered: BentoML's own pages load scripts of third parties, so they are not served.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Final

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.http.auth import Role
from serving.http.content import JSON
from serving.http.cross_site import SiteRules
from serving.http.loopback import is_local_peer
from serving.http.problem import ProblemError, no_such_path
from serving.http.request_gate import GateRules
from serving.http.request_tenant import FIELD as TENANT_FIELD
from serving.http.request_tenant import tenant_of_request
from serving.scoring.answers.root_cause_answers import ROOT_CAUSE
from serving.scoring.answers.scoring import endpoints
from serving.scoring.answers.season_answers import SEASON
from serving.scoring.http_api.runtime_holder import RuntimeHolder
from serving.scoring.http_api.scoring_openapi import openapi_json
from serving.scoring.runtime import Readiness

TENANT: Final = "aiops.tenant"
"""Where a scope holds the request's tenant."""
PROBES: Final = frozenset({"/livez", "/healthz", "/readyz"})
"""Answered without a token: they say nothing but states and versions."""
PAGES: Final = frozenset({"/", "/docs.json", "/openapi.json"})
_GET: Final = frozenset({"GET"})
_POST: Final = frozenset({"POST"})
_CREDENTIALS: Final = re.compile(r"//[^/@\s]+@")
_START_PAGE: Final = """<!doctype html><html lang="en"><title>AIOps scoring</title><h1>AIOps scoring</h1>
<p>Every call is described by <a href="docs.json">OpenAPI 3.1</a>; the same calls go over gRPC. <a href="metrics">Metrics</a>.</p>
"""


@cache
def roles() -> Mapping[str, Role]:
    """Return the role that each path needs; every other path (metrics, OpenAPI) needs a viewer."""
    return {endpoint.path: endpoint.role for endpoint in (*endpoints(), SEASON, ROOT_CAUSE)}


def methods(path: str) -> frozenset[str]:
    """Return the methods that a path takes; none = there is no such path."""
    if path in roles():
        return _POST
    return _GET if path in PROBES or path in PAGES or path == "/metrics" else frozenset()


class CallCounts:
    """Counts answers by endpoint and status; observer of the gate."""

    def __init__(self, holder: RuntimeHolder) -> None:
        self._holder = holder

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer; before there is a runtime nobody counts."""
        if self._holder.runtime is None or scope["path"] in PROBES:
            return
        metrics = self._holder.runtime.metrics
        endpoint = scope["path"] if scope["path"] in roles() else "other"
        metrics.requests.labels("http", endpoint, str(status)).inc()
        if endpoint != "other":
            metrics.seconds.labels("http", endpoint).observe(seconds)


def gate_rules(holder: RuntimeHolder) -> GateRules:
    """Return the rules of the gate before the service."""

    def site() -> SiteRules:
        return holder.get().site

    return GateRules(site, methods, CallCounts(holder))


class Access:
    """ASGI middleware behind the gate: checks the token and the tenant; answers what needs no model."""

    def __init__(self, app: ASGIApp, holder: RuntimeHolder) -> None:
        self._app = app
        self._holder = holder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is allowed.

        Raises:
            ProblemError: 401 and 403 (token), 400 and 403 (tenant), 404, 503 (starting).
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path, runtime = scope["path"], self._holder.get()
        if path == "/readyz":
            await readiness_response(runtime.readiness())(scope, receive, send)
            return
        if path not in PROBES:
            headers = Headers(scope=scope)
            needed = roles().get(path, Role.VIEWER)
            caller = runtime.auth.check(headers.get("authorization"), needed, is_local_peer(scope.get("client")))
            scope[TENANT] = tenant_of_request(headers.getlist(TENANT_FIELD), caller.tenants)
        if path in PAGES:
            await _page(path)(scope, receive, send)
        elif methods(path):
            await self._app(scope, receive, send)
        else:
            raise ProblemError(no_such_path(path))


def _page(path: str) -> Response:
    return Response(_START_PAGE, media_type="text/html") if path == "/" else Response(openapi_json(), media_type=JSON)


def readiness_response(readiness: Readiness) -> Response:
    """Return 200 or 503 with what every model slot says; credentials inside URLs are cut out of messages."""
    slots = [
        {
            "model": slot.name,
            "alias": slot.alias,
            "version": slot.version,
            "swaps": slot.swaps,
            "failures": slot.failures,
            "refused_version": slot.refused_version,
            "error": _CREDENTIALS.sub("//…@", slot.error),
        }
        for slot in readiness.slots
    ]
    body = orjson.dumps({"ready": readiness.ready, "models": slots})
    return Response(body, 200 if readiness.ready else 503, media_type=JSON)
