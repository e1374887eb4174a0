"""What the OpenAPI description of every API holds: refusals, tokens, and the headers that each call takes."""

from typing import Any, Final

from data_contracts.series.tenant import DEFAULT_TENANT, TENANT_HEADER
from serving.http.problem import TITLES

_TEXT: Final = {"type": "string"}
PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "description": "A refusal (RFC 9457): what is wrong where, which rule it breaks, what to do.",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        **dict.fromkeys(("type", "title", "detail", "field", "value", "rule", "fix", "request_id"), _TEXT),
        "status": {"type": "integer", "enum": sorted(TITLES)},
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
