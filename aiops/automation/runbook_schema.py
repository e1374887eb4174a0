"""The JSON schema of runbooks, as editors and other programs read it."""

import json
from collections.abc import Mapping
from typing import Any

from aiops.automation.runbook import Runbook


def runbook_schema() -> str:
    """Return the schema as text; durations are texts with a unit, in their defaults as well."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Runbook.model_json_schema(by_alias=True)}
    return json.dumps(_with_units(schema), indent=2, ensure_ascii=False) + "\n"


def _with_units(part: Any) -> Any:
    if isinstance(part, list):
        return [_with_units(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    default = part.get("default")
    written = {name: _with_units(value) for name, value in part.items()}
    if part.get("type") == "string" and isinstance(default, float):
        written["default"] = f"{default:g}s"
    return written
