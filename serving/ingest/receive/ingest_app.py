"""The HTTP application of the receivers: paths behind the gate that every API has; probes and metrics beside them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.auth import Authenticator, Caller, Role
from serving.http.cross_site import SiteRules
from serving.http.default_headers import with_defaults
from serving.http.loopback import is_local_peer
from serving.http.problem import ProblemError, no_such_path
from serving.http.request_gate import Gate, GateRules
from serving.http.request_tenant import FIELD as TENANT_FIELD
from serving.http.request_tenant import tenant_of_request
from serving.ingest.receive.body_encoding import encoding_of, read_body
from serving.ingest.receive.ingest_metrics import LINES, LOGS, LOKI, METRICS, TRACES, WRITE, IngestMetrics
from serving.ingest.receive.ingest_openapi import ingest_api
from serving.ingest.receive.line_endpoint import LineEndpoint, line_request, problem_of
from serving.ingest.receive.loki_endpoint import COMPRESSED, LokiEndpoint, push_encoding
from serving.ingest.receive.otlp_endpoint import OtlpIntake, OtlpRefusal, answer_of, form_of, refusal_of, refusing
from serving.ingest.receive.receivers import Receivers
from serving.ingest.receive.remote_write_endpoint import NOTHING_WRITTEN, RemoteWriteEndpoint, message_of
from serving.ingest.receive.wire.decoded import MalformedBody

SIGNALS: Final = {METRICS: "metrics", LOGS: "logs", TRACES: "traces"}
_READY: Final = frozenset({"/readyz", "/ready"})
"""The second is Loki's: senders of lines ask it before they send."""

_PROBES: Final = frozenset({"/livez", "/healthz"}) | _READY
_PAGES: Final = frozenset({"/metrics", "/docs.json"})
_POST: Final = frozenset({"POST"})
_GET: Final = frozenset({"GET"})
_NOTHING_WRITTEN: Final = tuple((name.encode(), count.encode()) for name, count in NOTHING_WRITTEN.items())
_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class IngestParts:
    """What the application stands on. `ready` says why the receivers cannot take anything now, "" = they can."""

    receivers: Receivers
    remote_write: RemoteWriteEndpoint
    otlp: OtlpIntake
    lines: LineEndpoint
    loki: LokiEndpoint
    auth: Authenticator
    site: SiteRules
    metrics: IngestMetrics
    ready: Callable[[], Awaitable[str]]
    concurrency: int = 64


def methods(path: str) -> frozenset[str]:
    """Return the methods of a path; none = there is no such path."""
    if path in (WRITE, LINES, LOKI) or path in SIGNALS:
        return _POST
    return _GET if path in _PROBES or path in _PAGES else frozenset()


def ingest_app(parts: IngestParts) -> ASGIApp:
    """Return the application."""
    rules = GateRules(lambda: parts.site, methods, parts.metrics, most=parts.concurrency)
    return AlwaysWritten(Gate(_Routes(parts).answer, rules))


class AlwaysWritten:
    """ASGI middleware: every answer of remote write says how much was written, refusals included.

    A sender counts a batch without these headers as failed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; add the headers where they are absent."""
        if scope["type"] != "http" or scope["path"] != WRITE:
            await self._app(scope, receive, send)
            return

        async def written(message: Message) -> None:
            if message["type"] == "http.response.start":
                with_defaults(message, _NOTHING_WRITTEN)
            await send(message)

        await self._app(scope, receive, written)


class _Routes:
    def __init__(self, parts: IngestParts) -> None:
        self._parts = parts

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        response = await self._response(request)
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        path = request.scope["path"]
        if path == WRITE:
            return await self._write(request)
        if path in SIGNALS:
            return await self._otlp(request, SIGNALS[path])
        if path == LINES:
            return await self._lines(request)
        if path == LOKI:
            return await self._loki(request)
        if path in _READY:
            fault = await self._parts.ready()
            return JSONResponse({"ready": not fault, "error": fault}, 503 if fault else 200)
        if path in _PROBES:
            return Response("ok\n", media_type="text/plain")
        if path == "/metrics":
            caller = self._caller(request, Role.VIEWER)
            return Response(self._parts.metrics.page(self._parts.receivers.active_series(), caller.tenants), media_type=_TEXT)
        if path == "/docs.json":
            self._caller(request, Role.VIEWER)
            return JSONResponse(ingest_api())
        raise ProblemError(no_such_path(path))

    def _caller(self, request: Request, role: Role) -> Caller:
        """Return who calls.

        Raises:
            ProblemError: 401, 403.
        """
        local = is_local_peer(request.scope.get("client"))
        return self._parts.auth.check(request.headers.get("authorization"), role, local)

    def _tenant(self, request: Request) -> str:
        """Return whose data a request brings.

        Raises:
            ProblemError: 401, 403 (token), 400, 403 (tenant).
        """
        caller = self._caller(request, Role.OPERATOR)
        return tenant_of_request(request.headers.getlist(TENANT_FIELD), caller.tenants)

    async def _write(self, request: Request) -> Response:
        tenant = self._tenant(request)
        message = message_of(request.headers)
        encoding = encoding_of(request.headers, "snappy")
        try:
            body = await read_body(request, encoding, self._parts.receivers.limits_of(tenant))
        except MalformedBody as error:
            return self._parts.remote_write.malformed(message, error)
        return await self._parts.remote_write.answer(tenant, message, body)

    async def _otlp(self, request: Request, signal: str) -> Response:
        form = form_of(request.headers)
        try:
            tenant, body = await refusing(self._body(request))
            return answer_of(await self._parts.otlp.accept(signal, tenant, form, body), form)
        except OtlpRefusal as refusal:
            return refusal_of(refusal, form)

    async def _lines(self, request: Request) -> Response:
        wanted = line_request(request.query_params)
        try:
            tenant, body = await refusing(self._body(request))
            return await self._parts.lines.answer(tenant, wanted, body)
        except OtlpRefusal as refusal:
            return problem_of(refusal, request)

    async def _loki(self, request: Request) -> Response:
        encoding = push_encoding(request.headers)
        try:
            tenant, body = await refusing(self._body(request, COMPRESSED[encoding]))
            return await self._parts.loki.answer(tenant, encoding, body)
        except OtlpRefusal as refusal:
            return problem_of(refusal, request)

    async def _body(self, request: Request, otherwise: str = "identity") -> tuple[str, bytes]:
        tenant = self._tenant(request)
        encoding = encoding_of(request.headers, otherwise)
        return tenant, await read_body(request, encoding, self._parts.receivers.limits_of(tenant))
