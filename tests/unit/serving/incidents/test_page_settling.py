"""The first page waits for what else fires and names all of it; people are told of pages that wait."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from aiops.errors import ConfigurationError
from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.incidents.correlation.correlation_config import CorrelationConfig
from aiops.incidents.correlation.correlator import Correlator
from aiops.incidents.correlation.outcome import HeldNote, Outcome, Page
from aiops.incidents.incident import IncidentState
from aiops.topology.graph import ServiceGraph
from serving.incidents.desk.desk_transaction import Audience, messages_of
from serving.incidents.notify.messages import held_messages
from serving.incidents.notify.notice import notice_of_plain
from serving.incidents.notify.pagerduty import pagerduty_event
from serving.incidents.store.records import MessageKind, OutboxMessage

START = datetime(2026, 3, 2, tzinfo=UTC)
GRAPH = ServiceGraph.from_pairs([("web", "cart"), ("cart", "db")], [f"s{number}" for number in range(120)])
HOUR_S = 3600.0


def after(second: float) -> datetime:
    return START + timedelta(seconds=second)


def alert(second: float, service: str, severity: Severity = Severity.CRITICAL, name: str = "Slow") -> Alert:
    labels = {"service": service, "alertname": name}
    return Alert(f"{service}-{name}-{second}", fingerprint_of(labels), service, name, severity, after(second), labels=labels)


def pages(correlator: Correlator, alerts: list[Alert], until: float) -> tuple[Page, ...]:
    correlator.add(alerts)
    return correlator.advance(after(until)).pages


def test_three_alerts_within_a_second_are_a_single_page_that_names_all_three() -> None:
    (page,) = pages(Correlator(GRAPH), [alert(0.0, "web"), alert(0.4, "cart"), alert(0.9, "db")], 30)
    assert set(page.services) == {"web", "cart", "db"}
    assert (page.alert_count, page.again) == (3, False)


def test_a_critical_page_never_waits_longer_than_the_settle_time() -> None:
    correlator = Correlator(GRAPH, CorrelationConfig(page_settle_s=3.0))
    steady = [alert(number / 2, "web", name=f"n{number}") for number in range(20)]
    (page,) = pages(correlator, steady, 60)
    assert page.at == after(3)
    assert page.alert_count == 6, "all that came before it went out"
    with pytest.raises(ConfigurationError, match="page_settle_s=-1"):
        CorrelationConfig(page_settle_s=-1)


def test_a_warning_that_becomes_critical_while_it_waits_is_a_single_critical_page() -> None:
    warned = [alert(0, "web", Severity.WARNING, "A"), alert(0.5, "web", Severity.WARNING, "B")]
    (page,) = pages(Correlator(GRAPH), [*warned, alert(1, "cart")], 60)
    assert (page.severity, page.services[0], page.again) == (Severity.CRITICAL, "cart", False)


def test_what_somebody_takes_while_its_page_waits_pages_nobody_and_what_ends_meanwhile_does() -> None:
    correlator = Correlator(GRAPH)
    correlator.add([alert(0, "web")])
    (incident,) = correlator.advance(after(2.5)).incidents
    correlator.change(incident.incident_id, IncidentState.ACKNOWLEDGED, after(2.5), "ann")
    assert correlator.advance(after(60)).pages == ()


def test_merged_incidents_page_once_and_not_later_than_the_first_of_them() -> None:
    (page,) = pages(Correlator(GRAPH), [alert(0, "db"), alert(1, "s1"), alert(2, "web"), alert(2.5, "cart")], 5.5)
    assert (page.at, set(page.services)) == (after(3), {"db", "web", "cart"})


def test_a_page_that_waits_survives_a_restart() -> None:
    correlator = Correlator(GRAPH)
    correlator.add([alert(0, "web")])
    assert correlator.advance(after(2.5)).pages == ()
    assert correlator.pages_waiting == 1
    again = Correlator(GRAPH).restore(json.loads(json.dumps(correlator.snapshot())))
    assert again.pages_waiting == 1
    assert [page.at for page in again.advance(after(60)).pages] == [after(3)]


def flooded(until: float, count: int = 100) -> tuple[Correlator, Outcome]:
    """Return a correlator with more incidents than its budget has pages."""
    correlator = Correlator(GRAPH, CorrelationConfig(pages_per_hour=4, kept_for_critical=0, quiet_s=10_000))
    correlator.add([alert(number / 10, f"s{number}") for number in range(count)])
    return correlator, correlator.advance(after(until))


def test_people_are_notified_once_how_many_pages_wait_and_again_every_hour() -> None:
    correlator, outcome = flooded(200)
    assert len(outcome.pages) == 4
    (note,) = outcome.held_notes
    assert (note.count, note.severity) == (96, Severity.CRITICAL)
    assert timedelta(seconds=60) <= note.at - after(0.3 + 3) <= timedelta(seconds=75)
    assert correlator.advance(after(HOUR_S - 10)).held_notes == ()
    correlator = Correlator(GRAPH, CorrelationConfig(pages_per_hour=4, kept_for_critical=0, quiet_s=10_000)).restore(
        json.loads(json.dumps(correlator.snapshot()))
    )
    later = correlator.advance(after(HOUR_S + 200)).held_notes
    assert [note.count for note in later] == [92]


def test_people_are_notified_when_no_page_waits_any_more() -> None:
    correlator, outcome = flooded(200, count=5)
    assert [note.count for note in outcome.held_notes] == [1]
    later = correlator.advance(after(2 * HOUR_S))
    assert len(later.pages) == 1
    assert [note.count for note in later.held_notes] == [0]
    assert correlator.advance(after(3 * HOUR_S)).held_notes == ()


def test_nobody_is_notified_of_a_page_that_waits_for_a_moment_only() -> None:
    correlator = Correlator(GRAPH, CorrelationConfig(pages_per_hour=1, kept_for_critical=0, quiet_s=30))
    correlator.add([alert(0, "s1"), alert(1, "s2")])
    assert correlator.advance(after(3000)).held_notes == ()


def only(messages: tuple[OutboxMessage, ...]) -> OutboxMessage:
    (message,) = messages
    return message


def test_the_note_about_held_pages_says_how_many_and_where_they_are() -> None:
    note = HeldNote(START, 100, Severity.CRITICAL, ("web", "cart"))
    message = only(held_messages(note, ("slack",), "http://aiops.test"))
    notice = notice_of_plain(message.payload)
    assert notice.kind is MessageKind.HELD_BACK
    assert notice.headline.startswith("100 pages are held back, the worst critical: web, cart;")
    assert notice.url == "http://aiops.test/"
    again = only(held_messages(HeldNote(after(HOUR_S), 3), ("slack",), "http://aiops.test"))
    assert again.message_id != message.message_id
    over = only(held_messages(HeldNote(after(2 * HOUR_S), 0), ("pagerduty",), "http://aiops.test"))
    event = pagerduty_event(notice_of_plain(over.payload), over.dedupe_key, "key")
    assert (over.kind, event["event_action"], event["dedup_key"]) == (MessageKind.RESOLVED, "resolve", "held-back")


def test_a_step_of_the_desk_sends_the_note() -> None:
    _, outcome = flooded(200)
    messages = messages_of(outcome, Audience(("log",), "http://aiops.test"))
    assert [message.kind for message in messages].count(MessageKind.HELD_BACK) == 1
