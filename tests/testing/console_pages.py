"""What tests of the console's pages share: opening one, what went wrong in it, and whether it stands in anybody's way."""

from pathlib import Path
from typing import Final

import pytest

from tests.testing.browser import Tab
from tests.testing.console_world import ConsoleWorld

AXE: Final = Path(__file__).parents[2] / "serving/console/app/node_modules/axe-core/axe.min.js"
FAULTS: Final = """
window.faults = [];
addEventListener("securitypolicyviolation", (event) => faults.push(`${event.violatedDirective} ${event.blockedURI}`));
addEventListener("error", (event) => faults.push(event.message));
addEventListener("unhandledrejection", (event) => faults.push(String(event.reason)));
window.alert = () => faults.push("alert");
"""
_RUN_AXE: Final = """
axe.run(document, {
  resultTypes: ["violations"],
  runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
}).then(({violations}) => violations.map(({id, nodes}) => id + nodes.slice(0, 3).map((one) => one.target + one.failureSummary)))
"""


def opened(tab: Tab, world: ConsoleWorld, address: str = "/") -> None:
    """Open a page of the console and wait until it stands."""
    tab.look(1280)
    tab.open(f"{world.url}{address}")
    tab.wait("document.querySelector('main h1') !== null")
    tab.wait("document.body.innerText.includes('Live events: connected') || document.querySelector('.now').offsetParent === null")


def no_faults(tab: Tab) -> None:
    """Fail where the page broke its policy, or an error went past it."""
    assert tab.value("window.faults") == []


def violations(tab: Tab, world: ConsoleWorld, pages: dict[str, str]) -> list[tuple[str, str, str]]:
    """Return what axe finds in pages, {address: what must be true before}, in light and dark; skips where axe is missing."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run `make console`")
    by_page: list[tuple[str, str, str]] = []
    for scheme in ("light", "dark"):
        for address, condition in pages.items():
            opened(tab, world, address)
            tab.look(1280, scheme=scheme)
            tab.wait(condition)
            tab.value("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            tab.value(AXE.read_text(encoding="utf-8") + ";0")
            by_page += [(address, scheme, text) for text in tab.value(_RUN_AXE)]
    return by_page
