"""Stands before web applications of others, which trust every page of a browser: Host, Origin, no forms, no orders in a link.

A link that a page makes a browser follow carries no sign that it is not wanted, so nothing that changes something may be done
by one: queries of `orders` paths (GraphQL) are taken as a POST of JSON only. What the application's pages may load is this
application's alone, so that no request leaves the machine that the user did not ask for.
"""

import logging
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.host.log_rate_limit import LineLimit
from serving.http.cross_site import SiteRules
from serving.http.problem import Problem, ProblemError, no_such_method, shown
from serving.http.problem_response import problem_response
from serving.http.request_id import request_id_from

log = logging.getLogger(__name__)
CSP: Final = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; connect-src 'self'; form-action 'self'; frame-ancestors 'self'"
)
"""Beside the application's own policy, which stays in force: a browser keeps both."""
_READS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_REFUSED: Final = frozenset({"TRACE", "CONNECT"})
_TAKES: Final = ("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT")
_FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})
"""What a page may send to any site without being asked."""
_ORDERS: Final = frozenset({"application/json", "application/graphql"})
_FOREIGN: Final = 1008
"""Code with which a websocket is refused: policy violation."""


class SiteGuard:
    """ASGI middleware; websockets pass through. `orders` = paths whose queries may change something."""

    def __init__(self, app: ASGIApp, rules: SiteRules, orders: frozenset[str] = frozenset()) -> None:
        self._app = app
        self._rules = rules
        self._orders = orders
        self._lines = LineLimit(log)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what pages of this application and programs send."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            self._rules.check(headers)
            if scope["type"] == "http":
                self._check_order(scope, headers)
        except ProblemError as error:
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": _FOREIGN, "reason": error.problem.detail[:100]})
            else:
                await problem_response(error.problem, request_id_from(headers.get("x-request-id")))(scope, receive, send)
            return
        try:
            await self._app(scope, receive, _policed(send) if scope["type"] == "http" else send)
        except ClientDisconnect:  # nobody is there to answer; the server would log 50 lines of a fault
            self._lines.warn("left", f"{scope['method']} {scope['path'][:100]!r}: the caller left before it was answered")

    def _check_order(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """Check that a request is not one that a page makes a browser send for it.

        Raises:
            ProblemError: 405, an order in a link; 415, a form.
        """
        method, path = scope["method"], scope["path"]
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if method in _REFUSED:
            raise ProblemError(no_such_method(method, _TAKES))
        if path.rstrip("/") in self._orders and "query" in parse_qs(scope["query_string"].decode("latin-1"), True):
            raise ProblemError(no_such_method(method if method in _READS else f"{method} with a query in the link", ("POST",)))
        if method in _READS:
            return
        if kind in _FORMS or (path.rstrip("/") in self._orders and kind not in _ORDERS):
            rule, fix = "pages of other sites can send it without asking", "send application/json"
            detail = f"content-type = {shown(kind) or 'missing'}: {rule}. {fix[:1].upper()}{fix[1:]}."
            raise ProblemError(Problem(415, "content-type", detail, "content-type", shown(kind), rule, fix))


def _policed(send: Send) -> Send:
    async def policed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.append("content-security-policy", CSP)
            headers.setdefault("x-content-type-options", "nosniff")
            headers.setdefault("x-frame-options", "SAMEORIGIN")
            headers["cross-origin-resource-policy"] = "same-origin"
        await send(message)

    return policed
