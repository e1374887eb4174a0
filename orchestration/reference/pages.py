"""Which pages there are, and writing them."""

from pathlib import Path

from aiops.automation.runbook_schema import runbook_schema
from orchestration.reference.action_page import actions_page
from orchestration.reference.call_page import grpc_page
from orchestration.reference.command_page import commands_page
from orchestration.reference.decision_page import decisions_page
from orchestration.reference.fact_page import facts_page
from orchestration.reference.metric_page import metrics_page
from orchestration.reference.operation_pages import http_pages
from orchestration.reference.schema_page import schemas_page
from orchestration.reference.setting_page import settings_page


def reference_pages(root: Path) -> dict[str, str]:
    """Return each page that is made from the code, by its path below `docs` of the repository `root`."""
    return {
        "reference/commands.md": commands_page(),
        "reference/settings.md": settings_page(),
        "reference/schemas.md": schemas_page(),
        **{f"reference/{name}": page for name, page in http_pages().items()},
        "reference/grpc.md": grpc_page(),
        "reference/actions.md": actions_page(),
        "reference/metrics.md": metrics_page(),
        "reference/runbook-facts.md": facts_page(),
        "reference/runbook.schema.json": runbook_schema(),
        "adr.md": decisions_page(root / "infra" / "adr"),
    }


def rewrite(root: Path) -> list[str]:
    """Write the pages that differ from what the code says, and return their names."""
    changed = []
    for name, page in reference_pages(root).items():
        path = root / "docs" / name
        if not path.exists() or path.read_text(encoding="utf-8") != page:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(page, encoding="utf-8")
            changed.append(name)
    return changed
