"""Alerts of other systems: what is taken, what is refused and why, and that a delivery tried again doubles nothing."""

import json
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.errors import ConfigurationError
from aiops.incidents.alert import Severity
from serving.http.problem import ProblemError
from serving.http.signature import SIGNATURE_HEADER, TIMESTAMP_HEADER, signed_headers
from serving.incidents.intake import alert_webhook, alertmanager
from serving.incidents.intake.alert_sources import AlertSource, AlertSources, read_alert_sources
from serving.incidents.intake.alert_webhook import SignedBody
from serving.incidents.intake.received_alerts import MOST_ALERTS, MOST_LABELS, VALUE_CHARACTERS, Received, moment_of

NOW = datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC)
STARTED = "2026-03-01T12:59:52.739266876+01:00"
ZERO = "0001-01-01T00:00:00Z"
LABELS = {"alertname": "HighErrors", "service": "cart", "severity": "critical", "pod": "cart-1"}
TOML = """
[alertmanager]
service_labels = ["team_service", "job"]
[sources.shop]
secret = "a secret of the shop"
alerts = "events"
service = ["tags.service", "host"]
name = 'check."display.name"'
severity = "level"
status = "state"
resolved = ["green"]
starts_at = ["began", "$.sent_at"]
value = "measured.0"
labels = "tags"
stable = ["zone"]
severity_words = { Red = "critical", yellow = "warning" }
defaults = { severity = "info" }
[sources.plain]
service = "service"
labels = { region = "where.region" }
defaults = { name = "says so" }
"""


def raw_alert(**changes: Any) -> dict[str, Any]:
    """Return one alert as Alertmanager tells it."""
    alert = {"status": "firing", "labels": LABELS, "annotations": {"summary": "many errors", "value": "0.25"}}
    alert |= {"startsAt": STARTED, "endsAt": ZERO, "generatorURL": "http://prom/graph", "fingerprint": "c6eadffa33fcdf37"}
    return alert | changes


def payload(*alerts: Any, **changes: Any) -> bytes:
    body = {"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": "firing", "receiver": "aiops"}
    body |= {"groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am", "alerts": list(alerts)}
    return json.dumps(body | changes).encode()


def received(*alerts: Any, at: datetime = NOW, **changes: Any) -> Received:
    return alertmanager.alerts_of(payload(*alerts, **changes), at)


def test_an_alertmanager_alert_in_full() -> None:
    (alert,) = received(raw_alert()).alerts
    assert (alert.service, alert.name, alert.severity, alert.source) == ("cart", "HighErrors", Severity.CRITICAL, "alertmanager")
    assert alert.starts_at == datetime(2026, 3, 1, 11, 59, 52, 739266, tzinfo=UTC)
    assert alert.ends_at is None
    assert alert.value == 0.25
    assert alert.labels["alertmanager_fingerprint"] == "c6eadffa33fcdf37"
    assert (alert.labels["summary"], alert.labels["pod"]) == ("many errors", "cart-1")
    assert alert.labels["alertmanager_group"] == "{}:{}"
    (regrouped,) = received(raw_alert(), groupKey="{}:{other}").alerts
    assert (regrouped.alert_id, regrouped.fingerprint) == (alert.alert_id, alert.fingerprint)


def test_a_resolved_alert_ends_and_never_in_the_future() -> None:
    (past,) = received(raw_alert(status="resolved", endsAt="2026-03-01T12:00:05Z")).alerts
    (soon,) = received(raw_alert(status="resolved", endsAt="2026-03-01T12:30:00Z")).alerts
    (unknown,) = received(raw_alert(status="resolved")).alerts
    assert past.ends_at == datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
    assert soon.ends_at == unknown.ends_at == NOW
    (guess,) = received(raw_alert(endsAt="2026-03-01T12:30:00Z")).alerts
    assert guess.ends_at is None


