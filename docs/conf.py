"""Settings of the site's generator (Sphinx with MyST and furo); `make docs` builds it to docs/_build."""

import os
import re
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

project = "aiops-suite"
release = version = installed("aiops-suite")
html_title = f"aiops-suite {release}"
language = "en"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True  # a reference that leads nowhere is a warning, and warnings are errors

myst_heading_anchors = 4  # the same anchors that hosts of repositories give to headings
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_static_path = ["_static"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_use_index = False

# Pages link to files as they lie in the repository, so that links work wherever the Markdown is read. These few are pages here.
PAGES = {
    "infra/adr": "adr",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
}
LINK = re.compile(rf"\]\((?P<up>(?:\.\./)+)(?P<target>{'|'.join(map(re.escape, PAGES))})(?=[/#)])")


def as_pages(text: str, page: str) -> str:
    """Return the Markdown of `page` with links to files that have a page of the site replaced by links to that page."""
    depth = len(Path(page).parts) - 1

    def page_link(link: re.Match[str]) -> str:
        outside = link["up"].count("../") == depth + 1
        return f"]({'../' * depth}{PAGES[link['target']]}" if outside else link[0]

    return LINK.sub(page_link, text)


def include_records(docs: Path) -> None:
    """Give each decision record a page that includes it; records themselves lie in infra/adr, the pages are not kept by git."""
    pages = docs / "adr"
    pages.mkdir(exist_ok=True)
    names = {path.name for path in (docs.parent / "infra" / "adr").glob("[0-9]*.md")}
    for old in {path.name for path in pages.glob("*.md")} - names:
        (pages / old).unlink()
    for new in names - {path.name for path in pages.glob("*.md")}:
        (made := pages / f"{new}.{os.getpid()}").write_text(f"```{{include}} ../../infra/adr/{new}\n```\n", encoding="utf-8")
        made.replace(pages / new)  # whole at once: several builds may run


def _lead_links(_app: object, page: str, source: list[str]) -> None:
    source[0] = as_pages(source[0], page)


def setup(app: Any) -> None:
    """Called by Sphinx before it looks for pages."""
    include_records(Path(app.srcdir))
    app.connect("source-read", _lead_links)
