"""The OpenAPI 3.1 description of the service, built from the same constants that check requests."""

from functools import cache
from typing import Any, Final

import orjson

from aiops.version import __version__
from data_contracts.schemas.telemetry_schemas import SEQUENCE, SEQUENCE_FEATURES, SERVICE_FEATURES
from models.artifacts.catalog import descriptor_of, served_models
from serving.http.openapi_parts import PROBLEM, REQUEST_ID, SECURITY, TENANT
from serving.http.problem import PROBLEM_JSON, TITLES
from serving.scoring.answers.root_cause_answers import ROOT_CAUSE
from serving.scoring.answers.scoring import EXPLAIN
from serving.scoring.answers.season_answers import SEASON
from serving.scoring.requests.arrow_rows import ARROW_STREAM
from serving.scoring.requests.root_cause_request import MOST_MINUTES
from serving.scoring.requests.season_rows import MAX_METRIC_BYTES
from serving.scoring.requests.vector_rows import MAX_NAME_BYTES

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": ["number", "null"]}
_MOMENT: Final = {"type": ["string", "null"], "format": "date-time"}
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
        "components": {"schemas": _schemas(), "securitySchemes": {"jwt": SECURITY}},
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


def _object(required: tuple[str, ...], properties: dict[str, Any], closed: bool = False) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": properties, "additionalProperties": not closed}


def _schemas() -> dict[str, Any]:
    name = {"type": "string", "minLength": 1, "maxLength": MAX_NAME_BYTES}
    row = {"service": name, "event_timestamp": _MOMENT, "available_at": _MOMENT, **dict.fromkeys(SERVICE_FEATURES, _NUMBER)}
    size = len(SEQUENCE_FEATURES)
    row[SEQUENCE] = {"type": ["array", "null"], "items": _NUMBER, "minItems": size, "maxItems": size}
    shares = {"type": "object", "additionalProperties": _NUMBER}
    rows = {"type": "array", "minItems": 1, "items": _ref("Row")}
    origin = {"features_from": {"enum": ["request", "online store"]}, "unknown_features": {"type": "array", "items": _TEXT}}
    answered = {"service": _TEXT, "event_timestamp": _MOMENT, "anomalous": {"type": ["boolean", "null"]}, **origin}
    envelope = {"model": _TEXT, "model_version": _TEXT, "request_id": _TEXT}
    contribution = _object(
        ("feature", "value", "contribution"), {"feature": _TEXT, "value": _NUMBER, "contribution": {"type": "number"}}
    )
    scored = _object(("service", "anomalous"), {**answered, "model_version": _TEXT, "shares": shares})
    explained = {"base_value": _NUMBER, "margin": _NUMBER, "contributions": {"type": "array", "items": contribution}}
    row_explained = _object(("service", "contributions", "words"), {**answered, **explained, "words": _TEXT, "shares": shares})
    thresholds = {"type": "object", "additionalProperties": {"type": "number"}}
    return {
        "Row": _object(("service",), row, closed=True),
        "ScoreRequest": _object(("rows",), {"rows": rows}, closed=True),
        "ExplainRequest": _object(("rows",), {"rows": rows, "model": {"enum": list(served_models())}}, closed=True),
        "ScoreResponse": _object(
            (*envelope, "thresholds", "rows"),
            {**envelope, "thresholds": thresholds, "rows": {"type": "array", "items": scored}},
        ),
        "ExplainResponse": _object(
            (*envelope, "output", "threshold", "rows"),
            {**envelope, "output": _TEXT, "threshold": {"type": "number"}, "rows": {"type": "array", "items": row_explained}},
        ),
        **_season_schemas(name, envelope),
        **_root_cause_schemas(name, envelope),
        "Problem": PROBLEM,
    }


def _season_schemas(name: dict[str, Any], envelope: dict[str, dict[str, str]]) -> dict[str, Any]:
    point = {"service": name, "metric": {**name, "maxLength": MAX_METRIC_BYTES}, "timestamp": _MOMENT, "value": _NUMBER}
    judged: dict[str, Any] = dict.fromkeys(("expected", "lower", "upper", "score", "rarity"), _NUMBER)
    judged |= {"anomalous": {"type": ["boolean", "null"]}, **dict.fromkeys(("status", "words", "model_version"), _TEXT)}
    points = {"type": "array", "minItems": 1, "items": _object(tuple(point), point, closed=True)}
    verdicts = {"type": "array", "items": _object((*point, *judged), {**point, **judged})}
    return {
        "SeasonRequest": _object(("rows",), {"rows": points}, closed=True),
        "SeasonResponse": _object((*envelope, "rows"), {**envelope, "rows": verdicts}),
    }


def _root_cause_schemas(name: dict[str, Any], envelope: dict[str, dict[str, str]]) -> dict[str, Any]:
    texts = {"type": "array", "items": _TEXT}
    point = {"service": name, "metric": {**name, "maxLength": MAX_METRIC_BYTES}, "timestamp": _MOMENT, "value": _NUMBER}
    change = {"at": _MOMENT, "service": name, "kind": name, "what": _TEXT}
    asked = {
        "service": _TEXT,
        "at": _MOMENT,
        "minutes": {"type": "number", "exclusiveMinimum": 0, "maximum": MOST_MINUTES},
        "rows": {"type": "array", "minItems": 1, "items": _object(tuple(point), point, closed=True)},
        "edges": {"type": "array", "items": {**texts, "minItems": 2, "maxItems": 2}},
        "window_start": _MOMENT,
        "step_s": {"type": "integer", "minimum": 1, "maximum": 3600},
        "changes": {"type": "array", "items": _object(("at", "service", "kind"), change, closed=True)},
    }
    forms = {"oneOf": [{"required": ["service", "at"]}, {"required": ["rows", "window_start"]}]}
    seen = {**dict.fromkeys(("kind", "metric", "text"), _TEXT), "since": _MOMENT}
    evidence = _object((*seen, "seen", "usual"), {**seen, **dict.fromkeys(("seen", "usual", "excess", "score"), _NUMBER)})
    cause = {
        "service": _TEXT,
        "probability": {"type": "number", "minimum": 0, "maximum": 1},
        "sentence": _TEXT,
        "onset": _MOMENT,
        "path": texts,
        "evidence": {"type": "array", "items": evidence},
        "changes": {"type": "array", "items": _object(("at", "service", "kind"), change)},
    }
    report: dict[str, Any] = dict.fromkeys(("made_at", "window_start", "window_end"), _MOMENT)
    report |= {"symptom": _TEXT, "causes": {"type": "array", "items": _object(("service", "probability", "sentence"), cause)}}
    report |= {
        "none_probability": {"type": ["number", "null"]},
        "decided": {"type": "boolean"},
        "statement": _TEXT,
        "would_decide": texts,
    }
    return {
        "RootCauseRequest": _object((), asked, closed=True) | forms,
        "RootCauseResponse": _object((*envelope, *report), {**envelope, **report}),
    }
