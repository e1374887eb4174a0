"""What channels are sent: valid whatever a label holds, within the receivers' limits, and never a mention."""

import json
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from aiops.errors import ConfigurationError
from aiops.incidents.alert import Severity
from aiops.incidents.incident import Incident, IncidentState
from aiops.settings.responder_settings import ResponderSettings
from serving.incidents.notify.channels import LogChannel, base_url, channel_names, channels_of, escalation_names
from serving.incidents.notify.delivery import MOST_WAIT_S, Outcome, Poster, attempt_of
from serving.incidents.notify.notice import Cause, Notice, notice_of, notice_of_plain, plain_notice
from serving.incidents.notify.pagerduty import pagerduty_event
from serving.incidents.notify.schedule import Backoff, next_message
from serving.incidents.notify.slack import SECTION_CHARACTERS, TEXT_CHARACTERS, escaped, slack_body
from serving.incidents.notify.webhook_channel import webhook_body
from serving.incidents.store.records import MessageKind, OutboxMessage

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
CAUSE = Cause("db", 0.8213, True, "db ran out of connections")
NOTICE = Notice(
    MessageKind.PAGE,
    "inc-1",
    IncidentState.OPEN,
    Severity.CRITICAL,
    AT,
    ("cart", "web"),
    25,
    1200,
    "critical: cart, web",
    "http://aiops.test/open/inc-1",
    CAUSE,
)
KEY = "R0" * 16
texts = st.text(max_size=300) | st.sampled_from(
    ["<!channel>", "<@U123>", "@here", "&lt;", "a\nb", "<http://x|y>", "@all" * 2000, "*&" * 4000]
)


@st.composite
def notices(draw: st.DrawFn) -> Notice:
    services = tuple(draw(st.lists(texts, max_size=30)))
    incident = Incident("inc-1", IncidentState.OPEN, draw(st.sampled_from(Severity)), AT, AT, "a", services, (), 3, ())
    made = notice_of(incident, draw(st.sampled_from(MessageKind)), AT, draw(texts), "http://aiops.test/")
    cause = st.none() | st.builds(Cause, texts, st.floats(0, 1), st.booleans(), texts)
    return replace(made, cause=draw(cause))


def strings(payload: Any) -> list[str]:
    if isinstance(payload, dict):
        return [text for value in payload.values() for text in strings(value)]
    if isinstance(payload, list):
        return [text for value in payload for text in strings(value)]
    return [payload] if isinstance(payload, str) else []


@given(notices())
def test_no_label_breaks_a_payload(notice: Notice) -> None:
    assert notice_of_plain(json.loads(json.dumps(plain_notice(notice)))) == notice
    hook = orjson.loads(orjson.dumps(webhook_body(notice, "msg-1")))
    assert (hook["headline"], hook["severity"]) == (notice.headline, notice.severity.name.lower())

    slack = orjson.loads(orjson.dumps(slack_body(notice)))
    assert len(slack["text"]) <= TEXT_CHARACTERS
    assert all(len(block["text"]["text"]) <= SECTION_CHARACTERS for block in slack["blocks"] if block["type"] == "section")
    for text in strings(slack):
        assert set(re.findall(r"<([^>]*)>", text)) <= {"http://aiops.test/open/inc-1|Open the incident"}
        assert not re.search(r"@(?!\u200b)", text)
        assert re.sub(r"&(amp|lt|gt);", "", text).count("&") == 0

    event = pagerduty_event(notice, "inc-1", KEY)
    assert len(orjson.dumps(event)) <= 512_000
    if event["event_action"] == "trigger":
        assert len(event["payload"]["summary"]) <= 1024
        assert event["payload"]["severity"] in {"critical", "warning", "info"}
        assert event["payload"]["source"]


@given(texts, st.integers(1, 60))
def test_escapes_are_never_cut_through(text: str, most: int) -> None:
    short = escaped(text, most)
    assert len(short) <= most
    assert re.sub(r"&(amp|lt|gt);", "", short).count("&") == 0


def test_webhook_tells_the_cause() -> None:
    body = webhook_body(NOTICE, "msg-1")
    assert body["root_cause"] == {
        "service": "db",
        "probability": 0.8213,
        "decided": True,
        "sentence": "db ran out of connections",
    }
    assert "root_cause" not in webhook_body(replace(NOTICE, cause=None), "msg-1")


def test_slack_says_all_that_is_known() -> None:
    text = "\n".join(strings(slack_body(NOTICE)))
    for part in (":rotating_light:", "inc-1", "cart, web and 23 more", "1,200", "*db* (82%)", "2026-03-01 12:00:00 UTC"):
        assert part in text
    undecided = replace(NOTICE, cause=replace(CAUSE, decided=False, sentence="db or web"))
    assert "not decided: db or web" in "\n".join(strings(slack_body(undecided)))


@pytest.mark.parametrize(
    ("kind", "action"),
    [
        (MessageKind.PAGE, "trigger"),
        (MessageKind.ESCALATION, "trigger"),
        (MessageKind.UPDATE, "trigger"),
        (MessageKind.ACKNOWLEDGED, "acknowledge"),
        (MessageKind.RESOLVED, "resolve"),
    ],
)
def test_pagerduty_actions(kind: MessageKind, action: str) -> None:
    event = pagerduty_event(replace(NOTICE, kind=kind), "inc-1", KEY)
    assert (event["event_action"], event["dedup_key"], event["routing_key"]) == (action, "inc-1", KEY)
    assert ("payload" in event) is (action == "trigger")