def test_pods_repeat_an_alert_but_other_alerts_are_others() -> None:
    other_pod = {**LABELS, "pod": "cart-2", "prometheus_replica": "b"}
    first, second, third = received(
        raw_alert(), raw_alert(labels=other_pod), raw_alert(labels={**LABELS, "alertname": "Slow"})
    ).alerts
    assert first.fingerprint == second.fingerprint != third.fingerprint
    assert first.alert_id != second.alert_id


def test_a_retried_delivery_is_the_same_alert_a_later_delivery_a_repetition() -> None:
    def ids(at: datetime, **changes: Any) -> list[str]:
        return [alert.alert_id for alert in received(raw_alert(**changes), at=at).alerts]

    assert ids(NOW) == ids(NOW + timedelta(seconds=40))
    assert ids(NOW) != ids(NOW + timedelta(minutes=5))
    assert ids(NOW) != ids(NOW, status="resolved")
    ahead = {"startsAt": "2026-03-01T13:00:00Z"}
    assert ids(NOW, **ahead) == ids(NOW + timedelta(seconds=1), **ahead)


@pytest.mark.parametrize(
    ("labels", "service"),
    [
        ({"job": "api", "app": "x"}, "api"),
        ({"app": "x", "service_name": "y"}, "x"),
        ({"service": " ", "service_name": "y"}, "y"),
    ],
)
def test_the_first_label_that_names_it_is_the_service(labels: dict[str, str], service: str) -> None:
    assert [alert.service for alert in received(raw_alert(labels={"alertname": "A", **labels})).alerts] == [service]
    assert [alert.service for alert in alertmanager.alerts_of(payload(raw_alert()), NOW, ("pod",)).alerts] == ["cart-1"]


@pytest.mark.parametrize(
    ("word", "severity"),
    [("page", Severity.CRITICAL), ("Warning", Severity.WARNING), ("none", Severity.INFO), ("blue", Severity.WARNING)],
)
def test_severity_words(word: str, severity: Severity) -> None:
    assert received(raw_alert(labels={**LABELS, "severity": word})).alerts[0].severity is severity


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ("text", "alert"),
        (raw_alert(status="pending"), "status"),
        (raw_alert(labels={"alertname": "A"}), "labels"),
        (raw_alert(labels={"service": "cart"}), "labels.alertname"),
        (raw_alert(labels=["service"]), "labels"),
        (raw_alert(startsAt="yesterday"), "startsAt"),
        (raw_alert(startsAt="2026-03-01T12:00:00"), "startsAt"),
        (raw_alert(startsAt=True), "startsAt"),
        (raw_alert(endsAt=[1]), "endsAt"),
    ],
)
def test_a_bad_alert_is_refused_with_its_reason_and_costs_no_other(bad: Any, field: str) -> None:
    result = received(raw_alert(), bad, raw_alert(labels={**LABELS, "service": "web"}))
    assert [alert.service for alert in result.alerts] == ["cart", "web"]
    (refusal,) = result.refused
    assert (refusal.index, refusal.field) == (1, field)
    assert refusal.rule
    assert refusal.fix


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", "body"),
        (b"[" * 100_000, "body"),
        (b"[]", "body"),
        (b'{"alerts": []}', "version"),
        (b'{"version": "1", "alerts": []}', "version"),
        (b'{"version": "4"}', "alerts"),
    ],
)
def test_what_is_no_payload_is_refused_whole(body: bytes, field: str) -> None:
    with pytest.raises(ProblemError) as caught:
        alertmanager.alerts_of(body, NOW)
    assert (caught.value.problem.status, caught.value.problem.field) == (400, field)


def test_what_was_left_out_is_counted() -> None:
    assert received(raw_alert(), truncatedAlerts=7).truncated == 7
    assert received(raw_alert(), truncatedAlerts="7").truncated == 0
    many = alertmanager.alerts_of(payload(*[{}] * (MOST_ALERTS + 3), truncatedAlerts=2), NOW)
    assert (many.truncated, len(many.refused)) == (5, MOST_ALERTS)


