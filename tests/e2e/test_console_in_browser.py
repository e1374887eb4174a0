"""The console in a real browser, before the real APIs: what a person on call does with it."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aiops.incidents.alert import Severity
from tests.testing.browser import WITHIN_S, Tab, browsing
from tests.testing.console_pages import FAULTS, no_faults, opened, violations
from tests.testing.console_world import HOSTILE, ConsoleWorld, console_world, incident_of
from tests.testing.deadlines import within
from tests.testing.explained_incidents import report
from tests.testing.explored_lake import latency

MEASURES = """
const named = (name) => performance.getEntriesByName(name)[0].startTime;
const asked = () => performance.getEntriesByType("resource");
const askedFirst = () => asked().filter((one) => /session|api/.test(one.name) && one.startTime < named("first-incidents"))
  .map((one) => new URL(one.name).pathname);
function watchRows() {
  window.touched = new Set();
  new MutationObserver((records) => {
    for (const {target} of records) {
      const row = (target.closest ? target : target.parentElement).closest("li.row");
      window.changedAt ??= performance.now();
      touched.add(row ? row.dataset.id : "the list");
    }
  }).observe(document.querySelector(".rows"), {subtree: true, childList: true, characterData: true, attributes: true});
}
"""
SERIES = str(latency("default").series_id)
ROWS = "document.querySelectorAll('.rows li.row').length"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleWorld]:
    with console_world(tmp_path_factory.mktemp("console")) as served:
        yield served


@pytest.fixture(scope="module")
def tab(world: ConsoleWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    assert world.url  # the browser ends before what it is connected to
    with browsing(tmp_path_factory.mktemp("browser")) as browser_tab:
        browser_tab.run_first(FAULTS)
        yield browser_tab


def row_of(service: str) -> str:
    return f"[...document.querySelectorAll('li.row')].find((row) => row.querySelector('.title a')?.textContent === '{service}')"


def state_of(world: ConsoleWorld, incident_id: str) -> str:
    return str(world.incidents.store.case(incident_id).incident.state)


def becomes(world: ConsoleWorld, incident_id: str, state: str) -> None:
    until_s = time.monotonic() + within(WITHIN_S)
    while state_of(world, incident_id) != state:
        assert time.monotonic() < until_s, f"{incident_id} is {state_of(world, incident_id)}"
        time.sleep(0.05)


def test_an_incident_arrives_and_is_acknowledged_by_two_keys(tab: Tab, world: ConsoleWorld) -> None:
    opened(tab, world)
    incident_id = world.incidents.open_incident("arrives")
    tab.wait(f"{row_of('arrives')} !== undefined")
    tab.wait("document.querySelector('#announced').textContent.includes('New critical incident at arrives')")
    tab.press("j")
    assert tab.value("document.activeElement.textContent") == "arrives"
    tab.press("a")
    tab.wait(f"{row_of('arrives')}.dataset.state === 'acknowledged'")
    assert state_of(world, incident_id) == "open"  # there is a moment to take it back
    tab.press("u")
    tab.wait(f"{row_of('arrives')}.dataset.state === 'open'")
    tab.press("a")
    becomes(world, incident_id, "acknowledged")
    tab.wait(f"{row_of('arrives')}.dataset.state === 'acknowledged'")
    assert tab.value("document.activeElement.textContent") == "arrives"
    no_faults(tab)


def test_what_is_refused_is_shown_as_it_was(tab: Tab, world: ConsoleWorld) -> None:
    world.put([incident_of("inc-unknown-to-the-desk", "refused", Severity.WARNING)], "opened")
    opened(tab, world)
    tab.wait(f"{row_of('refused')} !== undefined")
    tab.value(f"{row_of('refused')}.querySelector('button.main').click()")
    assert tab.value(f"{row_of('refused')}.dataset.state") == "acknowledged"
    tab.wait("document.querySelector('.note.bad') !== null")
    tab.wait(f"{row_of('refused')}.dataset.state === 'open'")
    assert "Nothing was changed" in tab.text(".note.bad")


def test_several_are_resolved_at_once_and_leave(tab: Tab, world: ConsoleWorld) -> None:
    both = [world.incidents.open_incident(f"bulk-{number}", Severity.WARNING) for number in range(2)]
    opened(tab, world, "/?text=bulk-")
    tab.wait(f"{ROWS} === 2")
    tab.click(".bulk input")
    tab.wait("document.querySelector('#total').innerText.includes('2 chosen')")
    tab.press("r")
    tab.wait("document.querySelectorAll('li.row[data-state=resolved]').length === 2")
    tab.wait(f"{ROWS} === 0")
    for incident_id in both:
        becomes(world, incident_id, "resolved")
    tab.value(
        "(() => { const state = document.querySelector('.filters select'); state.value = 'resolved';"
        "state.dispatchEvent(new Event('change', {bubbles: true})); })()"
    )
    tab.wait(f"{ROWS} === 2")
    assert tab.text(".bulk") == "2 resolved incidents"


def test_filters_stand_in_the_address_and_survive_the_way_back(tab: Tab, world: ConsoleWorld) -> None:
    for number in range(3):
        world.incidents.open_incident(f"filter-{number}", Severity.WARNING)
    opened(tab, world)
    tab.press("/")
    tab.wait("document.activeElement.id === 'search'")
    tab.enter("filter-")
    tab.wait(f"{ROWS} === 3 && location.search.includes('text=filter-')")
    shown = tab.value("location.href")
    tab.value("document.activeElement.blur()")
    for key in ("j", "j", "Enter"):
        tab.press(key)
    tab.wait("document.querySelector('article.incident') !== null && location.pathname.startsWith('/incidents/')")
    tab.value("history.back()")
    tab.wait(f"document.querySelector('article.incident') === null && {ROWS} === 3")
    assert tab.value("document.querySelector('#search').value") == "filter-"
    tab.open(f"{shown}&severity=critical")
    tab.wait("document.body.innerText.includes('No open incident passes these filters.')")


def test_offline_is_said_and_what_happened_meanwhile_is_there_afterwards(tab: Tab, world: ConsoleWorld) -> None:
    opened(tab, world)
    tab.online(False)
    try:
        tab.wait("document.querySelector('.stale')?.innerText.includes('the API does not answer')")
        assert "Data is as of" in tab.text(".stale")
        world.incidents.open_incident("meanwhile")
    finally:
        tab.online(True)
    tab.wait("document.querySelector('.stale') === null")
    tab.wait(f"{row_of('meanwhile')} !== undefined")


def test_hostile_names_are_text_and_keep_the_layout(tab: Tab, world: ConsoleWorld) -> None:
    incident_id = "inc-hostile"
    world.put([incident_of(incident_id, HOSTILE)], "opened")
    world.explain(incident_id, report())
    for width in (360, 1280):
        opened(tab, world, f"/?text={incident_id}")
        tab.look(width)
        tab.wait(f"{ROWS} === 1")
        assert "<img src=x onerror=alert(1)>⟨U+202E⟩gnp.exe⟨U+200B⟩" in tab.text("li.row .title")
        assert tab.value("document.documentElement.scrollWidth <= innerWidth")
        tab.open(f"{world.url}/incidents/{incident_id}")
        tab.look(width)
        tab.wait("document.querySelector('article.incident h2') !== null")
        tab.click("article.incident h1 button")
        tab.wait("document.querySelector('article.incident h1').innerText.length > 10000")
        assert tab.value("document.documentElement.scrollWidth <= innerWidth")
    assert tab.value("document.querySelectorAll('img[src=x]').length") == 0
    no_faults(tab)


def test_a_plan_is_approved_and_the_verdict_previewed_where_the_incident_is(tab: Tab, world: ConsoleWorld) -> None:
    incident_id = world.incidents.open_incident("planned", Severity.WARNING)
    plan_id = world.propose(incident_id)
    world.explain(incident_id, report())
    opened(tab, world, f"/incidents/{incident_id}")
    tab.wait("document.querySelector('.finding') !== null")
    assert tab.text(".finding") == "cart, 90 %"
    assert "0 %" not in tab.text("#cause").replace("90 %", "")
    tab.wait("document.querySelector('.decision .main') !== null")
    assert "+ old+1" in tab.text(".difference")
    tab.click(".decision .main")
    tab.wait("document.querySelector('.decision') === null && document.querySelector('.plan') !== null")
    assert world.runs.get(plan_id).run.approval is not None
    tab.press("v")
    tab.wait("document.activeElement.id === 'verdict-kind'")
    tab.value("document.querySelector('#verdict').closest('section').querySelector('button[type=submit]').click()")
    tab.wait("document.querySelector('#verdict').closest('section').querySelector('[role=status] li') !== null")
    no_faults(tab)


def test_the_switch_is_turned_and_a_silence_made_and_ended(tab: Tab, world: ConsoleWorld) -> None:
    opened(tab, world, "/act")
    tab.wait("document.querySelector('.danger') !== null")
    tab.click(".danger")
    tab.wait("document.querySelector('#switch').closest('section').innerText.includes('Off: nothing new begins')")
    tab.wait("document.querySelector('#switch').closest('section').querySelector('button.main') !== null")
    tab.click("section button.main")
    tab.wait("document.querySelector('.danger') !== null")
    opened(tab, world, "/quiet?service=noisy")
    tab.wait("document.querySelector('form.stack button.main') !== null")
    tab.click("form.stack button.main")
    tab.wait("[...document.querySelectorAll('.card')].some((card) => /quiet-noisy[^]*holds now/.test(card.innerText))")
    (silence,) = world.incidents.store.silences()
    assert [(matcher.label, matcher.operator, matcher.value) for matcher in silence.matchers] == [("service", "=", "noisy")]
    tab.click("button[aria-label='End it now: quiet-noisy']")
    tab.wait("document.body.innerText.includes('Nothing is silenced.')")
    opened(tab, world, "/audit")
    tab.wait("document.querySelectorAll('tbody tr').length > 3")
    tab.click("main .bulk button")
    tab.wait("document.querySelector('#chain').innerText.includes('are as they were written')")
    no_faults(tab)


def test_a_series_is_found_and_shown_with_its_band_and_detections_and_the_address_shows_it_again(
    tab: Tab, world: ConsoleWorld
) -> None:
    opened(tab, world, "/explore?from=2026-03-02&to=2026-03-02T12:00")
    tab.press("/")
    tab.wait("document.activeElement.className === 'wide search'")
    tab.enter("LATENCY")
    tab.wait("document.querySelectorAll('.series li').length === 1")
    tab.click(".series input")
    tab.wait("document.querySelector('.chart canvas') !== null")
    assert tab.value("location.search.includes('s=" + SERIES + "')")
    said = tab.value("document.querySelector('.chart').ariaLabel")
    assert re.fullmatch(r"[\d.,]+ to [\d.,]+, the newest [\d.,]+; 2 detections", said), said
    assert "last word" in tab.text(".marks")
    tab.value("document.querySelector('.range select').value = '1'")
    tab.value("document.querySelector('.range select').dispatchEvent(new Event('change', {bubbles: true}))")
    tab.wait("performance.getEntriesByType('resource').some(({name}) => name.includes('offset_s=86400'))")
    tab.open(tab.value("location.href"))
    tab.wait("document.querySelector('.chart canvas') !== null")
    assert tab.value("document.querySelector('.range select').value") == "1"
    no_faults(tab)


def test_nothing_in_any_view_stands_in_the_way_of_anybody(tab: Tab, world: ConsoleWorld) -> None:
    incident_id = world.incidents.open_incident("looked-at", Severity.INFO)
    world.explain(incident_id, report())
    world.propose(incident_id)
    over = world.incidents.open_incident("over", Severity.INFO)
    assert world.incidents.post(f"/incidents/{over}/resolve").status_code == 200
    waits = {
        "/": "document.querySelector('li.row') !== null && document.querySelector('.aside .card') !== null",
        "/?state=resolved": "document.querySelector('.now li.row') !== null",
        f"/incidents/{incident_id}": "document.querySelector('.decision') && document.querySelector('.timeline li')",
        "/explore?from=2026-03-02&to=2026-03-02T12:00&s=" + SERIES: "document.querySelector('.chart canvas') !== null",
        "/act": "document.querySelector('.danger') !== null && document.querySelector('.plan') !== null",
        "/quiet": "document.querySelectorAll('h2 .count').length === 3",
        "/audit": "document.querySelector('tbody tr') !== null",
    }
    assert violations(tab, world, waits) == []


def test_a_thousand_incidents_are_all_there_and_one_change_repaints_one(tab: Tab, tmp_path: Path) -> None:
    with console_world(tmp_path) as world:
        many = [incident_of(f"inc-{number:04d}", f"service-{number}") for number in range(1000)]
        world.put([*many, incident_of("inc-large", "large", Severity.WARNING, alerts=5000)])
        opened(tab, world)
        tab.wait(f"{ROWS} === 1001")
        tab.value(MEASURES)
        paint_ms = tab.value("named('first-incidents')")
        # with the stream of events, which goes on, three
        assert sorted(set(tab.value("askedFirst()"))) == ["/api/incidents/incidents", "/session"]
        assert tab.text("#total") == "1,001 open incidents"
        for _ in range(3):
            tab.press("j")
        focused = tab.value("document.activeElement.closest('li').dataset.id")
        tab.wait("location.search.includes('sel=')")
        tab.value("watchRows()")
        world.put([replace(many[500], alert_count=2)], "changed")
        tab.wait("touched.has('inc-0500')")
        update_ms = tab.value("changedAt - asked().filter((one) => one.name.includes('text=inc-0500')).at(-1).responseEnd")
        assert tab.value("[...touched]") == ["inc-0500"]
        assert tab.value("document.activeElement.closest('li').dataset.id") == focused
        tab.open(f"{world.url}/incidents/inc-large")
        tab.wait("document.querySelectorAll('.alert').length === 60")
        tab.value(MEASURES)
        large_ms = tab.value("named('incident') - asked().find((one) => one.name.endsWith('/inc-large')).startTime")
        assert "5,000" in tab.text("#alerts")
        tab.open("about:blank")
        print(f"first paint {paint_ms:.0f} ms, one change {update_ms:.0f} ms, 5,000 alerts {large_ms:.0f} ms")
