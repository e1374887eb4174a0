"""What people said of pairs of services: it holds as a whole, the last word of it counts, and it survives a snapshot."""

from datetime import UTC, datetime, timedelta

import pytest

from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.incidents.correlation.closeness import Closeness
from aiops.incidents.correlation.correlator import Correlator
from aiops.topology.graph import ServiceGraph

START = datetime(2026, 1, 1, tzinfo=UTC)
GRAPH = ServiceGraph.from_pairs([("web", "cart"), ("cart", "db"), ("bank", "ledger")], ["alone"])


def grouped(judgements: dict[tuple[str, str], tuple[int, int]], *services: str) -> list[set[str]]:
    """Return the incidents of one alert a service, a second apart."""
    correlator = Correlator(GRAPH)
    correlator.retaught(judgements)
    alerts = []
    for number, service in enumerate(services):
        print_ = fingerprint_of({"service": service})
        at = START + timedelta(seconds=number)
        alerts.append(Alert(f"{service}{number}", print_, service, "Slow", Severity.WARNING, at))
    correlator.add(alerts)
    correlator.advance(START + timedelta(seconds=30))
    return [set(incident.services) for incident in correlator.open_incidents()]


@pytest.mark.parametrize(
    ("judgements", "services", "expected"),
    [
        ({}, ("cart", "web"), [{"cart", "web"}]),
        ({("web", "cart"): (0, 1)}, ("cart", "web"), [{"cart"}, {"web"}]),
        ({("db", "web"): (0, 1)}, ("db", "web"), [{"db"}, {"web"}]),
        ({("web", "cart"): (1, 1)}, ("cart", "web"), [{"cart", "web"}]),
        ({}, ("alone", "bank"), [{"alone"}, {"bank"}]),
        ({("bank", "alone"): (1, 0)}, ("alone", "bank"), [{"alone", "bank"}]),
        ({("bank", "alone"): (1, 2)}, ("alone", "bank"), [{"alone"}, {"bank"}]),
    ],
)
def test_what_was_said_decides_who_shares_an_incident(
    judgements: dict[tuple[str, str], tuple[int, int]], services: tuple[str, ...], expected: list[set[str]]
) -> None:
    assert grouped(judgements, *services) == expected


def test_the_whole_is_replaced_and_the_order_of_a_pair_does_not_matter() -> None:
    fresh, changed = Closeness(GRAPH), Closeness(GRAPH)
    changed.retaught({("alone", "bank"): (3, 0), ("web", "cart"): (0, 1)})
    changed.retaught({("cart", "web"): (1, 0)})
    fresh.retaught({("web", "cart"): (1, 0)})
    assert changed.snapshot() == fresh.snapshot()
    assert changed.near("web", 2.0) == fresh.near("web", 2.0)
    changed.retaught({})
    assert changed.snapshot() == Closeness(GRAPH).snapshot()


def test_a_word_at_a_time_is_the_same_and_survives_a_snapshot() -> None:
    first, other = Closeness(GRAPH), Closeness(GRAPH)
    for together in (True, True, False):
        first.teach("alone", "bank", together)
    first.teach("web", "cart", together=False)
    other.restore(first.snapshot())  # type: ignore[arg-type]
    assert other.near("alone", 2.0) == first.near("alone", 2.0)
    assert "bank" in other.near("alone", 2.0)
    assert "cart" not in other.near("web", 9.0)
    assert "cart" not in other.called_within("web", 3)
