"""What the OpenAPI description of every API holds: refusals, tokens, and the headers that each call takes."""

from typing import Any, Final

from data_contracts.series.tenant import DEFAULT_TENANT, TENANT_HEADER
from serving.http.problem import TITLES

_TEXT: Final = {"type": "string"}
_PROBLEM_TEXTS: Final = {
    "type": "urn:aiops:problem: and a stable word for programs, such as invalid, not-found or conflict",
    "title": "what the status means",
    "detail": "what is wrong, in sentences, for people",
    "field": "name of the field that is wrong; absent = it is not about a field",
    "value": "the value it had, cut to 100 characters; absent = none or empty",
    "rule": "the rule that it breaks; absent = none is named",
    "fix": "what to do instead; absent = nothing is known",
    "request_id": "id of the request, that of the header x-request-id; the logs name it",
}
PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A refusal (RFC 9457): what is wrong where, which rule it breaks, what to do.",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        **{name: {**_TEXT, "description": meaning} for name, meaning in _PROBLEM_TEXTS.items()},
        "status": {"type": "integer", "enum": sorted(TITLES), "description": "the HTTP status"},
    },
}
SECURITY: Final[dict[str, Any]] = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "Claims exp, role (viewer, operator or admin), sub, and tenants (names, or *; without it only `default`). "
    "Without a key only this machine is answered.",
}
REQUEST_ID: Final[dict[str, Any]] = {
    "name": "x-request-id",
    "in": "header",
    "required": False,
    "description": "1 to 64 of letters, digits and ._:-; comes back with the answer",
    "schema": {**_TEXT, "examples": ["deploy-17"]},
}
TENANT: Final[dict[str, Any]] = {
    "name": TENANT_HEADER,
    "in": "header",
    "required": False,
    "description": "whose data the call is about; within the token's claim tenants",
    "schema": {**_TEXT, "default": DEFAULT_TENANT, "examples": [DEFAULT_TENANT]},
}
