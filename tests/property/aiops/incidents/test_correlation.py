"""Correlation: arrival order does not matter, no alert is lost, the budget holds, a split run is the whole run."""

import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.incidents.correlation.correlation_config import CorrelationConfig
from aiops.incidents.correlation.correlator import Correlator
from aiops.incidents.correlation.outcome import Outcome
from aiops.incidents.correlation.suppression import MaintenanceWindow, Matcher, Suppression
from aiops.incidents.incident import Incident, IncidentState
from aiops.topology.graph import ServiceGraph

START = datetime(2026, 3, 2, tzinfo=UTC)
NAMES = ("web", "cart", "db", "disk", "pay", "bank", "mail", "alone")
GRAPH = ServiceGraph.from_pairs(
    [("web", "cart"), ("cart", "db"), ("db", "disk"), ("web", "pay"), ("pay", "bank"), ("bank", "web"), ("mail", "db")], NAMES
)
RULES = Suppression(
    (MaintenanceWindow("m", (Matcher("service", "=", "pay"),), START, START + timedelta(seconds=40), timedelta(minutes=5)),)
)
CONFIG = CorrelationConfig(
    settle_s=5,
    window_s=120,
    least_window_s=20,
    calm_per_min=5,
    quiet_s=200,
    storm_per_min=25,
    pages_per_hour=4,
    kept_for_critical=1,
)
END = 1500.0


@st.composite
def streams(draw: st.DrawFn) -> list[Alert]:
    """Return alerts over 20 minutes, some of them ends, with unique ids; now and then a burst."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 1200), st.sampled_from(NAMES), st.sampled_from("ABC"), st.sampled_from(Severity), st.booleans()
            ),
            min_size=1,
            max_size=60,
        )
    )
    burst = draw(st.integers(0, 40))
    rows += [(600 + place // 4, NAMES[place % 5], "ABC"[place % 3], Severity.CRITICAL, False) for place in range(burst)]
    made = []
    for number, (second, service, name, severity, over) in enumerate(rows):
        labels = {"service": service, "alertname": name}
        at = START + timedelta(seconds=second)
        ends = at if over and number % 3 == 0 else None
        made.append(Alert(f"a{number}", fingerprint_of(labels), service, name, severity, at, ends, labels=labels))
    return made


def run(arrivals: list[tuple[float, Alert]], cuts: tuple[float, ...] = (), restore_each: bool = False) -> list[Outcome]:
    """Deliver alerts at their arrival times, advancing at each cut and at the end."""
    correlator, outcomes = Correlator(GRAPH, CONFIG, RULES), []
    waiting = sorted(arrivals, key=lambda arrival: arrival[0])
    for cut in (*sorted(cuts), END + 400):
        correlator.add([alert for at, alert in waiting if at <= cut])
        waiting = [arrival for arrival in waiting if arrival[0] > cut]
        outcomes.append(correlator.advance(START + timedelta(seconds=cut)))
        if restore_each:
            state = json.loads(json.dumps(correlator.snapshot()))
            correlator = Correlator(GRAPH, CONFIG, RULES).restore(state)
    return outcomes


def last_of(outcomes: list[Outcome]) -> dict[str, Incident]:
    return {incident.incident_id: incident for outcome in outcomes for incident in outcome.incidents}


def content(outcomes: list[Outcome]) -> tuple[object, ...]:
    fates = tuple(fate for outcome in outcomes for fate in outcome.fates)
    return fates, tuple(page for outcome in outcomes for page in outcome.pages), last_of(outcomes)


def second_of(alert: Alert) -> float:
    return ((alert.ends_at or alert.starts_at) - START).total_seconds()


@settings(max_examples=60, deadline=None)
@given(streams(), st.randoms(use_true_random=False), st.lists(st.floats(0, END), max_size=6))
def test_arrival_order_and_cuts_do_not_matter(alerts: list[Alert], rng: random.Random, cuts: list[float]) -> None:
    whole = run([(second_of(alert), alert) for alert in alerts])
    shuffled = [(second_of(alert) + rng.uniform(0, 4.9), alert) for alert in alerts]
    rng.shuffle(shuffled)
    assert content(run(shuffled, tuple(cuts))) == content(whole)


@settings(max_examples=60, deadline=None)
@given(streams(), st.lists(st.floats(0, END), max_size=6))
def test_a_split_run_is_the_whole_run(alerts: list[Alert], cuts: list[float]) -> None:
    arrivals = [(second_of(alert), alert) for alert in alerts]
    assert content(run(arrivals, tuple(cuts), restore_each=True)) == content(run(arrivals))


@settings(max_examples=60, deadline=None)
@given(streams())
def test_no_alert_is_lost(alerts: list[Alert]) -> None:
    outcomes = run([(second_of(alert), alert) for alert in alerts])
    fates = [fate for outcome in outcomes for fate in outcome.fates]
    assert Counter(fate.alert_id for fate in fates) == Counter(alert.alert_id for alert in alerts)
    assert all(fate.incident_id or fate.reason.startswith(("maintenance: ", "ended: ")) for fate in fates)
    incidents = last_of(outcomes)
    assert {fate.incident_id for fate in fates if fate.incident_id} <= set(incidents)
    kept = [incident for incident in incidents.values() if incident.state is not IncidentState.MERGED]
    assert sum(incident.alert_count for incident in kept) == sum(bool(fate.incident_id) for fate in fates)
    assert all(incident.merged_into in incidents for incident in incidents.values() if incident.state is IncidentState.MERGED)


@settings(max_examples=60, deadline=None)
@given(streams())
def test_the_page_budget_is_never_exceeded_and_incidents_page_again_only_as_they_become_worse(alerts: list[Alert]) -> None:
    outcomes = run([(second_of(alert), alert) for alert in alerts])
    pages = [page for outcome in outcomes for page in outcome.pages]
    for page in pages:
        hour = [other for other in pages if timedelta(0) <= page.at - other.at < timedelta(hours=1)]
        assert len(hour) <= CONFIG.pages_per_hour
    assert all(count == 1 for count in Counter((page.incident_id, page.severity) for page in pages).values())
    firsts = Counter(page.incident_id for page in pages if not page.again)
    assert set(firsts) == {page.incident_id for page in pages}
    assert set(firsts.values()) <= {1}


@settings(max_examples=60, deadline=None)
@given(streams())
def test_incidents_never_join_what_nothing_links(alerts: list[Alert]) -> None:
    unlearned = [(second_of(alert), alert) for alert in alerts if second_of(alert) < 700]
    for incident in last_of(run(unlearned)).values():
        assert len({GRAPH.component_of(service) for service in incident.services}) == 1
