"""A route that checks who calls, and what they send, before anything of the body is read."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final, Protocol

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import Response

from serving.http.auth import Authenticator, Caller, Role
from serving.http.content import JSON, content_type, limited
from serving.http.loopback import is_local_peer
from serving.http.problem import refused, shown
from serving.http.request_tenant import FIELD as TENANT_FIELD
from serving.http.request_tenant import tenant_of_request

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
                content_type(request, (JSON,))
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
