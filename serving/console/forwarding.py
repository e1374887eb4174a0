"""Passes calls on to the API that answers them, and its answers back, as they come: nothing is gathered, nothing is changed.

Source: RFC 9110, section 7.6.1 (fields that hold for one connection only).
"""

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from serving.console.console_request import authorization_of, is_local, token_of
from serving.console.sessions import CSRF_HEADER, Sessions
from serving.host.log_rate_limit import LineLimit
from serving.http.auth import Role
from serving.http.content import limited
from serving.http.problem import Problem, ProblemError, no_such_path
from serving.http.request_gate import REQUEST_ID

EVENT_STREAM: Final = "text/event-stream"
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_OF_CONNECTION: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
    }
    | {"upgrade"}
)
_OF_CONSOLE: Final = frozenset({"host", "cookie", "origin", "referer", "authorization", "x-request-id", CSRF_HEADER, "expect"})
"""What is about the console's own address; the API has another one, and checks its callers by their token."""
_OF_BROWSERS: Final = ("sec-fetch-", "x-forwarded-")
_NEVER_BACK: Final = frozenset({"set-cookie", "server", "date"})
_TIMES: Final = httpx.Timeout(30.0, connect=3.0, pool=5.0)
_LIMITS: Final = httpx.Limits(max_connections=512, max_keepalive_connections=32, keepalive_expiry=30.0)
_MOST_SILENT_S: Final = 60.0
"""A live stream sends at least a sign of life each 15 s; one that is silent for so long is dead."""
_lines = LineLimit(logging.getLogger(__name__))


@dataclass(frozen=True, slots=True)
class Upstream:
    """An API behind the console: how people call it, and where it is."""

    part: str
    url: str


@dataclass(frozen=True, slots=True)
class ForwardLimits:
    """The largest body of a call in bytes, which must be there within `body_s`."""

    max_body_bytes: int = 16 << 20
    body_s: float = 20.0


def http_client(transport: httpx.AsyncBaseTransport | None = None) -> httpx.AsyncClient:
    """Return the client by which calls are passed on: no proxies, no redirects, and no memory of cookies."""
    return httpx.AsyncClient(timeout=_TIMES, limits=_LIMITS, trust_env=False, follow_redirects=False, transport=transport)


class Forwarder:
    """Passes calls below `/api/<name>` on. Memory: what is on its way."""

    def __init__(
        self, client: httpx.AsyncClient, upstreams: Mapping[str, Upstream], sessions: Sessions, limits: ForwardLimits
    ) -> None:
        self._client = client
        self._upstreams = upstreams
        self._sessions = sessions
        self._limits = limits

    def knows(self, name: str) -> bool:
        """Return whether there is an API of this name."""
        return name in self._upstreams

    async def forwarded(self, request: Request, name: str) -> Response:
        """Return the API's answer, as it comes.

        Raises:
            ProblemError: 401, 403 (who calls may not), 413, 503 (nothing answers there), 504 (it takes too long).
        """
        self._check(request)
        upstream = self._upstreams[name]
        target = _target(request, f"/api/{name}")
        answer = await self._sent(request, upstream, target)
        return _Passed(answer, upstream.part)

    def _check(self, request: Request) -> None:
        """Check who calls as far as it is the console's to say: the API checks the token and the role."""
        if self._sessions.auth.key is None:
            self._sessions.auth.check(None, Role.VIEWER, is_local(request))
        elif request.method not in _READS and "authorization" not in request.headers and (token := token_of(request)):
            self._sessions.check_csrf(token, request.headers.get(CSRF_HEADER, ""))

    async def _sent(self, request: Request, upstream: Upstream, target: bytes) -> httpx.Response:
        body = self._body(request)
        tries = 1 if body is not None or request.method not in _READS else 2
        for left in reversed(range(tries)):
            url = httpx.URL(upstream.url).copy_with(raw_path=target)
            call = httpx.Request(request.method, url, headers=list(_headers(request)), content=body)
            call.extensions = {"timeout": _times(request)}
            try:
                return await self._client.send(call, stream=True)
            except httpx.ReadTimeout as error:
                rule = "the answer must begin in time"
                detail = f"{upstream.part}: no answer within {_TIMES.read:g} s. Ask for less, or send it again."
                raise ProblemError(Problem(504, "timeout", detail, "", "", rule, "ask for less, or send it again")) from error
            except httpx.HTTPError as error:
                if left and isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
                    continue  # a connection that was kept, to a process that is no more
                _lines.warn(upstream.part, f"{upstream.part} at {upstream.url}: {type(error).__name__}: {error}")
                raise ProblemError(_silent(upstream)) from error
        raise ProblemError(_silent(upstream))

    def _body(self, request: Request) -> AsyncIterator[bytes] | None:
        headers = request.headers
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            return None
        return Request(request.scope, limited(request, self._limits.max_body_bytes, self._limits.body_s)).stream()


class _Passed(StreamingResponse):
    """An answer on its way; the connection to the API is given back whatever ends it."""

    def __init__(self, answer: httpx.Response, part: str) -> None:
        super().__init__(_chunks(answer, part), answer.status_code)
        dropped = {name.encode("latin-1") for name in _NEVER_BACK | _hop_by_hop(answer.headers)}
        self.raw_headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in dropped]


async def _chunks(answer: httpx.Response, part: str) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    except httpx.HTTPError as error:
        _lines.warn(part, f"{part}: the answer broke off: {type(error).__name__}: {error}")
        if not answer.headers.get("content-type", "").startswith(EVENT_STREAM):
            raise  # what was sent must not look whole
    finally:
        await answer.aclose()


def _target(request: Request, prefix: str) -> bytes:
    """Return path and query as the API gets them.

    Raises:
        ProblemError: 404, a path with steps upwards.
    """
    path: bytes = request.scope["raw_path"][len(prefix) :] or b"/"
    if {".", ".."} & set(unquote(path.decode("latin-1")).replace("\\", "/").split("/")):
        raise ProblemError(no_such_path(request.scope["path"]))
    query: bytes = request.scope["query_string"]
    return path + b"?" + query if query else path


def _headers(request: Request) -> Iterator[tuple[str, str]]:
    dropped = _OF_CONSOLE | _hop_by_hop(request.headers)
    for name, value in request.headers.items():
        if name not in dropped and not name.startswith(_OF_BROWSERS):
            yield name, value
    yield "x-request-id", request.scope[REQUEST_ID]
    authorization = authorization_of(request)
    if authorization is not None:
        yield "authorization", authorization


def _hop_by_hop(headers: Mapping[str, str]) -> frozenset[str]:
    """Return the fields that hold for one connection only: those that always do, and those that Connection names."""
    named = (name.strip().lower() for name in headers.get("connection", "").split(","))
    return _OF_CONNECTION | frozenset(named)


def _times(request: Request) -> dict[str, float | None]:
    live = EVENT_STREAM in request.headers.get("accept", "") or request.scope["path"].endswith("/events")
    times = _TIMES.as_dict()
    return times | {"read": _MOST_SILENT_S} if live else times


def _silent(upstream: Upstream) -> Problem:
    detail = f"{upstream.part} does not answer at {upstream.url}. `aiops status` says what runs."
    return Problem(503, "part-silent", detail, "part", upstream.part, "it must run", "start it, or wait until it is up again")
