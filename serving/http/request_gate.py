"""Stands before every route: request ids, pages of other sites kept out, methods, too many calls at once, callers who leave."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.host.log_rate_limit import LineLimit
from serving.http.cross_site import SiteRules
from serving.http.default_headers import with_defaults
from serving.http.problem import Problem, ProblemError, no_such_method
from serving.http.problem_response import problem_response
from serving.http.request_id import request_id_from

_logger = logging.getLogger(__name__)
_lines = LineLimit(_logger)
REQUEST_ID: Final = "aiops.request_id"
"""Where a scope holds the request's id."""
LEFT: Final = 499
"""Status where the caller left before there was an answer."""
CSP: Final = "default-src 'none'; frame-ancestors 'none'"
_HEADERS: Final = (
    (b"content-security-policy", CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""Headers that every answer has which does not bring its own."""


class Observer(Protocol):
    """Hears of every answered call."""

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count an answer; `status` 499 = the caller left before."""


@dataclass(frozen=True, slots=True)
class GateRules:
    """What a gate checks. Called for every request: `site`, and `methods`, those of a path ("" = there is no such path).

    `streams` are paths whose calls stay open and have a limit of their own; `most` = other calls in progress at once.
    """

    site: Callable[[], SiteRules]
    methods: Callable[[str], frozenset[str]]
    observer: Observer
    streams: frozenset[str] = frozenset()
    most: int | None = None


class Gate:
    """ASGI middleware; a refusal is a problem, and so is whatever goes wrong inside."""

    def __init__(self, app: ASGIApp, rules: GateRules) -> None:
        self._app = app
        self._rules = rules
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
        counts = scope["path"] not in self._rules.streams
        self._busy += counts
        try:
            self._rules.site().check(headers)
            short = self._by_method(scope)
            if short is not None:
                await short(scope, receive, seen.send)
                return
            if counts and self._rules.most is not None and self._busy > self._rules.most:
                raise ProblemError(_busy(self._rules.most))
            scope = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
            await self._app(scope, receive, seen.send)
        except ProblemError as error:
            await problem_response(error.problem, request_id)(scope, receive, seen.send)
        except ClientDisconnect:
            _lines.warn("left", f"{scope['method']} {scope['path'][:100]!r}: the caller left before it was answered")
            await Response(status_code=LEFT)(scope, receive, seen.send)
        except Exception:
            if seen.status != LEFT:  # the answer has begun
                raise
            _logger.exception("%s %s failed, request id %s", scope["method"], scope["path"], request_id)
            await problem_response(FAILED, request_id)(scope, receive, seen.send)
        finally:
            self._busy -= counts
            self._rules.observer.answered(scope, seen.status, time.perf_counter() - started)

    def _by_method(self, scope: Scope) -> Response | None:
        """Return the answer to OPTIONS, None = the routes answer.

        HEAD is answered like GET, without the body, except of a stream, which has no end.

        Raises:
            ProblemError: 405 with Allow, the path does not take the method.
        """
        method, path = scope["method"], scope["path"]
        takes = self._rules.methods(path)
        if not takes:
            return None
        if "GET" in takes and path not in self._rules.streams:
            takes |= {"HEAD"}
        takes |= {"OPTIONS"}
        if method == "OPTIONS":
            return Response(status_code=204, headers={"allow": ", ".join(sorted(takes))})
        if method not in takes:
            raise ProblemError(no_such_method(method, takes))
        return None


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
            with_defaults(message, ((b"x-request-id", self._request_id.encode()), *_HEADERS))
        await self._send(message)


FAILED: Final = Problem(500, "failed", "The service failed; its log has the request id.")


def _busy(most: int) -> Problem:
    detail = f"{most} calls are in progress. Send it again."
    return Problem(429, "busy", detail, rule=f"at most {most} at once", fix="send it again")
