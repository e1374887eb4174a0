"""The OpenAPI 3.1 description: FastAPI's own, with this service's problems and roles in place of its validation errors."""

from typing import Any, Final

from fastapi import FastAPI

from serving.http.guarded_route import ROLE_KEY
from serving.http.openapi_parts import PROBLEM, REQUEST_ID, SECURITY
from serving.http.problem import PROBLEM_JSON

_METHODS: Final = ("get", "post", "delete")


def description(app: FastAPI) -> dict[str, Any]:
    """Return the description."""
    document = app.openapi()
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas["Problem"] = PROBLEM
    components["securitySchemes"] = {"jwt": SECURITY}
    for path in document["paths"].values():
        for method in _METHODS:
            if method in path:
                _complete(path[method])
    return document


def _complete(operation: dict[str, Any]) -> None:
    if not any(name == PROBLEM_JSON for name in operation["responses"].get("422", {}).get("content", {})):
        operation["responses"].pop("422", None)
    if operation["operationId"] == "get_readyz":  # both answers have the same form
        operation["responses"]["503"] = operation["responses"]["200"] | {"description": "Something is not ready"}
    role = operation[ROLE_KEY]
    words = operation.get("description", "")
    if not words.endswith(f"Role: {role}."):
        operation["description"] = f"{words} Role: {role}.".strip()
        operation.setdefault("parameters", []).append(REQUEST_ID)
