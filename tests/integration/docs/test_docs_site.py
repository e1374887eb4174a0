"""The site builds without a warning, every link in it leads somewhere, and no page of it loads anything from elsewhere."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.testing.documentation import ROOT

DOCS = ROOT / "docs"
LOADS = {("link", "href"), ("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "src"), ("object", "data")}


@dataclass
class Built:
    """What one page of the site holds: ids that links may lead to, links, and what a browser loads with it."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Built()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.page.ids.add(value)
            elif (tag, name) == ("a", "href") and value:
                self.page.links.append(value)
            elif (tag, name) in LOADS and value:
                self.page.loads.append(value)


def build(docs: Path, out: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "sphinx", "-E", "-W", "--keep-going", "-q", "-b", "html", "-d", f"{out}.trees"]
    return subprocess.run([*command, str(docs), str(out)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("docs") / "site"
    done = build(DOCS, out)
    assert (done.returncode, done.stderr) == (0, "")
    return out


def read(site: Path) -> dict[Path, Built]:
    built = {}
    for path in site.rglob("*.html"):
        reader = Reader()
        reader.feed(path.read_text(encoding="utf-8"))
        built[path.resolve()] = reader.page
    return built


def dead(site: Path) -> Iterator[tuple[str, str]]:
    """Yield page and link where a link of the site leads to no file or to no id of a page."""
    built = read(site)
    for path, page in built.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            ids = built[target].ids if target in built else set()
            if not target.exists() or (parts.fragment and unquote(parts.fragment) not in ids):
                yield path.name, link


def foreign(site: Path) -> Iterator[tuple[str, str]]:
    """Yield file and address of what a browser would load from elsewhere."""
    for path, page in read(site).items():
        yield from ((path.name, load) for load in page.loads if urlsplit(load).netloc)
    for path in site.rglob("*.css"):
        styles = path.read_text(encoding="utf-8")
        yield from ((path.name, load) for load in re.findall(r"(?:url\(|@import\s+)['\"]?((?:https?:)?//[^'\")\s]+)", styles))


@pytest.mark.slow
def test_every_page_has_its_place_and_every_link_leads_somewhere(site: Path) -> None:
    pages = {path.relative_to(site).as_posix() for path in read(site)}
    written = {
        path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md") if "_build" not in path.parts
    }
    assert written <= pages
    assert len([page for page in pages if page.startswith("adr/")]) == len(list((ROOT / "infra" / "adr").glob("*.md")))
    assert list(dead(site)) == []


@pytest.mark.slow
def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    assert list(foreign(site)) == []


@pytest.mark.parametrize(
    ("page", "complaint"),
    [
        ("# Title\n\n[lost](none.md)\n", "none.md"),
        ("# Title\n\n[lost](#nowhere)\n", "nowhere"),
        ("# Title\n\n![lost](none.svg)\n", "none.svg"),
        ("# Title\n\n### Too deep\n", "header level"),
    ],
)
def test_a_page_with_a_fault_does_not_build(page: str, complaint: str, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "_static").mkdir(parents=True)
    shutil.copy(DOCS / "conf.py", docs)
    (docs / "index.md").write_text(page, encoding="utf-8")
    done = build(docs, tmp_path / "site")
    assert done.returncode != 0
    assert complaint in done.stderr


def test_dead_links_and_foreign_loads_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="b.html#there">1</a><a href="b.html#none">2</a><a href="c.html">3</a><a href="#here">4</a>'
        '<a href="https://example.org">5</a><script src="https://example.org/x.js"></script>',
        encoding="utf-8",
    )
    (tmp_path / "b.html").write_text('<h1 id="there">b</h1>', encoding="utf-8")
    (tmp_path / "x.css").write_text(
        "@import 'https://example.org/x.css'; a { background: url(//example.org/y.png) }", encoding="utf-8"
    )
    assert list(dead(tmp_path)) == [("a.html", "b.html#none"), ("a.html", "c.html")]
    assert [load for _, load in foreign(tmp_path)] == [
        "https://example.org/x.js",
        "https://example.org/x.css",
        "//example.org/y.png",
    ]


def test_links_to_files_that_have_a_page_lead_to_it() -> None:
    """In the repository a link is a path to a file; on the site the page of that file stands for it."""
    import runpy

    as_pages = runpy.run_path(str(DOCS / "conf.py"))["as_pages"]
    assert as_pages("[a](../infra/adr/0001-x.md) [b](../CHANGELOG.md#x)", "limits") == "[a](adr/0001-x.md) [b](changelog.md#x)"
    assert as_pages("[a](../../infra/adr/0001-x.md)", "how-to/deploy") == "[a](../adr/0001-x.md)"
    assert as_pages("[a](../infra/README.md) [b](../limits.md)", "how-to/deploy") == "[a](../infra/README.md) [b](../limits.md)"
