"""The OpenAPI 3.1 description of the service, built from the same constants that check requests."""

from functools import cache
from typing import Any, Final

import orjson

from aiops.version import __version__
from models.artifacts.catalog import descriptor_of, served_models
from serving.http.openapi_parts import REQUEST_ID, SECURITY, TENANT
from serving.http.problem import PROBLEM_JSON, TITLES
from serving.scoring.answers.root_cause_answers import ROOT_CAUSE
from serving.scoring.answers.scoring import EXPLAIN
from serving.scoring.answers.season_answers import SEASON
from serving.scoring.http_api.scoring_schemas import schemas
from serving.scoring.requests.arrow_rows import ARROW_STREAM

_REFUSALS: Final = (400, 401, 403, 405, 413, 415, 429, 503, 504)
_SUMMARIES: Final = {
    SEASON.path: "What each point's series is expected to do then, by its seasonal bands; 0.5 = at the bound, null = unknown",
    ROOT_CAUSE.path: "Which service began a trouble, how sure that is, and the evidence: from the lake, or from rows sent along",
    EXPLAIN.path: "Contribution of every feature to the model's last output, strongest first, and in words",
}


def _summaries() -> dict[str, str]:
    """Return what each call answers: those of the served models by their descriptors, then the others."""
    routes = [descriptor_of(name).endpoint for name in served_models()]
    return {route.path: route.summary for route in routes if route is not None} | _SUMMARIES


@cache
def openapi_json() -> bytes:
    """Return the description as JSON."""
    return orjson.dumps(openapi())


def openapi() -> dict[str, Any]:
    """Return the description."""
    paths: dict[str, Any] = {path: {"post": _post(path)} for path in _summaries()}
    paths["/livez"] = {"get": _get("The process runs", {"200": {"description": "alive"}}, open_to_all=True)}
    ready = {
        "200": {"description": "a champion is loaded, none has failed"},
        "503": {"description": "nothing loaded; details inside"},
    }
    paths["/readyz"] = {"get": _get("Models are loaded", ready, open_to_all=True)}
    paths["/metrics"] = {"get": _get("Prometheus metrics", {"200": {"description": "text exposition format"}})}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "AIOps scoring",
            "version": __version__,
            "description": "The same calls over gRPC: serving/scoring/proto/scoring.proto",
        },
        "paths": paths,
        "components": {"schemas": schemas(), "securitySchemes": {"jwt": SECURITY}},
        "security": [{"jwt": []}],
    }


def _post(path: str) -> dict[str, Any]:
    arrow = {} if path in {EXPLAIN.path, ROOT_CAUSE.path} else {ARROW_STREAM: {"schema": {"type": "string", "format": "binary"}}}
    kind = {EXPLAIN.path: "Explain", SEASON.path: "Season", ROOT_CAUSE.path: "RootCause"}.get(path, "Score")
    answer = f"{kind}Response"
    request = {"application/json": {"schema": _ref(f"{kind}Request")}, **arrow}
    responses: dict[str, Any] = {
        "200": {"description": "one answer a row, in order", "content": {"application/json": {"schema": _ref(answer)}, **arrow}}
    }
    for status in _REFUSALS:
        responses[str(status)] = {"description": TITLES[status], "content": {PROBLEM_JSON: {"schema": _ref("Problem")}}}
    return {
        "summary": _summaries()[path],
        "operationId": path.strip("/"),
        "parameters": [REQUEST_ID, TENANT],
        "requestBody": {"required": True, "content": request},
        "responses": responses,
    }


def _get(summary: str, responses: dict[str, Any], open_to_all: bool = False) -> dict[str, Any]:
    operation: dict[str, Any] = {"summary": summary, "responses": responses}
    return operation | ({"security": []} if open_to_all else {})


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
