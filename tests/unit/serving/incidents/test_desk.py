"""The desk: through the store as without it, over any number of restarts and of desks; people's acts; nothing twice."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aiops.errors import ContractError
from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.incidents.correlation.suppression import Matcher, Silence
from aiops.incidents.incident import Incident, IncidentState
from aiops.settings.responder_settings import ResponderSettings
from aiops.topology.graph import ServiceGraph
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_transaction import Audience
from serving.incidents.desk.detection_alerts import DETECTED
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentFilter, MessageKind, PageRequest, StoredAlert

START = datetime(2026, 3, 2, tzinfo=UTC)
NAMES = ("web", "cart", "db", "pay", "alone")
GRAPH = ServiceGraph.from_pairs([("web", "cart"), ("cart", "db"), ("web", "pay")], NAMES)
RULES = ResponderSettings(clock="event", settle_s=5, window_s=120, quiet_s=200, storm_per_min=25, pages_per_hour=4)
AUDIENCE = Audience(("webhook",), "http://responder")
END_S = 900
ALL = PageRequest(limit=1000)


def alert(number: int, second: float, service: str = "cart", severity: Severity = Severity.CRITICAL, over: bool = False) -> Alert:
    labels = {"service": service, "alertname": "slow"}
    at = START + timedelta(seconds=second)
    return Alert(f"a{number}", fingerprint_of(labels), service, "slow", severity, at, at if over else None, labels=labels)


@st.composite
def floods(draw: st.DrawFn) -> list[Alert]:
    """Return alerts over some minutes, some of them ends, now and then a burst."""
    kinds = st.tuples(st.integers(0, 600), st.sampled_from(NAMES), st.sampled_from(Severity), st.booleans())
    rows = draw(st.lists(kinds, min_size=1, max_size=20))
    rows += [(300 + place // 5, NAMES[place % 4], Severity.CRITICAL, False) for place in range(draw(st.integers(0, 30)))]
    return [alert(number, at, name, severity, over and number % 3 == 0) for number, (at, name, severity, over) in enumerate(rows)]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database without rows, to be copied: migrating one for each example takes long."""
    path = tmp_path_factory.mktemp("desk") / "empty.db"
    IncidentStore.open(f"sqlite:///{path}", "default").close()
    return path


@pytest.fixture
def store(empty: Path, tmp_path: Path) -> Iterator[IncidentStore]:
    with copied(empty, tmp_path / "incidents.db") as opened:
        yield opened


def copied(empty: Path, path: Path) -> IncidentStore:
    path.write_bytes(empty.read_bytes())
    return IncidentStore.open(f"sqlite:///{path}", "default")


def stored_texts(store: IncidentStore) -> tuple[list[Incident], list[tuple[str, str, str]], list[str]]:
    """Return incidents, fates of alerts and notifications."""
    incidents = [store.case(incident.incident_id).incident for incident in store.cases(IncidentFilter(), ALL).items]
    fates = sorted((alert.alert.alert_id, alert.incident_id, alert.fate) for alert in stored(store))
    messages = sorted(message.message_id for incident in incidents for message in store.messages(incident.incident_id))
    return incidents, fates, messages


def stored(store: IncidentStore) -> Sequence[StoredAlert]:
    return store.alerts(None, ALL).items


def delivered(desks: Sequence[Desk], arrivals: list[tuple[float, Alert]], cuts: Sequence[float]) -> None:
    """Hand alerts to the desks in turn, each step what has arrived since the one before."""
    waiting = sorted(arrivals, key=lambda arrival: arrival[0])
    for number, cut in enumerate((*sorted(cuts), END_S, END_S + 20)):
        step = [alert for at, alert in waiting if at <= cut]
        waiting = [arrival for arrival in waiting if arrival[0] > cut]
        desks[number % len(desks)].take(step, {"s": f"{number + 1}-0"}, START + timedelta(seconds=cut))


def second_of(alert: Alert) -> float:
    return (alert.starts_at - START).total_seconds()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(floods(), st.randoms(use_true_random=False), st.lists(st.floats(0, END_S), max_size=5))
