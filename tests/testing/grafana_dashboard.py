"""The queries of the dashboard that comes with the suite."""

import json
from pathlib import Path
from typing import Any, Final

DASHBOARD: Final = Path(__file__).parents[2] / "infra" / "grafana" / "findings.json"


def dashboard() -> dict[str, Any]:
    """Return the dashboard as Grafana imports it."""
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


def queries(**variables: str) -> list[str]:
    """Return the queries of all panels with their variables filled in."""
    expressions = [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
    for name, value in variables.items():
        expressions = [expression.replace(f"${name}", value) for expression in expressions]
    return expressions
