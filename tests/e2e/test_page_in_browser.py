"""The pages for people in a real browser: nothing is hidden without a word, and the link of a notification opens its incident."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.testing.browser import Tab, browsing
from tests.testing.incident_api import KEY, RunningApi, bearer, running

INCIDENTS = 160
PAGES = 60


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browsing(tmp_path_factory.mktemp("browser")) as browser_tab:
        yield browser_tab


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    """Serve 160 open incidents, of which a budget of 60 pages an hour held 100 back."""
    with running(tmp_path_factory.mktemp("flooded"), pages_per_hour=PAGES) as api:
        for number in range(INCIDENTS):
            api.open_incident(f"service-{number}")
        yield api


def test_all_open_incidents_are_there_and_held_back_pages_are_told(tab: Tab, flooded: RunningApi) -> None:
    tab.open(flooded.server.url)
    tab.wait("document.querySelectorAll('article').length === 50")
    assert tab.text("#total") == f"{INCIDENTS} open incidents, the worst 50 are shown."
    tab.wait("!document.querySelector('#held').hidden")
    held = len(flooded.store.held_back())
    assert held >= INCIDENTS - PAGES
    assert tab.text("#held strong") == f"{held} pages are held back"
    for shown in (100, 150, INCIDENTS):
        tab.click("#more")
        tab.wait(f"document.querySelectorAll('article').length === {shown}")
    assert tab.text("#total") == f"{INCIDENTS} open incidents."
    assert tab.value("document.querySelector('#more').hidden")
    assert tab.text("#said") == ""


def test_an_incident_that_opens_and_one_that_ends_are_counted(tab: Tab, flooded: RunningApi) -> None:
    tab.open(flooded.server.url)
    tab.wait(f"document.querySelector('#total').textContent.startsWith('{INCIDENTS} open')")
    tab.wait("document.querySelector('#live').textContent === 'live'")
    new = flooded.open_incident("one-more")
    tab.wait(f"document.querySelector('#total').textContent.startsWith('{INCIDENTS + 1} open')")
    assert flooded.post(f"/incidents/{new}/resolve").status_code == 200
    tab.wait(f"document.querySelector('#total').textContent.startsWith('{INCIDENTS} open')")


def test_the_link_of_a_notification_opens_the_incident_also_when_it_is_over(tab: Tab, flooded: RunningApi) -> None:
    incident_id = flooded.open_incident("linked")
    tab.open(f"{flooded.server.url}/incidents/{incident_id}")
    tab.wait("document.querySelectorAll('#one article').length === 1")
    assert tab.value("location.pathname") == f"/open/{incident_id}"
    assert "linked: critical, open" in tab.text("#one h2")
    assert flooded.post(f"/incidents/{incident_id}/resolve").status_code == 200
    tab.wait("document.querySelector('#one h2').innerText.includes('resolved')")
    assert tab.text("#all") == "All open incidents"


def test_with_a_key_the_link_asks_for_a_token_and_then_shows_the_incident(tab: Tab, tmp_path: Path) -> None:
    with running(tmp_path, key=KEY) as api:
        incident_id = api.open_incident("secret")
        tab.open(f"{api.server.url}/open/{incident_id}")
        tab.wait("!document.querySelector('#key').hidden")
        assert "paste your JSON Web Token" in tab.text("#said")
        assert "secret" not in tab.text("#one")
        token = bearer("viewer")["authorization"].removeprefix("Bearer ")
        tab.value(f"document.querySelector('#token').value = '{token}'")
        tab.click("#key button")
        tab.wait("document.querySelectorAll('#one article').length === 1")
        assert "secret: critical, open" in tab.text("#one h2")
        tab.wait("document.querySelector('#said').textContent === ''")


def test_a_link_to_nothing_says_so(tab: Tab, flooded: RunningApi) -> None:
    tab.open(f"{flooded.server.url}/open/inc-none")
    tab.wait("document.querySelector('#said').textContent.includes('inc-none')")