def test_arrival_order_restarts_and_other_desks_do_not_matter(
    empty: Path, tmp_path: Path, alerts: list[Alert], rng: random.Random, cuts: list[float]
) -> None:
    with copied(empty, tmp_path / "one.db") as store:
        delivered([Desk(store, RULES, GRAPH, AUDIENCE)], [(second_of(alert), alert) for alert in alerts], ())
        whole = stored_texts(store)
    shuffled = [(second_of(alert) + rng.uniform(0, 4.9), alert) for alert in alerts]
    rng.shuffle(shuffled)
    with copied(empty, tmp_path / "two.db") as store:
        again = [Desk(store, RULES, GRAPH, AUDIENCE) for _ in range(7)]  # a desk a step: each begins from the store
        delivered(again, shuffled, cuts)
        assert stored_texts(store) == whole
    with copied(empty, tmp_path / "three.db") as store:
        delivered([Desk(store, RULES, GRAPH, AUDIENCE) for _ in range(2)], shuffled, cuts)
        assert stored_texts(store) == whole
    assert {number for number, _, _ in whole[1]} == {alert.alert_id for alert in alerts}
    assert all(fate for _, _, fate in whole[1])


def test_an_alert_counts_once_however_often_it_comes(store: IncidentStore) -> None:
    desk = Desk(store, RULES, GRAPH)
    with store.writing() as writer:
        writer.inbox_add([alert(1, 0), alert(2, 1)], START)
    first = desk.take([alert(1, 0), alert(1, 0), alert(3, 2)], {}, START)
    second = Desk(store, RULES, GRAPH).take([alert(3, 2)], {}, START + timedelta(seconds=60))
    assert (sum(first.taken.values()), first.duplicates, sum(second.taken.values()), second.duplicates) == (3, 2, 0, 1)
    (incident,) = desk.tick(START + timedelta(seconds=61)).outcome.incidents or stored_texts(store)[0]
    assert incident.alert_count == 3
    assert store.counts()["inbox"] == 0


def test_a_failed_turn_leaves_no_trace(store: IncidentStore) -> None:
    desk = Desk(store, RULES, GRAPH)
    desk.take([alert(1, 0)], {"s": "1-0"}, START + timedelta(seconds=10))
    before = stored_texts(store)
    with pytest.raises(ContractError, match="itself"):
        _turn_that_ends_badly(desk, before[0][0].incident_id)
    assert stored_texts(store) == before
    assert desk.take([alert(2, 11)], {}, START + timedelta(seconds=30)).duplicates == 0
    assert [incident.state for incident in stored_texts(store)[0]] == [IncidentState.OPEN]


def _turn_that_ends_badly(desk: Desk, incident_id: str) -> None:
    with desk.transaction(START + timedelta(seconds=20)) as transaction:
        transaction.take([alert(2, 11)], None)
        transaction.correlator.change(incident_id, IncidentState.ACKNOWLEDGED, START, "ann")
        transaction.correlator.merge(incident_id, incident_id, START, "ann")


def test_idle_steps_store_nothing(store: IncidentStore) -> None:
    desk = Desk(store, RULES, GRAPH)
    desk.take([alert(1, 0)], {}, START + timedelta(seconds=10))
    with store.writing() as writer:
        seq = writer.desk().seq
    for second in range(11, 30):
        assert desk.tick(START + timedelta(seconds=second)).snapshot_bytes == 0
    with store.writing() as writer:
        assert writer.desk().seq == seq


def test_what_a_process_does_the_other_sees(store: IncidentStore) -> None:
    responder, command = Desk(store, RULES, GRAPH, AUDIENCE), Desk(store, RULES, GRAPH, AUDIENCE)
    responder.take([alert(1, 0), alert(2, 0, "alone")], {}, START + timedelta(seconds=10))
    first, second = (incident.incident_id for incident in responder.open_incidents())
    command.change(first, IncidentState.ACKNOWLEDGED, START + timedelta(seconds=12), "ann", "on it")
    responder.tick(START + timedelta(seconds=20))
    states = {incident.incident_id: incident.state for incident in responder.open_incidents()}
    assert states == {first: IncidentState.ACKNOWLEDGED, second: IncidentState.OPEN}
    assert set(command.merge(first, second, START + timedelta(seconds=30), "ann").services) == {"cart", "alone"}
    responder.take([alert(3, 31, "alone")], {}, START + timedelta(seconds=40))
    assert [incident.incident_id for incident in responder.open_incidents()] == [first]
    assert store.case(second).incident.state is IncidentState.MERGED
    lines = [(entry.by, entry.what, entry.subject) for entry in store.audit(ALL).items]
    assert lines == [("ann", "incident merged", second), ("ann", "incident acknowledged", first)]
    assert store.verify_audit().intact
    kinds = [message.kind for message in store.messages(first)]
    assert kinds.count(MessageKind.PAGE) == 1


