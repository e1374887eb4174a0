"""A route as data: what it does, who may, what it answers and refuses. Its description and its checks come from here."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, is_dataclass
from typing import Any, Final

import msgspec
from fastapi import FastAPI
from pydantic import ConfigDict
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from serving.http.auth import Role
from serving.http.content import JSON
from serving.http.guarded_route import ROLE_KEY, GuardedRoute
from serving.http.problem import PROBLEM_JSON, TITLES

_ENCODER: Final = msgspec.json.Encoder()
PROBLEM_SCHEMA: Final = {"$ref": "#/components/schemas/Problem"}


@dataclass(frozen=True, slots=True)
class Operation:
    """One route. `role` None = open to all; `answers` = type of the JSON answer, None where it is `media` of another kind.

    `problems`: statuses beyond those that every route of its method and role may give. `body` describes one that the endpoint
    reads itself, `role_text` what stands for the role where the endpoint decides.
    """

    method: str
    path: str
    endpoint: Callable[..., Any]
    role: Role | None
    summary: str
    answers: Any = None
    problems: tuple[int, ...] = ()
    status: int = 200
    media: str = JSON
    body: dict[str, Any] | None = None
    role_text: str = ""


def answer(value: object, status: int = 200) -> Response:
    """Return a value as JSON: times in RFC 3339, NaN as null."""
    return Response(_ENCODER.encode(value), status, media_type=JSON)


def install(app: FastAPI, operations: Iterable[Operation]) -> None:
    """Add routes to an application, each behind its checks."""
    app.router.route_class = GuardedRoute
    for operation in operations:
        app.add_api_route(
            operation.path,
            operation.endpoint,
            methods=[operation.method],
            response_model=_described(operation.answers),
            response_class=Response if operation.answers is None else JSONResponse,
            status_code=operation.status,
            summary=operation.summary,
            operation_id=_operation_id(operation),
            responses=_responses(operation),
            openapi_extra=_extra(operation),
        )


def methods_of(app: FastAPI) -> Callable[[str], frozenset[str]]:
    """Return a function that gives the methods of a path; none for a path that there is not. O(routes) a call."""
    by_pattern: dict[re.Pattern[str], set[str]] = {}
    for route in app.routes:
        if isinstance(route, Route):
            by_pattern.setdefault(route.path_regex, set()).update(route.methods or ())

    def methods(path: str) -> frozenset[str]:
        return frozenset().union(*(takes for pattern, takes in by_pattern.items() if pattern.match(path)))

    return methods


def refusals(operation: Operation) -> tuple[int, ...]:
    """Return all statuses with which an operation may be refused."""
    statuses = {400, 403, 429, 500, 503}
    statuses |= {401} if operation.role is not None else set()
    statuses |= {413, 415, 504} if operation.method == "POST" else set()
    return tuple(sorted(statuses | set(operation.problems)))


def _described(answers: Any) -> Any:
    """Return a type whose description, and those of types within it, take the texts below fields. Encoding is not touched."""
    if is_dataclass(answers):
        setattr(answers, "__pydantic_config__", ConfigDict(use_attribute_docstrings=True))  # noqa: B010
    return answers


def _responses(operation: Operation) -> dict[int | str, dict[str, Any]]:
    responses: dict[int | str, dict[str, Any]] = {
        status: {"description": TITLES[status], "content": {PROBLEM_JSON: {"schema": PROBLEM_SCHEMA}}}
        for status in refusals(operation)
    }
    if operation.answers is None:
        content = {} if operation.status == 204 else {operation.media: {"schema": {"type": "string"}}}
        responses[operation.status] = {"description": operation.summary, **({"content": content} if content else {})}
    return responses


def _extra(operation: Operation) -> dict[str, Any]:
    role = "none" if operation.role is None else operation.role.name.lower()
    secured: list[dict[str, Any]] = [{"jwt": []}]
    if operation.role is None:
        secured = [*secured, {}] if operation.role_text else []
    extra: dict[str, Any] = {ROLE_KEY: operation.role_text or role, "security": secured}
    if operation.body is not None:
        extra["requestBody"] = operation.body
    return extra


def _operation_id(operation: Operation) -> str:
    text = f"{operation.method.lower()}{operation.path.replace(':path', '')}"
    words = "".join(character if character.isalnum() else "_" for character in text)
    return words.replace("__", "_").strip("_")
