"""Which notifications follow from what: for each channel once, however often they are made; none for what was never paged."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from aiops.incidents.alert import Severity
from aiops.incidents.correlation.outcome import Page
from aiops.incidents.incident import AlertEntry, Incident, IncidentState, TimelineEvent
from aiops.incidents.root_cause import RootCause, RootCauseReport
from serving.incidents.notify.messages import (
    change_messages,
    escalation_headline,
    escalation_messages,
    messages_for,
    update_messages,
)
from serving.incidents.notify.notice import Notice, notice_of_plain
from serving.incidents.store.records import MessageKind, OutboxMessage
from tests.testing.store_rows import transitioned

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "http://aiops.test:3103/"
CHANNELS = ("slack", "pagerduty")
PAGED = Incident(
    "inc-1",
    IncidentState.OPEN,
    Severity.CRITICAL,
    AT - timedelta(minutes=1),
    AT,
    "db",
    ("db", "cart", "web", "ads"),
    (),
    12,
    (TimelineEvent(AT, "page sent"),),
    notified_at=AT,
)
PAGE = Page("inc-1", AT, Severity.CRITICAL, ("cart", "db", "web", "ads"), 12, 0.0)
REPORT = RootCauseReport(AT, AT, AT, "web", (RootCause("db", 0.82, "db ran out of connections"),), True, "db is the cause")


def notice(message: OutboxMessage) -> Notice:
    return notice_of_plain(message.payload)


def ids(messages: tuple[OutboxMessage, ...]) -> list[str]:
    return [message.message_id for message in messages]


def changed(state: IncidentState, what: str, by: str = "correlator") -> Incident:
    return transitioned(PAGED, state, TimelineEvent(AT + timedelta(minutes=5), what, by))


def test_a_page_reaches_every_channel_once() -> None:
    messages = messages_for(PAGE, PAGED, (*CHANNELS, "slack"), URL)
    assert [message.channel for message in messages] == ["slack", "pagerduty"]
    assert {message.dedupe_key for message in messages} == {"inc-1"}
    assert ids(messages) == ids(messages_for(PAGE, PAGED, CHANNELS, URL))
    page = notice(messages[0])
    assert page.headline == "critical: cart, db, web and 1 more; 12 alerts"
    assert page.url == "http://aiops.test:3103/open/inc-1"
    assert page.cause is None


def test_a_page_names_the_worst_alert_of_equal_ones_the_first() -> None:
    alerts = (("slow disk", Severity.WARNING, 0), ("no answer", Severity.CRITICAL, 2), ("x" * 99, Severity.CRITICAL, 1))
    entries = [AlertEntry(f"f{at}", "cart", name, how, AT + timedelta(seconds=at), AT) for name, how, at in alerts]
    many = notice(messages_for(PAGE, replace(PAGED, alerts=tuple(entries[:2])), CHANNELS, URL)[0])
    assert many.headline == "critical: cart, db, web and 1 more; 12 alerts, such as no answer"
    assert escalation_headline(many) == f"nobody has acknowledged: {many.headline}"
    summary = replace(PAGE, services=("cart",), alert_count=1)
    (long, _) = messages_for(summary, replace(PAGED, alerts=tuple(entries)), CHANNELS, URL)
    assert notice(long).headline == f"critical: cart; 1 alert: {'x' * 79}…"


def test_a_page_after_the_analysis_names_its_cause() -> None:
    cause = notice(messages_for(PAGE, PAGED, CHANNELS, URL, REPORT)[0]).cause
    assert cause is not None
    assert (cause.service, cause.probability, cause.sentence) == ("db", 0.82, "db ran out of connections")


def test_worse_is_another_page_and_says_so() -> None:
    warned = replace(PAGE, severity=Severity.WARNING)
    worse = replace(PAGE, again=True, waited_s=180.0)
    assert not set(ids(messages_for(warned, PAGED, CHANNELS, URL))) & set(ids(messages_for(worse, PAGED, CHANNELS, URL)))
    headline = notice(messages_for(worse, PAGED, CHANNELS, URL)[0]).headline
    assert headline == "worse than notified, now critical: cart, db, web and 1 more; 12 alerts (held back for 3 min)"


def test_state_changes_are_notified_with_who_and_why() -> None:
    acknowledged = change_messages(changed(IncidentState.ACKNOWLEDGED, "acknowledged by ada", "ada"), CHANNELS, URL)
    assert [message.kind for message in acknowledged] == [MessageKind.ACKNOWLEDGED] * 2
    assert notice(acknowledged[0]).headline == "acknowledged by ada"
    resolved = change_messages(changed(IncidentState.RESOLVED, "no alert for 900 s"), CHANNELS, URL)
    assert notice(resolved[0]).headline == "resolved: no alert for 900 s"
    by_hand = change_messages(changed(IncidentState.RESOLVED, "resolved by ada", "ada"), CHANNELS, URL)
    assert notice(by_hand[0]).headline == "resolved by ada"
    assert change_messages(PAGED, CHANNELS, URL) == ()


def test_alerts_after_the_acknowledgement_tell_nothing_new() -> None:
    acknowledged = changed(IncidentState.ACKNOWLEDGED, "acknowledged by ada", "ada")
    busier = replace(acknowledged, alert_count=90, timeline=(*acknowledged.timeline, TimelineEvent(AT, "ads slow: warning")))
    assert ids(change_messages(busier, CHANNELS, URL)) == ids(change_messages(acknowledged, CHANNELS, URL))
    assert notice(change_messages(busier, CHANNELS, URL)[0]).headline == "acknowledged by ada"


def test_who_was_not_paged_hears_nothing_later() -> None:
    for state in IncidentState:
        assert change_messages(replace(PAGED, state=state, notified_at=None), CHANNELS, URL) == ()
    assert update_messages(replace(PAGED, notified_at=None), REPORT, CHANNELS, URL) == ()


def test_a_merged_incident_is_handed_over_where_incidents_are_kept() -> None:
    merged = replace(changed(IncidentState.MERGED, "merged into inc-0"), merged_into="inc-0")
    handed_over = [(message.channel, message.incident_id, message.kind) for message in change_messages(merged, CHANNELS, URL)]
    assert handed_over == [
        ("pagerduty", "inc-0", MessageKind.UPDATE),
        ("slack", "inc-1", MessageKind.RESOLVED),
        ("pagerduty", "inc-1", MessageKind.RESOLVED),
    ]


def test_a_single_update_with_the_first_decided_cause() -> None:
    first = update_messages(PAGED, REPORT, CHANNELS, URL)
    assert notice(first[0]).headline == "probable root cause: db (82%)"
    later = replace(REPORT, made_at=AT + timedelta(minutes=2), causes=(RootCause("web", 0.9, "web"),))
    assert ids(update_messages(PAGED, later, CHANNELS, URL)) == ids(first)
    assert update_messages(PAGED, replace(REPORT, decided=False), CHANNELS, URL) == ()
    assert update_messages(replace(PAGED, state=IncidentState.RESOLVED), REPORT, CHANNELS, URL) == ()


def test_a_false_alarm_is_said_once_and_that_it_is_none_after_all() -> None:
    false = replace(
        REPORT, decided=False, none_probability=0.81, false_alarm=True, statement="Most probably a false alarm (81%)."
    )
    said = update_messages(PAGED, false, CHANNELS, URL, REPORT)
    assert notice(said[0]).headline == "most probably a false alarm (81%)"
    assert ids(update_messages(PAGED, replace(false, made_at=AT + timedelta(minutes=2)), CHANNELS, URL, false)) == ids(said)
    assert update_messages(replace(PAGED, state=IncidentState.RESOLVED), false, CHANNELS, URL) == ()
    after_all = update_messages(PAGED, REPORT, CHANNELS, URL, false)
    assert notice(after_all[0]).headline == "no false alarm after all; probable root cause: db (82%)"
    undecided = update_messages(PAGED, replace(REPORT, decided=False), CHANNELS, URL, false)
    assert notice(undecided[0]).headline == "no false alarm after all; the cause is undecided"
    assert ids(after_all) not in (ids(said), ids(update_messages(PAGED, REPORT, CHANNELS, URL)))


def test_a_single_escalation_an_incident_and_severity() -> None:
    page = notice(messages_for(PAGE, PAGED, CHANNELS, URL)[0])
    due = AT + timedelta(minutes=15)
    first = escalation_messages(page, due, ("escalation",))
    assert (first[0].due_at, first[0].kind) == (due, MessageKind.ESCALATION)
    assert ids(first) == ids(escalation_messages(replace(page, alert_count=99), due, ("escalation",)))
    assert ids(first) != ids(escalation_messages(replace(page, severity=Severity.WARNING), due, ("escalation",)))
