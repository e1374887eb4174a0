"""The index of decision records."""

import re
from pathlib import Path
from typing import Final

from orchestration.reference.markdown import link, page, table, text

_OPENING: Final = """\
Why things are as they are: one record a decision, short, never rewritten, replaced by a later one where a decision changes."""
_ON_THE_SITE: Final = "```{toctree}\n:glob:\n:hidden:\n\nadr/*\n```"


def decisions_page(folder: Path) -> str:
    """Return the page of the records in `folder`."""
    rows = [_row(path) for path in sorted(folder.glob("[0-9]*.md"))]
    return page("Decisions", _OPENING, table(("", "decision", "status"), rows), _ON_THE_SITE)


def _row(path: Path) -> tuple[str, str, str]:
    record = path.read_text(encoding="utf-8")
    number, _, title = record.partition("\n")[0].removeprefix("# ").partition(" ")
    (status,) = re.findall(r"^Status: (.*)$", record, re.MULTILINE)
    return number, link(title, f"../infra/adr/{path.name}"), text(status)
