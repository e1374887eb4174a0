"""Stands before every route: request ids, browsers of other sites kept out, too many calls at once, headers and counts.

A web page of another site can send requests to an address of this machine, and a name that it controls can be made to point
there (DNS rebinding). So an `Origin` must be the address that was called, and without a key `Host` must be this machine.
"""

import logging
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.auth import is_loopback
from serving.http.problem import Problem, ProblemError, shown
from serving.http.refusals import problem_of, problem_response
from serving.http.request_id import request_id_from

_logger = logging.getLogger(__name__)
REQUEST_ID: Final = "aiops.request_id"
STREAMS: Final = frozenset({"/events"})
"""Calls that stay open: they have a limit of their own."""
_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
LEFT: Final = 499
"""Status where the caller left before there was an answer."""
CSP: Final = "default-src 'none'; frame-ancestors 'none'"


class ApiMetrics:
    """What the API counts about itself."""

    def __init__(self, registry: CollectorRegistry, watchers: Callable[[], float]) -> None:
        names = ["method", "route", "code"]
        self.requests = Counter("aiops_incident_api_requests", "Answered calls", names, registry=registry)
        self.seconds = Histogram(
            "aiops_incident_api_seconds", "Time to answer a call", ["method", "route"], buckets=_SECONDS, registry=registry
        )
        Gauge("aiops_incident_api_watchers", "Live streams that are open", registry=registry).set_function(watchers)


class ApiGate:
    """ASGI middleware. `keyless` = no JWT key, so only this machine is answered; `most` = calls in progress at once."""

    def __init__(self, app: ASGIApp, keyless: bool, metrics: ApiMetrics, most: int) -> None:
        self._app = app
        self._keyless = keyless
        self._metrics = metrics
        self._most = most
        self._busy = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer refusals; pass everything else on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = request_id_from(headers.get("x-request-id"))
        scope[REQUEST_ID] = request_id
        started, seen = time.perf_counter(), Seen(send, request_id)
        counts = scope["path"] not in STREAMS
        self._busy += counts
        try:
            check_site(headers, self._keyless)
            if counts and self._busy > self._most:
                detail = f"{self._most} calls are in progress. Send it again."
                raise ProblemError(Problem(429, "busy", detail, rule=f"at most {self._most} at once", fix="send it again"))
            await self._app(scope, receive, seen.send)
        except ProblemError as error:
            await problem_response(error.problem, request_id)(scope, receive, seen.send)
        except Exception as error:
            if seen.status != LEFT:  # the answer has begun
                raise
            _logger.exception("%s %s failed, request id %s", scope["method"], scope["path"], request_id)
            await problem_response(problem_of(error, scope["method"], scope["path"]), request_id)(scope, receive, seen.send)
        finally:
            self._busy -= counts
            self._count(scope, seen.status, time.perf_counter() - started)

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        route = str(getattr(scope.get("route"), "path", "other"))
        method = scope["method"] if route != "other" else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        if scope["path"] not in STREAMS:
            self._metrics.seconds.labels(method, route).observe(seconds)


class Seen:
    """Passes an answer on with the headers that every answer has, and remembers its status."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status = LEFT

    async def send(self, message: Message) -> None:
        """Pass one message on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request_id
            headers.setdefault("content-security-policy", CSP)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def check_site(headers: Headers, keyless: bool) -> None:
    """Check that no page of another site sends this.

    Raises:
        ProblemError: 403, the host is not this machine or the origin is not the address that was called.
    """
    host = headers.get("host", "")
    if keyless and not is_loopback(_name(host)):
        rule = "without a JWT key the service answers to localhost, 127.0.0.1 and [::1] only"
        raise _foreign("host", host, rule, "call it by one of these names, or set AIOPS_SERVING__JWT_KEY")
    origin = headers.get("origin")
    if origin is not None and urlsplit_netloc(origin) != host.lower():
        raise _foreign(
            "origin", origin, "pages of other sites may not call the service", "call it from a program or its own page"
        )
    if headers.get("sec-fetch-site") in {"cross-site", "same-site"} and headers.get("sec-fetch-mode") != "navigate":
        value = headers["sec-fetch-site"]
        raise _foreign("sec-fetch-site", value, "pages of other sites may not call the service", "call it from its own page")


def urlsplit_netloc(origin: str) -> str:
    """Return host and port of an origin as a `Host` header has them; "null" and nonsense give themselves.

    >>> urlsplit_netloc("http://LOCALHOST:3103"), urlsplit_netloc("null")
    ('localhost:3103', 'null')
    """
    try:
        return urlsplit(origin).netloc.lower() or origin
    except ValueError:
        return origin


def _name(host: str) -> str:
    """Return the name in a `Host` header; nonsense gives "".

    >>> _name("localhost:3103"), _name("[::1]:3103"), _name("evil.example@localhost"), _name("a:b")
    ('localhost', '::1', '', '')
    """
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    return "" if parts.username is not None or parts.path or parts.query or parts.fragment else parts.hostname or ""


def _foreign(field: str, value: str, rule: str, fix: str) -> ProblemError:
    text = shown(value)
    detail = f"{field} = {text or 'missing'}: {rule}. {fix[:1].upper()}{fix[1:]}."
    return ProblemError(Problem(403, "foreign-site", detail, field, text, rule, fix))
