"""Stands before everything the service answers: request ids, who may call what, readiness, problems instead of plain 404s."""

import re
from typing import Final

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.bento.http_app import REQUEST_ID_KEY, RuntimeHolder, problem_response
from serving.bento.root_cause import ROOT_CAUSE
from serving.bento.runtime import Readiness
from serving.bento.scoring import endpoints
from serving.bento.season import SEASON
from serving.http.auth import Role, is_local_peer
from serving.http.problem import Problem, ProblemError
from serving.http.request_id import request_id_from

PROBES: Final = frozenset({"/livez", "/healthz", "/readyz"})
"""Answered without a token: they say nothing but states and versions."""
_CREDENTIALS: Final = re.compile(r"//[^/@\s]+@")


def roles() -> dict[str, Role]:
    """Return the role that each path needs; every other path (metrics, OpenAPI) needs a viewer."""
    return {endpoint.path: endpoint.role for endpoint in (*endpoints(), SEASON, ROOT_CAUSE)}


class HttpGate:
    """ASGI middleware of the BentoML service."""

    def __init__(self, app: ASGIApp, holder: RuntimeHolder) -> None:
        self._app = app
        self._holder = holder
        self._roles = roles()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer probes and refusals; pass everything else on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = request_id_from(headers.get("x-request-id"))
        scope[REQUEST_ID_KEY] = request_id
        path = scope["path"]
        try:
            if path == "/readyz":
                await readiness_response(self._holder.get().readiness())(scope, receive, send)
                return
            if path not in PROBES:
                needed = self._roles.get(path, Role.VIEWER)
                self._holder.get().auth.check(headers.get("authorization"), needed, is_local_peer(scope.get("client")))
        except ProblemError as error:
            self._count(path, error.problem.status)
            await problem_response(error.problem, request_id)(scope, receive, send)
            return
        if path in self._roles:
            await self._app(scope, receive, send)
        else:
            await self._pass(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        missing = False

        async def watched(message: Message) -> None:
            nonlocal missing
            if message["type"] == "http.response.start" and message["status"] == 404:
                missing = True
            if not missing:
                await send(message)

        await self._app(scope, receive, watched)
        if missing:
            detail = "no such path. The paths are listed at /docs.json."
            problem = Problem(404, "path", detail, "path", scope["path"][:100], "", "see /docs.json")
            await problem_response(problem, scope[REQUEST_ID_KEY])(scope, receive, send)

    def _count(self, path: str, status: int) -> None:
        if self._holder.runtime is not None:
            endpoint = path if path in self._roles else "other"
            self._holder.runtime.metrics.requests.labels("http", endpoint, str(status)).inc()


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
    return Response(body, 200 if readiness.ready else 503, media_type="application/json")