def test_what_cannot_be_is_refused_and_changes_nothing(store: IncidentStore) -> None:
    desk = Desk(store, RULES, GRAPH)
    with pytest.raises(ContractError, match="is not open"):
        desk.change("inc-unknown", IncidentState.ACKNOWLEDGED, START, "ann")
    assert store.audit(ALL).items == ()


def test_a_silence_of_another_process_is_in_force_at_once(store: IncidentStore) -> None:
    desk = Desk(store, RULES, GRAPH)
    desk.tick(START)
    quiet = Silence("night", (Matcher("service", "=", "cart"),), START, START + timedelta(hours=1))
    Desk(store, RULES, GRAPH).silence(quiet, START, "ann")
    step = desk.take([alert(1, 5), alert(2, 6, "alone")], {}, START + timedelta(seconds=20))
    assert [fate.reason for fate in step.outcome.fates] == ["silence: night", "opened"]


def test_what_people_say_of_pairs_holds_from_the_next_step_and_a_reload_repeats_nothing(store: IncidentStore) -> None:
    desk = Desk(store, RULES, GRAPH)
    desk.tick(START)
    with store.writing() as writer:
        writer.note("pairs", [["cart", "alone", 3, 0]])
    desk.take([alert(1, 5), alert(2, 6, "alone")], {}, START + timedelta(seconds=20))
    (incident,) = desk.open_incidents()
    assert incident.services == ("cart", "alone")
    assert Desk(store, RULES, GRAPH).tick(START + timedelta(seconds=21)).snapshot_bytes == 0


def test_live_nobody_is_paged_for_what_was_over_long_before_it_was_read(store: IncidentStore) -> None:
    live = RULES.model_copy(update={"clock": "wall"})
    now = START + timedelta(hours=1)
    made = [alert(1, 0), alert(2, 3590, "alone")]
    step = Desk(store, live, GRAPH).take([Alert(**{**plain(alert), "source": DETECTED}) for alert in made], {}, now)
    Desk(store, live, GRAPH).tick(now + timedelta(seconds=10))
    assert step.taken == {DETECTED: 2}
    fates = {alert.alert.alert_id: (alert.fate.partition(":")[0], bool(alert.incident_id)) for alert in stored(store)}
    assert fates == {"a1": ("too old", False), "a2": ("opened", True)}


def plain(alert: Alert) -> dict[str, object]:
    return {name: getattr(alert, name) for name in Alert.__slots__}


def test_the_telemetrys_clock_is_not_moved_by_people_and_never_goes_back(store: IncidentStore) -> None:
    desk = Desk(store, RULES, GRAPH)
    desk.take([alert(1, 0)], {}, START + timedelta(seconds=10))
    (incident,) = desk.open_incidents()
    changed = desk.change(incident.incident_id, IncidentState.ACKNOWLEDGED, START + timedelta(days=200), "ann")
    assert changed.timeline[-1].at == START + timedelta(seconds=10)
    assert store.clock() == START + timedelta(seconds=10)
    assert store.audit(ALL).items[0].at == START + timedelta(days=200)


def test_live_findings_that_come_late_tell_which_service_was_first(store: IncidentStore) -> None:
    desk = Desk(store, RULES.model_copy(update={"clock": "wall"}), GRAPH)
    now = START + timedelta(minutes=10)
    desk.tick(now - timedelta(seconds=1))
    desk.take([alert(1, 540, "cart"), alert(2, 530, "db")], {}, now)
    desk.take([alert(3, 520, "web")], {}, now + timedelta(seconds=1))
    (incident,) = desk.open_incidents()
    assert [
        (entry.service, second_at(entry.first_seen)) for entry in sorted(incident.alerts, key=lambda alert: alert.first_seen)
    ] == [
        ("web", 520),
        ("db", 530),
        ("cart", 540),
    ]
    assert incident.anchor == "db"


def second_at(moment: datetime) -> int:
    return int((moment - START).total_seconds())


def test_a_storm_is_notified_once_as_it_begins_and_once_as_it_ends_by_whichever_desk(store: IncidentStore) -> None:
    rules = RULES.model_copy(update={"clock": "wall", "settle_s": 0.0})
    burst = [alert(number, 100 + number // 10, f"s{number}") for number in range(40)]
    Desk(store, rules, GRAPH).take(burst, {}, START + timedelta(seconds=110))
    for second in (111, 500):
        desk = Desk(store, rules, GRAPH)
        with pytest.raises(ZeroDivisionError), desk.transaction(START + timedelta(seconds=second)):
            1 / 0  # noqa: B018
        desk.tick(START + timedelta(seconds=second))
    assert [event.data["active"] for event in store.events_after(0, 1000) if event.kind == "storm"] == [True, False]
