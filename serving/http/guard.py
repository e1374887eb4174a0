"""A route that checks who calls, and what they send, before anything of the body is read."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final, Protocol

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Message, Receive

from serving.http.auth import Authenticator, Caller, Role, is_local_peer
from serving.http.problem import Problem, ProblemError, refused, shown
from serving.http.tenants import FIELD as TENANT_FIELD
from serving.http.tenants import tenant_of_request

JSON: Final = "application/json"
ROLE_KEY: Final = "x-aiops-role"
"""Member of an operation's description: the role that it needs; "none" = open to all."""
_CALLER: Final = "aiops.caller"
_ROLES: Final = {role.name.lower(): role for role in Role}


class BodyLimits(Protocol):
    """`max_body_bytes` of a request, which must be there within `body_s`."""

    @property
    def max_body_bytes(self) -> int:
        """Return the largest body in bytes."""

    @property
    def body_s(self) -> float:
        """Return the seconds within which it must be there."""


class GuardedRoute(APIRoute):
    """Role, content type, query names and size of the body, in this order."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler behind the checks."""
        answer = super().get_route_handler()
        needed = _ROLES.get((self.openapi_extra or {})[ROLE_KEY])
        known = _query_names(self.dependant)

        async def guarded(request: Request) -> Response:
            if needed is not None:
                auth: Authenticator = request.app.state.auth
                local = is_local_peer(request.scope.get("client"))
                request.scope[_CALLER] = auth.check(request.headers.get("authorization"), needed, local)
            _check_query(request, known)
            if request.method == "POST":
                _check_content(request)
                limits: BodyLimits = request.app.state.limits
                request = Request(request.scope, limited(request, limits.max_body_bytes, limits.body_s))
            return await answer(request)

        return guarded


async def caller_of(request: Request) -> Caller:
    """Return who calls."""
    caller: Caller = request.scope[_CALLER]
    return caller


async def tenant_of(request: Request) -> str:
    """Return whose data the request is about.

    Raises:
        ProblemError: 400 or 403, the header names no tenant, or one that the caller's token is not for.
    """
    caller: Caller = request.scope[_CALLER]
    return tenant_of_request(request.headers.getlist(TENANT_FIELD), caller.tenants)


By = Annotated[Caller, Depends(caller_of)]
OfTenant = Annotated[str, Depends(tenant_of)]
"""The tenant of a request; only on routes that need a role, for the token says for whom it is."""


def limited(request: Request, most: int, seconds: float) -> Receive:
    """Return the body's messages; whether its length is announced or it comes in chunks, never more than `most` bytes.

    All of it must be there within `seconds`: one that trickles in forever would hold its place forever.

    Raises:
        ProblemError: 413; reading raises 413 and 504.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(most)
    size = 0
    ends_at = asyncio.get_running_loop().time() + seconds

    async def receive() -> Message:
        nonlocal size
        try:
            async with asyncio.timeout_at(ends_at):
                message = await request.receive()
        except TimeoutError as error:
            rule = f"must be there within {seconds:g} s"
            raise ProblemError(
                Problem(504, "timeout", f"body: {rule}. Send it faster.", "body", "", rule, "send it faster")
            ) from error
        size += len(message.get("body", b""))
        if size > most:
            raise _too_large(most)
        return message

    return receive


def _query_names(dependant: Dependant) -> frozenset[str]:
    """Return the query parameters of a route; a model stands for all its fields."""
    names: set[str] = set()
    for parameter in dependant.query_params:
        model = parameter.field_info.annotation
        names |= set(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else {parameter.alias}
    return frozenset(names)


def _check_query(request: Request, known: frozenset[str]) -> None:
    for name in request.query_params:
        if name not in known:
            rule = f"the query knows {', '.join(sorted(known)) or 'no parameters'}"
            raise refused(shown(name), request.query_params[name], rule, "leave it out")


def _check_content(request: Request) -> None:
    """Only JSON: forms and plain text are what a browser sends to other sites without asking."""
    given = request.headers.get("content-type", "")
    kind, _, parameters = given.partition(";")
    charset = parameters.strip().lower().replace('"', "")
    encoding = request.headers.get("content-encoding", "identity")
    if kind.strip().lower() != JSON or charset not in {"", "charset=utf-8"} or encoding.lower() != "identity":
        rule = f"must be {JSON}, not compressed"
        value = shown(given if encoding.lower() == "identity" else f"{given}, content-encoding {encoding}")
        detail = f"content-type = {value or 'missing'}: {rule}. Set the header to what the body is."
        raise ProblemError(Problem(415, "content-type", detail, "content-type", value, rule, "set the header"))


def _too_large(most: int) -> ProblemError:
    rule = f"at most {most} bytes"
    detail = f"body: {rule}. Split it into several requests."
    return ProblemError(Problem(413, "body-limit", detail, "body", "", rule, "split it into several requests"))
