"""Services and signals in a real browser: the call graph of two thousand services, and series beside what was expected."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from aiops.incidents.alert import Severity
from serving.incidents.desk.detection_alerts import FORESEEN, FORESEEN_NAME
from serving.tables.graph_store import GraphStore
from tests.testing.browser import Tab, browsing
from tests.testing.console_pages import FAULTS, no_faults, opened, violations
from tests.testing.console_world import HOSTILE, ConsoleWorld, console_world, incident_of
from tests.testing.deadlines import within
from tests.testing.explained_incidents import report
from tests.testing.explored_lake import fill
from tests.testing.incident_api import alert_at

MANY = 2000
INTERACTIVE_S = 1.5
FRAMES = """
(async () => {
  const picture = document.querySelector('.picture canvas');
  let slowest = 0;
  for (let turn = 0; turn < 20; turn += 1) {
    const began = performance.now();
    const key = turn % 2 ? 'ArrowLeft' : '+-'[(turn >> 1) % 2];
    picture.dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    slowest = Math.max(slowest, performance.now() - began);
  }
  return slowest;
})()
"""


def calls() -> list[tuple[str, str]]:
    """Return about 6,000 calls: five layers of 400 services, each of which calls three of the next."""
    names = [[f"team-{layer}-service-{number:04d}" for number in range(MANY // 5)] for layer in range(5)]
    return [
        (caller, callees[(number * 7 + call * 131) % len(callees)])
        for callers, callees in pairwise(names)
        for number, caller in enumerate(callers)
        for call in range(3)
    ]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    with console_world(tmp_path_factory.mktemp("console")) as served:
        graph, now = GraphStore(served.incidents.lake), datetime.now(UTC)
        graph.replace_configured([("old-web", "old-cart"), (HOSTILE, "old-cart")], now - timedelta(hours=6))
        graph.replace_configured(calls(), now - timedelta(hours=3))
        served.put([incident_of("inc-1", "team-2-service-0123"), incident_of("inc-2", "team-1-service-0007", Severity.WARNING)])
        fill(served.incidents.lake)
        yield served


@pytest.fixture(scope="module")
def tab(world: ConsoleWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    assert world.url  # the browser ends before what it is connected to
    with browsing(tmp_path_factory.mktemp("browser")) as browser_tab:
        browser_tab.run_first(FAULTS)
        yield browser_tab


def test_two_thousand_services_are_found_their_way(tab: Tab, world: ConsoleWorld) -> None:
    opened(tab, world, "/services")
    tab.wait("performance.getEntriesByName('services').length")
    first_ms = tab.value("performance.getEntriesByName('services')[0].startTime")
    assert tab.text("#service") == "team-2-service-0123"  # the worst is shown first
    assert "critical" in tab.text("#service-standing")
    tab.wait("document.querySelector('#graph-total').innerText.includes('of 2,000 services')")
    tab.press("/")
    tab.wait("document.activeElement.id === 'service-search'")
    tab.enter("team-4-service-0399")
    tab.wait("document.querySelectorAll('section .choices button').length && document.activeElement.id === 'service-search'")
    tab.wait("document.querySelector('#all-services').innerText.endsWith(' 1')")
    tab.press("Tab")
    assert tab.value("document.activeElement.textContent") == "team-4-service-0399"
    tab.press("Enter")
    tab.wait("document.querySelector('#service').innerText === 'team-4-service-0399'")
    assert "service=team-4-service-0399" in tab.value("location.search")
    assert "it is not known to call any" in tab.text("main")
    world.put([incident_of("inc-3", "team-0-service-0001")], "opened")  # worse or not, it leads nobody away
    tab.wait("document.querySelector('#announced').textContent.includes('team-0-service-0001')")
    assert tab.text("#service") == "team-4-service-0399"
    tab.value("history.back()")
    tab.wait("document.querySelector('#service').innerText === 'team-2-service-0123'")
    opened(tab, world, "/services?hops=all")
    tab.wait("performance.getEntriesByName('services').length")
    whole_ms = tab.value("performance.getEntriesByName('services')[0].startTime")
    frame_ms = tab.value(FRAMES)
    print(f"services: around one {first_ms:.0f} ms, all 2,000 {whole_ms:.0f} ms, slowest move {frame_ms:.0f} ms")
    assert max(first_ms, whole_ms) < 1000 * within(INTERACTIVE_S)
    assert frame_ms < 1000 * within(0.5)
    no_faults(tab)


def test_the_past_is_shown_as_it_was(tab: Tab, world: ConsoleWorld) -> None:
    before = (datetime.now(UTC) - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
    opened(tab, world, f"/services?at={before}&service=team-2-service-0123")
    tab.wait("document.querySelector('#service-standing')?.innerText.includes('no open incident')")
    long_before = (datetime.now(UTC) - timedelta(hours=5)).isoformat().replace("+00:00", "Z")
    opened(tab, world, f"/services?at={long_before}")
    tab.wait("document.querySelector('#graph-total')?.innerText === '3 services, 2 calls'")
    tab.value("[...document.querySelectorAll('.choice')].find((button) => button.textContent.startsWith('<img')).click()")
    tab.wait("document.querySelector('#service')?.innerText.startsWith('<img src=x onerror=alert(1)>⟨U+202E⟩')")
    assert tab.value("document.documentElement.scrollWidth <= innerWidth")
    no_faults(tab)


def test_what_was_seen_stands_beside_what_was_expected_and_what_happened(tab: Tab, world: ConsoleWorld) -> None:
    incident_id = world.incidents.open_incident("checkout")
    world.explain(incident_id, report())
    opened(tab, world, f"/incidents/{incident_id}")
    tab.wait("document.querySelector('.plot .seen')?.getAttribute('d').startsWith('M')")
    assert tab.value("document.querySelector('.plot .band').getAttribute('d').startsWith('M')")
    assert "expected 80 to 140" in tab.text(".plot .reading")
    kinds = tab.value("[...new Set([...document.querySelectorAll('.plot .mark')].map((mark) => mark.classList[1]))]")
    assert {"onset", "change"} <= set(kinds)
    for width in (360, 1280):
        tab.look(width)
        tab.wait("document.querySelector('.plot svg').getBoundingClientRect().right <= innerWidth")
        assert tab.value("document.documentElement.scrollWidth <= innerWidth")
    no_faults(tab)


def test_alerts_link_to_their_runbook_and_what_is_foreseen_says_how_soon(tab: Tab, world: ConsoleWorld) -> None:
    labels = {"alertname": "Slow", "service": "noted", "severity": "critical", "pod": "noted-1"}
    notes = {
        "summary": "p99 is high",
        "runbook_url": "https://runbooks.example.org/slow",
        "dashboard_url": "javascript:alert(1)",
    }
    began = datetime.now(UTC) - timedelta(seconds=5)
    sent = {
        "version": "4",
        "alerts": [{"status": "firing", "labels": labels, "annotations": notes, "startsAt": began.isoformat()}],
    }
    assert world.incidents.post("/alerts/alertmanager", sent).status_code == 202
    coming = replace(alert_at("coming", began, Severity.WARNING, FORESEEN_NAME), source=FORESEEN, score=0.7)
    world.incidents.desk.take([replace(coming, labels=coming.labels | {"horizon": "15 min"})], {}, datetime.now(UTC))
    (noted,) = (held.incident_id for held in world.incidents.desk.open_incidents() if "noted" in held.services)
    opened(tab, world, f"/incidents/{noted}")
    tab.wait("document.querySelector('.alert a') !== null")
    assert "p99 is high" in tab.text(".alert")
    links = tab.value("[...document.querySelectorAll('.alert a')].map((link) => link.href)")
    assert links == [notes["runbook_url"]]
    opened(tab, world, "/")
    tab.wait("document.querySelector('.aside').innerText.includes('within 15 min, 70 %')")
    assert tab.value("document.title").startswith("(")
    no_faults(tab)


def test_neither_stands_in_the_way_of_anybody(tab: Tab, world: ConsoleWorld) -> None:
    incident_id = world.incidents.open_incident("looked-at")
    world.explain(incident_id, report())
    pages = {
        "/services": "document.querySelector('#service') && performance.getEntriesByName('services').length",
        f"/incidents/{incident_id}": "document.querySelector('.plot .seen') !== null",
    }
    assert violations(tab, world, pages) == []
