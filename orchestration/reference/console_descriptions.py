"""What the console's types are made from: the bodies of the APIs behind it, as OpenAPI documents beside its source."""

import json
from pathlib import Path
from typing import Any

from orchestration.reference.inert import automation_api_description, explore_api_description, incident_api_description

_FOLDER = Path("serving/console/app/openapi")


def console_descriptions() -> dict[Path, str]:
    """Return each document by its path below the repository: schemas only, without the version of the suite."""
    documents = {
        "incidents": incident_api_description(),
        "automation": automation_api_description(),
        "explore": explore_api_description(),
    }
    return {_FOLDER / f"{name}.json": _text(document) for name, document in documents.items()}


def rewrite_descriptions(root: Path) -> list[Path]:
    """Write the documents that differ from what the code says into the repository `root`, and return their paths."""
    changed = []
    for path, text in console_descriptions().items():
        target = root / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def _text(document: dict[str, Any]) -> str:
    bodies = {
        "openapi": document["openapi"],
        "info": {"title": document["info"]["title"], "version": "0"},
        "paths": {},
        "components": {"schemas": document["components"]["schemas"]},
    }
    return json.dumps(bodies, indent=1, sort_keys=True) + "\n"
