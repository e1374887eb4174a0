"""The OpenAPI 3.1 description of the receivers."""

from typing import Any, Final

from aiops.version import __version__
from serving.http.openapi_parts import PROBLEM, REQUEST_ID, SECURITY, TENANT
from serving.http.problem import PROBLEM_JSON, TITLES
from serving.ingest.receive.ingest_metrics import LINES, LOGS, LOKI, METRICS, TRACES, WRITE
from serving.ingest.receive.otlp_answers import JSON, PROTOBUF
from serving.ingest.receive.signals.lines.log_lines import LINE_FORMS

_ABOUT: Final = """\
Remote write, OTLP, log lines and Loki push. An answer of success is given once all of it is on the broker; what is refused is \
named. OTLP goes over gRPC too, port by `AIOPS_INGEST__GRPC_PORT`."""
_LINES_ABOUT: Final = "Lines as they are in the file, whatever the content type says. Compressed by gzip or zstd, or not."
_BINARY: Final = {"schema": {"type": "string", "format": "binary"}}
_REF: Final = {"$ref": "#/components/schemas/Problem"}
_KEPT: Final = {"400": "what is valid is kept; the text names what was refused by reason, with the first series and its rule"}
_RETRY: Final = {
    "429": "too many points a second of the tenant, or (OTLP) the streams are nearly full: send it again after Retry-After",
    "503": "the broker does not answer, or (remote write) the streams are nearly full: send it again after Retry-After",
}
_REFUSED: Final = (401, 403, 413, 415)


def ingest_api() -> dict[str, Any]:
    """Return the description."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "AIOps receivers", "version": __version__, "description": _ABOUT},
        "paths": {
            WRITE: {"post": _write()},
            **{path: {"post": _otlp(signal)} for path, signal in ((METRICS, "metrics"), (LOGS, "logs"), (TRACES, "traces"))},
            LINES: {"post": _lines()},
            LOKI: {"post": _loki()},
            "/livez": {"get": _get("The process runs", {"200": {"description": "alive"}})},
            "/readyz": {"get": _get("The broker answers", {"200": {"description": "yes"}, "503": {"description": "no"}})},
            "/ready": {
                "get": _get(
                    "As /readyz: where senders to Loki ask", {"200": {"description": "yes"}, "503": {"description": "no"}}
                )
            },
            "/metrics": {"get": _read("Prometheus metrics, those of the token's tenants", "text exposition format")},
            "/docs.json": {"get": _read("This description, OpenAPI 3.1", "JSON")},
        },
        "components": {"schemas": {"Problem": PROBLEM}, "securitySchemes": {"jwt": SECURITY}},
        "security": [{"jwt": []}],
    }


def _write() -> dict[str, Any]:
    written = {
        f"X-Prometheus-Remote-Write-{kind}-Written": {"description": f"{kind.lower()} written, or there already; on every answer"}
        for kind in ("Samples", "Histograms", "Exemplars")
    }
    repeated = {"X-AIOps-Repeated": {"description": "of those written, how many were there already: same series, time and value"}}
    answers = {"204": {"description": "all of it is on the broker", "headers": {**written, **repeated}}, **_texts(_KEPT | _RETRY)}
    about = "Remote write 1.0 (`prometheus.WriteRequest`) and 2.0 (`io.prometheus.write.v2.Request`), by the content type"
    content = {PROTOBUF: _BINARY}
    return _post(about, "Compressed by snappy (also where nothing is said), zstd or gzip.", content, answers)


def _otlp(signal: str) -> dict[str, Any]:
    answers = {"200": {"description": "partial_success names what was refused", "content": {PROTOBUF: _BINARY, JSON: {}}}}
    content: dict[str, Any] = {PROTOBUF: _BINARY, JSON: {"schema": {"type": "object"}}}
    about = f"OTLP {signal}"
    return _post(about, "Compressed by gzip or zstd, or not.", content, answers | _texts({"400": "it cannot be read"} | _RETRY))


def _lines() -> dict[str, Any]:
    counts = {name: {"type": "integer"} for name in ("accepted", "rejected")}
    counted = {"schema": {"type": "object", "properties": {**counts, "message": {"type": "string"}}}}
    answers = {
        "200": {"description": "accepted and rejected are all records of the body", "content": {JSON: counted}},
        "400": {"description": "the query or the compression is wrong", "content": {PROBLEM_JSON: {"schema": _REF}}},
    }
    content: dict[str, Any] = {"text/plain": {"schema": {"type": "string"}}, "*/*": _BINARY}
    operation = _post("Log lines of files, containers and machines", _LINES_ABOUT, content, answers | _texts(_RETRY))
    about = "what the body is; auto goes by its beginning"
    form = {"name": "form", "in": "query", "description": about, "schema": {"enum": list(LINE_FORMS), "default": "auto"}}
    about = "attributes of the resource that hold for all lines, such as service.name: every parameter with a dot"
    texts = {"type": "object", "additionalProperties": {"type": "string"}}
    resource = {"name": "resource", "in": "query", "style": "form", "explode": True, "description": about, "schema": texts}
    return {**operation, "parameters": [*operation["parameters"], form, resource]}


def _loki() -> dict[str, Any]:
    answers = {"204": {"description": "all of it is on the broker"}, **_texts(_KEPT | _RETRY)}
    about = "Protobuf, compressed by snappy (also where nothing is said), or JSON, compressed by gzip or zstd, or not."
    return _post("Push of Loki", about, {PROTOBUF: _BINARY, JSON: {"schema": {"type": "object"}}}, answers)


def _post(summary: str, about: str, content: dict[str, Any], answers: dict[str, Any]) -> dict[str, Any]:
    refusals = {
        str(status): {"description": TITLES[status], "content": {PROBLEM_JSON: {"schema": _REF}}}
        for status in _REFUSED
        if str(status) not in answers
    }
    return {
        "summary": summary,
        "description": "Role: operator.",
        "parameters": [REQUEST_ID, TENANT],
        "requestBody": {"required": True, "description": about, "content": content},
        "responses": answers | refusals,
    }


def _texts(statuses: dict[str, str]) -> dict[str, Any]:
    return {status: {"description": text} for status, text in statuses.items()}


def _get(summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": responses, "security": []}


def _read(summary: str, answer: str) -> dict[str, Any]:
    return {"summary": summary, "responses": {"200": {"description": answer}}}