def test_labels_are_bounded_and_clean() -> None:
    labels = {**LABELS, "note": "a\x00b\r\n\u2028" + "x" * 9999, **{f"z{number:03}": "1" for number in range(200)}}
    (alert,) = received(raw_alert(labels=labels)).alerts
    assert len(alert.labels["note"]) == VALUE_CHARACTERS
    assert alert.labels["note"].startswith("a b x")
    assert len(alert.labels) <= 2 * MOST_LABELS
    (other,) = received(raw_alert(labels={**labels, "z199": "2"})).alerts
    assert other.fingerprint != alert.fingerprint


json_values: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(["status", "labels", "annotations", "startsAt", "endsAt", "fingerprint", "generatorURL"])


@given(st.lists(st.dictionaries(fields, json_values, max_size=4) | json_values, max_size=4), json_values)
def test_any_json_is_taken_or_refused_never_raised(changes: list[Any], truncated: Any) -> None:
    alerts = [
        raw_alert(**change) if isinstance(change, dict) and change.keys() <= raw_alert().keys() else change for change in changes
    ]
    result = received(*alerts, truncatedAlerts=truncated)
    assert len(result.alerts) + len(result.refused) == len(alerts)
    source = AlertSource.model_validate(
        {"service": "labels.service", "name": "status", "labels": "labels", "starts_at": "startsAt"}
    )
    generic = alert_webhook.alerts_of("any", source, json.dumps(alerts).encode(), NOW)
    assert len(generic.alerts) + len(generic.refused) == len(alerts)


@pytest.fixture
def sources(tmp_path: Path) -> AlertSources:
    path = tmp_path / "alerts.toml"
    path.write_text(TOML, encoding="utf-8")
    return read_alert_sources(path)


def event(**changes: Any) -> dict[str, Any]:
    made = {"tags": {"service": "cart", "zone": "b", "tries": 3}, "check": {"display.name": "Errors"}, "level": "RED"}
    return made | {"state": "red", "measured": [0.5]} | changes


def shop(sources: AlertSources, *events: Any, sent_at: Any = 1772366390) -> Received:
    body = json.dumps({"events": events, "sent_at": sent_at}).encode()
    return alert_webhook.alerts_of("shop", sources.sources["shop"], body, NOW)


def test_a_mapped_webhook_in_full(sources: AlertSources) -> None:
    (alert,) = shop(sources, event()).alerts
    assert (alert.service, alert.name, alert.severity, alert.source) == ("cart", "Errors", Severity.CRITICAL, "shop")
    assert (alert.starts_at, alert.value) == (NOW - timedelta(seconds=20), 0.5)
    assert alert.labels == {"service": "cart", "zone": "b", "tries": "3"}
    (by_host,) = shop(sources, event(tags={}, host="db", level=None, state="green", measured=[])).alerts
    assert (by_host.service, by_host.severity, by_host.ends_at) == ("db", Severity.INFO, NOW)
    assert math.isnan(by_host.value)


def test_only_stable_labels_tell_mapped_alerts_apart(sources: AlertSources) -> None:
    tries, zone = ({"service": "cart", "zone": "b", "tries": 9}, {"service": "cart", "zone": "c"})
    first, second, third = shop(sources, event(), event(tags=tries), event(tags=zone)).alerts
    assert first.fingerprint == second.fingerprint != third.fingerprint


@pytest.mark.parametrize("sent_at", [1772366390, 1772366390000, 1772366390000000000, "2026-03-01T11:59:50Z"])
def test_times_in_any_unit(sources: AlertSources, sent_at: Any) -> None:
    assert shop(sources, event(), sent_at=sent_at).alerts[0].starts_at == NOW - timedelta(seconds=20)