def test_pagerduty_event_in_full() -> None:
    event = pagerduty_event(replace(NOTICE, kind=MessageKind.ESCALATION), "inc-1", KEY)
    assert event["payload"] == {
        "summary": "ESCALATION: critical: cart, web",
        "source": "cart",
        "severity": "critical",
        "timestamp": "2026-03-01T12:00:00.123+00:00",
        "component": "cart",
        "class": "incident",
        "custom_details": {
            "incident_id": "inc-1",
            "services": ["cart", "web"],
            "service_count": 25,
            "alert_count": 1200,
            "root_cause": "db",
            "root_cause_probability": 0.8213,
            "root_cause_sentence": "db ran out of connections",
        },
    }
    assert event["links"] == [{"href": "http://aiops.test/open/inc-1", "text": "Open the incident"}]


@pytest.mark.parametrize(
    ("status", "headers", "outcome", "wait_s"),
    [
        (200, {}, Outcome.DELIVERED, None),
        (202, {}, Outcome.DELIVERED, None),
        (429, {"retry-after": "30"}, Outcome.RETRY, 30.0),
        (429, {"retry-after": "999999"}, Outcome.RETRY, MOST_WAIT_S),
        (503, {"retry-after": "Sun, 01 Mar 2026 12:00:09 GMT", "date": "Sun, 01 Mar 2026 12:00:00 GMT"}, Outcome.RETRY, 9.0),
        (503, {"retry-after": "soon"}, Outcome.RETRY, None),
        (408, {}, Outcome.RETRY, None),
        (400, {}, Outcome.REFUSED, None),
        (404, {}, Outcome.REFUSED, None),
        (302, {"location": "http://elsewhere.test"}, Outcome.REFUSED, None),
    ],
)
def test_what_an_answer_means(status: int, headers: dict[str, str], outcome: Outcome, wait_s: float | None) -> None:
    attempt = attempt_of(httpx.Response(status, headers=headers), "said")
    assert (attempt.outcome, attempt.wait_s) == (outcome, wait_s)


def test_without_a_channel_pages_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    settings = ResponderSettings(slack_url=SecretStr(" "))
    assert channel_names(settings) == escalation_names(settings) == ("log",)
    (channel,) = channels_of(settings, lambda: AT)
    assert isinstance(channel, LogChannel)
    message = OutboxMessage("msg-1", "log", "inc-1", MessageKind.PAGE, "inc-1", plain_notice(NOTICE), AT)
    with caplog.at_level(logging.WARNING):
        assert channel.deliver(message).outcome is Outcome.DELIVERED
    assert "PAGE inc-1: critical: cart, web (http://aiops.test/open/inc-1)" in caplog.text


def test_channels_of_the_settings() -> None:
    settings = ResponderSettings(
        webhook_url=SecretStr("http://a.test/1"), pagerduty_key=SecretStr(KEY), escalation_url=SecretStr("http://a.test/2")
    )
    assert channel_names(settings) == ("webhook", "pagerduty")
    assert escalation_names(settings) == ("escalation",)
    channels = channels_of(settings, lambda: AT)
    assert {channel.name for channel in channels} == {"webhook", "pagerduty", "escalation"}
    for channel in channels:
        channel.close()
    assert base_url(settings, "127.0.0.1") == "http://127.0.0.1:3103"
    assert base_url(replace_url(settings, "https://aiops.test"), "127.0.0.1") == "https://aiops.test"


def replace_url(settings: ResponderSettings, url: str) -> ResponderSettings:
    return settings.model_copy(update={"public_url": url})


@pytest.mark.parametrize("url", ["ftp://a.test/key-in-here", "key-in-here", "http://"])
def test_an_address_that_cannot_be_used_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"responder\.slack_url") as caught:
        Poster("responder.slack_url", url)
    assert "key-in-here" not in str(caught.value)


def test_waits_double_up_to_a_limit_and_are_jittered_by_half() -> None:
    waits = Backoff(2.0, 60.0)
    assert [waits.wait_s(failures, 0.0) for failures in (1, 2, 3, 7, 1000)] == [1.0, 2.0, 4.0, 30.0, 30.0]
    assert waits.wait_s(2, 0.5) == 3.0
    assert waits.wait_s(1, 0.9, asked_s=45.0) == 45.0
    with pytest.raises(ConfigurationError, match="first_s=0"):
        Backoff(0.0, 1.0)


def outbox(name: str, kind: MessageKind = MessageKind.PAGE, second: int = 0, **more: Any) -> OutboxMessage:
    at = AT.replace(second=second)
    return OutboxMessage(f"{name}-{kind}", "log", name, kind, name, plain_notice(replace(NOTICE, at=at)), at, **more)


def test_an_incident_keeps_its_order_while_others_pass_by() -> None:
    waits = replace(outbox("inc-1"), attempts=1, due_at=AT.replace(second=50))
    resolved = outbox("inc-1", MessageKind.RESOLVED, 5)
    other = outbox("inc-2", second=9)
    assert next_message([resolved, other, waits], AT.replace(second=10), AT) == other
    assert next_message([resolved, waits], AT.replace(second=10), AT) is None
    assert next_message([resolved, waits], AT.replace(second=50), AT) == waits
    assert next_message([resolved], AT, AT) == resolved


def test_an_escalation_waits_for_the_desks_time_and_holds_nothing_up() -> None:
    escalation, resolved = outbox("inc-1", MessageKind.ESCALATION, 30), outbox("inc-1", MessageKind.RESOLVED, 40)
    assert next_message([escalation, resolved], AT, AT) == resolved
    assert next_message([escalation], AT.replace(second=59), AT) is None
    assert next_message([escalation, resolved], AT, AT.replace(second=31)) == escalation