def test_a_single_alert_is_a_body_of_its_own_and_defaults_fill_in(sources: AlertSources) -> None:
    body = json.dumps({"service": "cart", "where": {"region": "eu"}}).encode()
    (alert,) = alert_webhook.alerts_of("plain", sources.sources["plain"], body, NOW).alerts
    assert (alert.name, alert.starts_at, alert.labels) == ("says so", NOW, {"region": "eu"})
    refused = alert_webhook.alerts_of("plain", sources.sources["plain"], b'[{"service": {}}, 3]', NOW).refused
    assert [(refusal.index, refusal.field) for refusal in refused] == [(0, "service"), (1, "alert")]
    with pytest.raises(ProblemError, match=r"sources\.shop\.alerts"):
        alert_webhook.alerts_of("shop", sources.sources["shop"], b'{"events": "none"}', NOW)


def test_a_signed_source_takes_nothing_unsigned_changed_or_old(sources: AlertSources) -> None:
    source, body = sources.sources["shop"], b'{"events": []}'
    assert (source.signed, sources.sources["plain"].signed) == (True, False)
    headers = signed_headers("a secret of the shop", body, NOW)
    pair = (headers[TIMESTAMP_HEADER], headers[SIGNATURE_HEADER])
    assert alert_webhook.signed_at(source, SignedBody(body, *pair), NOW + timedelta(seconds=299)) == NOW
    later = str(int(NOW.timestamp()) + 60)
    for changed_body, signature_pair, now in (
        (body, (None, None), NOW),
        (body, (pair[0], None), NOW),
        (body, ("soon", pair[1]), NOW),
        (body, ("9" * 5000, pair[1]), NOW),
        (body, (later, pair[1]), NOW),
        (body, (pair[0], pair[1] + "0"), NOW),
        (body, (pair[0], "sha256=é"), NOW),
        (body + b" ", pair, NOW),
        (body, pair, NOW + timedelta(seconds=301)),
        (body, pair, NOW - timedelta(seconds=301)),
    ):
        with pytest.raises(ProblemError) as caught:
            alert_webhook.signed_at(source, SignedBody(changed_body, *signature_pair), now)
        assert caught.value.problem.status == 401
    assert alert_webhook.signed_at(sources.sources["plain"], SignedBody(body, None, None), NOW) == NOW


def test_the_mapping_file_tells_how_alertmanager_is_read(sources: AlertSources) -> None:
    assert sources.alertmanager.service_labels == ("team_service", "job")
    assert read_alert_sources(None).sources == {}
    assert "a secret of the shop" not in repr(sources)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("sources = 3", "sources"),
        ("[sources.a", "cannot be read"),
        ("[sources.a]\nservice = 's'", "sources.a.name is missing"),
        ("[sources.a]\nservice = 'a..b'\nname = 'n'", "the path 'a..b' cannot be read"),
        ("[sources.a]\nservice = 's'\nname = 'n'\nsecret = 'hidden'", "sources.a.secret"),
        ("[sources.a]\nservice = 's'\nname = 'n'\nseverty = 'x'", "sources.a.severty"),
        ("[sources.a]\nservice = 's'\nname = 'n'\nseverity_words = {red = 'bad'}", "'bad' is none of info, warning, critical"),
        ("[sources.'A/b']\nservice = 's'\nname = 'n'", "sources.A/b"),
    ],
)
def test_a_mapping_file_that_cannot_be_used_says_where(tmp_path: Path, text: str, place: str) -> None:
    path = tmp_path / "alerts.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_alert_sources(path)
    assert place in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("scale", [1, 1_000, 1_000_000, 1_000_000_000])
@pytest.mark.parametrize("form", [int, str, lambda number: f"{number}.0"])
def test_epochs_as_number_or_text_in_any_unit(scale: int, form: Callable[[int], object]) -> None:
    assert moment_of("starts_at", form(1_772_366_400 * scale)) == datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("value", ["20260301120000", 20_260_301_120_000, "-1", 10**30, "1e400", "soon", True, "12"])
def test_a_number_that_is_no_time_in_any_unit_is_refused_with_true_advice(value: object) -> None:
    with pytest.raises(ProblemError, match=r"is not a time\. Send RFC 3339 with a time zone, such as .*, or seconds since 1970"):
        moment_of("starts_at", value)
