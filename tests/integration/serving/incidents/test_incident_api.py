"""The API of incidents as it is served: roles, refusals, pages, acts, live events; hostile input never breaks it."""

import hashlib
import json
import re
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from aiops.incidents.alert import Severity
from aiops.incidents.feedback.verdict_effects import VerdictEffect
from aiops.incidents.root_cause import RootCause, RootCauseReport
from aiops.version import __version__
from serving.http.signature import signed_headers
from serving.incidents.api import alert_routes
from serving.incidents.api.alert_routes import AlertsTaken
from serving.incidents.api.ports import ApiLimits
from serving.incidents.api.response_types import AlertPage, AuditPage, IncidentPage, IncidentView, ReportList, Timeline
from serving.incidents.api.topology_routes import ChangeList, GraphView
from serving.incidents.api.verdict_routes import VerdictAnswer
from serving.incidents.intake.alert_sources import AlertSources
from serving.incidents.store.records import AuditCheck
from tests.testing.deadlines import within
from tests.testing.incident_api import JSON_TYPE, KEY, RunningApi, bearer, ids, running
from tests.testing.stream_harness import wait_until

NOBODY, VIEWER, OPERATOR, ADMIN = 0, 1, 2, 3
ROUTES: list[tuple[str, str, int]] = [
    ("GET", "/", NOBODY),
    ("GET", "/open/{incident_id}", NOBODY),
    ("GET", "/livez", NOBODY),
    ("GET", "/readyz", NOBODY),
    ("GET", "/metrics", VIEWER),
    ("GET", "/docs.json", VIEWER),
    ("GET", "/incidents", VIEWER),
    ("GET", "/incidents/{incident_id}", VIEWER),
    ("GET", "/incidents/{incident_id}/alerts", VIEWER),
    ("GET", "/incidents/{incident_id}/root_cause", VIEWER),
    ("GET", "/incidents/{incident_id}/timeline", VIEWER),
    ("GET", "/incidents/{incident_id}/evidence.svg", VIEWER),
    ("GET", "/held-back", VIEWER),
    ("GET", "/graph", VIEWER),
    ("GET", "/changes", VIEWER),
    ("GET", "/silences", VIEWER),
    ("GET", "/maintenance", VIEWER),
    ("GET", "/events", VIEWER),
    ("POST", "/incidents/{incident_id}/acknowledge", OPERATOR),
    ("POST", "/incidents/{incident_id}/mitigate", OPERATOR),
    ("POST", "/incidents/{incident_id}/resolve", OPERATOR),
    ("POST", "/incidents/{incident_id}/merge", OPERATOR),
    ("POST", "/incidents/{incident_id}/verdict", OPERATOR),
    ("POST", "/changes", OPERATOR),
    ("POST", "/alerts/alertmanager", OPERATOR),
    ("POST", "/alerts/webhook/{name}", OPERATOR),
    ("POST", "/silences", ADMIN),
    ("DELETE", "/silences/{name}", ADMIN),
    ("POST", "/maintenance", ADMIN),
    ("DELETE", "/maintenance/{name}", ADMIN),
    ("GET", "/audit", ADMIN),
    ("GET", "/audit/check", ADMIN),
]
"""Every route and the least role that it needs."""
ROLES = {"viewer": VIEWER, "operator": OPERATOR, "admin": ADMIN}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    with running(tmp_path_factory.mktemp("api")) as served:
        yield served


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApi]:
    with running(tmp_path_factory.mktemp("keyed"), KEY) as served:
        yield served


def answered(adapter: type, response: httpx.Response, status: int = 200) -> Any:
    """Return an answer as its documented type; a member too few or of another type fails."""
    assert response.status_code == status, response.text
    return TypeAdapter(adapter).validate_json(response.content)


def problem(response: httpx.Response, status: int, field: str = "") -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    fields: dict[str, Any] = response.json()
    assert {"type", "title", "detail"} <= set(fields)
    assert (fields["status"], fields["request_id"]) == (status, response.headers["x-request-id"])
    assert fields.get("field", "") == field or not field, fields
    return fields


def test_each_route_lets_in_its_role_and_nobody_below(keyed: RunningApi) -> None:
    for method, path, needed in ROUTES:
        url = path.format(incident_id="nothing", name="nothing")
        for role, rank in (("nobody", NOBODY), *ROLES.items()):
            headers = JSON_TYPE | ({} if role == "nobody" else bearer(role))
            content = b"[]" if method == "POST" else None
            with keyed.client.stream(method, url, headers=headers, content=content) as response:
                status = response.status_code
            allowed = status not in {401, 403}
            assert allowed == (rank >= needed), (method, path, role, status)
            if not allowed:
                assert status == (401 if role == "nobody" else 403)


def test_the_description_is_complete(keyed: RunningApi) -> None:
    document = keyed.client.get("/docs.json", headers=bearer("viewer")).json()
    assert document["openapi"].startswith("3.1")
    assert document["info"]["version"] == __version__
    assert document["components"]["securitySchemes"]["jwt"]["scheme"] == "bearer"
    described = {
        (method.upper(), path): operation for path, many in document["paths"].items() for method, operation in many.items()
    }
    assert set(described) == {(method, path) for method, path, _ in ROUTES}
    names = {NOBODY: "none", **{rank: role for role, rank in ROLES.items()}}
    for method, path, needed in ROUTES:
        described_operation = described[method, path]
        assert described_operation["x-aiops-role"].startswith(names[needed])
        assert described_operation["summary"]
        assert described_operation["security"][:1] == ([] if needed == NOBODY else [{"jwt": []}])
        expected = {"400", "403", "429", "500", "503"} | ({"401"} if needed else set())
        expected |= {"404"} if "{" in path and needed else set()  # a page says by itself that there is no such incident
        expected |= {"413", "415", "504"} if method == "POST" else set()
        assert expected <= set(described_operation["responses"]), path
        assert "422" not in described_operation["responses"]
        for status, response in described_operation["responses"].items():
            media = set(response.get("content", {}))
            refusal = int(status) >= 400 and path != "/readyz"
            assert media == {"application/problem+json"} if refusal else (media or status == "204"), (path, status)
        assert all(
            parameter["description"] and parameter["schema"]["examples"] for parameter in described_operation["parameters"]
        ), path
    references = {part.split('"')[0] for part in orjson.dumps(document).decode().split('"#/components/schemas/')[1:]}
    assert references <= set(document["components"]["schemas"])


def test_the_page_needs_nothing_from_elsewhere_and_runs_its_own_script_only(keyed: RunningApi) -> None:
    page = keyed.client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search(r"(https?:)?//[a-z]|innerHTML|\bon[a-z]+=", page.text)
    for kind in ("script", "style"):
        (text,) = re.findall(f"<{kind}>(.*?)</{kind}>", page.text, re.DOTALL)
        digest = b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert keyed.client.get("/livez").headers["content-security-policy"].startswith("default-src 'none'")


def test_reads_are_what_the_description_says(api: RunningApi) -> None:
    incident_id = api.open_incident("billing")
    page = answered(IncidentPage, api.client.get("/incidents", params={"service": "billing", "state": "open"}))
    assert [incident.incident_id for incident in page.items] == [incident_id]
    case = answered(IncidentView, api.client.get(f"/incidents/{incident_id[:12]}"))
    assert (case.incident_id, case.severity, case.services, case.root_cause) == (incident_id, "critical", ("billing",), None)
    alerts = answered(AlertPage, api.client.get(f"/incidents/{incident_id}/alerts"))
    assert [(alert.service, alert.value, alert.fate) for alert in alerts.items] == [("billing", None, "opened")]
    assert answered(Timeline, api.client.get(f"/incidents/{incident_id}/timeline")).items[0].kind == "event"
    assert answered(GraphView, api.client.get("/graph")).calls == ()
    api.open_incident("billing-2")
    assert "several" in problem(api.client.get("/incidents/inc"), 404, "incident_id")["detail"]
    assert api.client.get("/incidents", params={"text": "BILL"}).json()["items"] != []
    assert api.client.get("/incidents", params={"severity": "critical", "until": "2020-01-01T00:00:00Z"}).json()["items"] == []


def test_an_analysis_that_says_the_same_again_is_no_event(api: RunningApi) -> None:
    incident_id = api.open_incident("quiet")
    said = ["there is no baseline", "there is no baseline", "It is web.", "there is no baseline"]
    for number, statement in enumerate(said):
        at = datetime.now(UTC) + timedelta(seconds=number)
        with api.store.writing() as writer:
            writer.put_report(incident_id, RootCauseReport(at, at, at, "quiet", (), False, statement))
    timeline = answered(Timeline, api.client.get(f"/incidents/{incident_id}/timeline"))
    assert [event.what for event in timeline.items if event.kind == "analysis"] == [said[0], said[2], said[3]]


def test_an_analysis_is_shown_in_words_and_as_a_picture(api: RunningApi) -> None:
    incident_id = api.open_incident("basket")
    path = f"/incidents/{incident_id}"
    assert problem(api.client.get(f"{path}/evidence.svg"), 404)["type"] == "urn:aiops:problem:not-analysed"
    now = datetime.now(UTC)
    cause = RootCause("basket-db", 0.9, "basket-db became slow.", path=("basket-db", "basket"))
    with api.store.writing() as writer:
        writer.put_report(incident_id, RootCauseReport(now, now, now, "basket", (cause,), True, "It is basket-db."))
    seen = answered(IncidentView, api.client.get(path))
    assert seen.root_cause is not None
    assert seen.root_cause.causes == (cause,)
    assert answered(ReportList, api.client.get(f"{path}/root_cause")).items == (seen.root_cause,)
    assert answered(Timeline, api.client.get(f"{path}/timeline")).items[-1].what == "It is basket-db."
    picture = api.client.get(f"{path}/evidence.svg")
    assert picture.headers["content-type"].startswith("image/svg+xml")
    assert "sandbox" in picture.headers["content-security-policy"]
    assert b"<svg" in picture.content
    assert b"basket-db" in picture.content


def test_people_act_and_the_log_says_who(keyed: RunningApi) -> None:
    incident_id, other = keyed.open_incident("pay"), keyed.open_incident("search")
    operator = bearer("operator", "grace")
    seen = keyed.post(f"/incidents/{incident_id}/acknowledge", {"note": "looking"}, **operator)
    assert answered(IncidentView, seen).state == "acknowledged"
    again = problem(keyed.post(f"/incidents/{incident_id}/acknowledge", **operator), 409, "state")
    assert "cannot follow" in again["detail"]
    problem(keyed.post("/incidents/inc-none/resolve", **operator), 404, "incident_id")
    problem(keyed.post(f"/incidents/{incident_id}/merge", {"into": "inc-none"}, **operator), 404, "incident_id")
    home = answered(IncidentView, keyed.post(f"/incidents/{other}/merge", {"into": incident_id}, **operator))
    assert (home.incident_id, home.services) == (incident_id, ("pay", "search"))
    assert answered(IncidentView, keyed.client.get(f"/incidents/{other}", headers=operator)).merged_into == incident_id
    assert answered(IncidentView, keyed.post(f"/incidents/{incident_id}/resolve", **operator)).state == "resolved"
    log = answered(AuditPage, keyed.client.get("/audit", params={"limit": 3}, headers=bearer("admin")))
    assert [entry.by for entry in log.items] == ["grace"] * 3
    assert [entry.what for entry in log.items] == ["incident resolved", "incident merged", "incident acknowledged"]
    assert log.items[2].detail == {"note": "looking"}
    assert answered(AuditCheck, keyed.client.get("/audit/check", headers=bearer("admin"))).intact


def test_a_verdict_shows_what_it_would_change_before_it_does(api: RunningApi) -> None:
    incident_id = api.open_incident("mail")
    path = f"/incidents/{incident_id}/verdict"
    before = answered(VerdictAnswer, api.post(f"{path}?preview=true", {"kind": "false_alarm"}))
    assert (before.applied, before.verdict.by) == (False, "local")
    assert before.past is not None
    assert before.past.sentences
    assert api.client.get(f"/incidents/{incident_id}").json()["verdicts"] == []
    after = answered(VerdictAnswer, api.post(path, {"kind": "false_alarm", "note": "a test"}))
    assert after.applied
    assert isinstance(after.effect, VerdictEffect)
    (stored_verdict,) = api.client.get(f"/incidents/{incident_id}").json()["verdicts"]
    assert (stored_verdict["kind"], stored_verdict["note"]) == ("false_alarm", "a test")
    problem(api.post(path, {"kind": "wrong_cause"}), 400)
    problem(api.post(path, {"kind": "perhaps"}), 400, "kind")


def test_silences_and_maintenance_come_and_go(api: RunningApi) -> None:
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    matchers = [{"label": "service", "operator": "=~", "value": "quiet.*"}]
    rule = {"name": "night/1", "matchers": matchers, "ends_at": ends}
    assert api.post("/silences", rule).status_code == 201
    assert api.post("/maintenance", rule | {"every_s": 86_400}).json()["every_s"] == 86_400
    assert [silence["name"] for silence in api.client.get("/silences").json()["items"]] == ["night/1"]
    before = len(api.desk.open_incidents())
    api.desk.take([], {}, datetime.now(UTC))
    with pytest.raises(ValueError, match="unpack"):
        api.open_incident("quiet-service")
    assert len(api.desk.open_incidents()) == before
    for path in ("/silences/night%2F1", "/maintenance/night%2F1"):
        assert api.client.delete(path).status_code == 204
        problem(api.client.delete(path), 404, "name")
    problem(api.post("/silences", rule | {"matchers": []}), 400, "matchers")
    problem(api.post("/silences", rule | {"matchers": [{"label": "a", "operator": "=~", "value": "("}]}), 400, "matchers")
    problem(api.post("/silences", rule | {"ends_at": "2020-01-01T00:00:00Z"}), 400, "ends_at")
    problem(api.post("/silences", rule | {"ends_at": "2020-01-01T00:00:00"}), 400, "ends_at")
    problem(api.post("/maintenance", rule | {"every_s": 60}), 400, "every_s")
    problem(api.post("/maintenance", rule | {"every_s": 86_400, "until": "2000-01-01T00:00:00Z"}), 400, "until")


def payload(*services: str) -> dict[str, Any]:
    alerts = [
        {
            "status": "firing",
            "labels": {"alertname": "Slow", "service": name, "severity": "critical"},
            "startsAt": "2026-03-01T12:00:00Z",
        }
        for name in services
    ]
    return {"version": "4", "alerts": alerts, "truncatedAlerts": 2}


def test_alerts_are_in_the_inbox_before_the_answer(api: RunningApi) -> None:
    taken = answered(AlertsTaken, api.post("/alerts/alertmanager", payload("gate", "", "shop")), 202)
    assert (taken.accepted, taken.known, taken.truncated) == (2, 0, 2)
    assert [(refusal.index, refusal.field) for refusal in taken.refused] == [(1, "labels")]
    assert answered(AlertsTaken, api.post("/alerts/alertmanager", payload("gate", "shop")), 202).known == 2
    with api.store.writing() as writer:
        assert {alert.service for alert in writer.inbox_take(100)} == {"gate", "shop"}
    problem(api.post("/alerts/alertmanager", {"version": "3", "alerts": []}), 400, "version")
    problem(api.post("/alerts/webhook/unheard", {}), 404, "name")


def test_alerts_that_wait_for_the_database_leave_room_for_those_who_look(
    api: RunningApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alert_routes, "WAIT_S", 0.2)
    with ThreadPoolExecutor(60) as senders:
        with api.store.writing():
            sent = [senders.submit(api.post, "/alerts/alertmanager", payload(f"gate-{number}")) for number in range(60)]
            assert wait_until(lambda: sum(request.done() for request in sent) == 60 - alert_routes.AT_ONCE, 20)
            assert api.client.get("/incidents", timeout=within(5)).is_success
            problem(next(request.result() for request in sent if request.done()), 503)
        busy = len(sent) - alert_routes.AT_ONCE
        assert sorted(request.result().status_code for request in sent) == [202] * alert_routes.AT_ONCE + [503] * busy


def test_a_signature_stands_for_a_token_and_cannot_be_sent_again_later(tmp_path: Path) -> None:
    mapping = {"secret": "a-secret-of-this-test", "service": "host", "name": "check"}
    sources = AlertSources.model_validate({"sources": {"shop": mapping, "plain": mapping | {"secret": None}}})
    body = b'{"host": "till", "check": "down"}'
    with running(tmp_path, KEY, sources=sources) as api:
        now = datetime.now(UTC)
        signed = signed_headers("a-secret-of-this-test", body, now) | JSON_TYPE
        assert api.client.post("/alerts/webhook/shop", content=body, headers=signed).status_code == 202
        old = signed_headers("a-secret-of-this-test", body, now - timedelta(hours=1)) | JSON_TYPE
        for headers in (JSON_TYPE, old, JSON_TYPE | bearer("admin"), signed | {"x-aiops-signature": "sha256=00"}):
            problem(api.client.post("/alerts/webhook/shop", content=body, headers=headers), 401)
        problem(api.client.post("/alerts/webhook/shop", content=body + b" ", headers=signed), 401)
        problem(api.client.post("/alerts/webhook/plain", content=body, headers=signed), 401, "authorization")
        problem(api.client.post("/alerts/webhook/plain", content=body, headers=JSON_TYPE | bearer("viewer")), 403, "role")
        assert api.client.post("/alerts/webhook/plain", content=body, headers=JSON_TYPE | bearer("operator")).status_code == 202


def test_changes_sent_twice_count_once(api: RunningApi) -> None:
    at = datetime.now(UTC) - timedelta(minutes=5)
    change = {"service": "cart", "what": "2.3.1", "at": at.isoformat()}
    for _ in range(2):
        assert api.post("/changes", [change, change | {"kind": "config"}]).status_code == 201
    listed = answered(ChangeList, api.client.get("/changes", params={"service": "cart"}))
    assert sorted((change.kind, change.source) for change in listed.items) == [
        ("config", "local"),
        ("deployment", "local"),
    ]
    problem(api.post("/changes", [{"what": "no service"}]), 400, "body")
    problem(api.client.get("/changes", params={"since": "2030-01-01T00:00:00Z", "until": "2029-01-01T00:00:00Z"}), 400, "since")


def test_pages_are_complete_while_incidents_are_added(tmp_path: Path) -> None:
    with running(tmp_path) as api:
        first = {api.open_incident(f"service-{number}") for number in range(25)}
        seen: list[object] = []
        cursor = ""
        for _ in range(20):
            page = api.client.get("/incidents", params={"limit": 4, "cursor": cursor}).json()
            seen += ids(page["items"])
            api.open_incident(f"later-{len(seen)}", Severity.WARNING)
            cursor = page["next_cursor"]
            if not cursor:
                break
        assert len(seen) == len(set(seen))
        assert set(seen) == first
        problem(api.client.get("/incidents", params={"cursor": cursor or "x"}), 400, "cursor")


FOREIGN = {"origin": "http://evil.example"}
REFUSED: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/incidents", {"headers": {"host": "evil.example"}}, 403, "host"),
    ("GET", "/livez", {"headers": {"host": "localhost.evil.example:80"}}, 403, "host"),
    ("GET", "/incidents", {"headers": FOREIGN}, 403, "origin"),
    ("GET", "/incidents", {"headers": {"origin": "null"}}, 403, "origin"),
    ("GET", "/incidents", {"headers": {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"}}, 403, "sec-fetch-site"),
    ("POST", "/changes", {"content": b"{}", "headers": JSON_TYPE | FOREIGN}, 403, "origin"),
    ("POST", "/changes", {"content": b"{}", "headers": {"content-type": "text/plain"}}, 415, "content-type"),
    ("POST", "/changes", {"content": b"{}"}, 415, "content-type"),
    ("POST", "/changes", {"data": {"service": "a"}}, 415, "content-type"),
    ("POST", "/changes", {"content": b"x", "headers": JSON_TYPE | {"content-encoding": "gzip"}}, 415, "content-type"),
    ("POST", "/changes", {"content": b" " * (1 << 21), "headers": JSON_TYPE}, 413, "body"),
    ("POST", "/silences", {"content": (b" " * 65536 for _ in range(40)), "headers": JSON_TYPE}, 413, "body"),
    ("POST", "/silences", {"content": b"{", "headers": JSON_TYPE}, 400, "body"),
    ("POST", "/silences", {"content": b"", "headers": JSON_TYPE}, 400, "body"),
    ("POST", "/silences", {"content": b"[" * 100_000, "headers": JSON_TYPE}, 400, ""),
    ("GET", "/incidents", {"params": {"sate": "open"}}, 400, "sate"),
    ("GET", "/incidents", {"params": {"limit": "1001"}}, 400, "limit"),
    ("GET", "/incidents", {"params": {"text": "a\0b"}}, 400, "text"),
    ("GET", "/incidents", {"params": {"since": "0001-01-01T00:00:00+23:59"}}, 400, "since"),
    ("GET", "/incidents", {"params": {"cursor": "WzEwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMCwiYSJd"}}, 400, "cursor"),
    ("GET", "/incidents/a%00b", {}, 400, "incident_id"),
    ("GET", "/events", {"headers": {"last-event-id": "-1"}}, 400, "last-event-id"),
    ("GET", "/no/such", {}, 404, "path"),
    ("PUT", "/incidents", {}, 405, "method"),
]


@pytest.mark.parametrize(("method", "path", "sent", "status", "field"), REFUSED, ids=range(len(REFUSED)))
def test_what_breaks_a_rule_is_a_problem(
    api: RunningApi, method: str, path: str, sent: dict[str, Any], status: int, field: str
) -> None:
    problem(api.client.request(method, path, **sent), status, field)


WORDS = st.text(max_size=30)
PLAIN_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)
KNOWN = st.sampled_from(
    ["name", "matchers", "ends_at", "starts_at", "note", "kind", "into", "service", "at", "right_cause", "deployment", "every_s"]
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(KNOWN, PLAIN_JSON, max_size=5).map(lambda value: json.dumps(value).encode()),
    st.dictionaries(KNOWN, st.datetimes().map(str) | WORDS, max_size=5).map(orjson.dumps),
)
POSTED = ("/silences", "/maintenance", "/changes", "/incidents/inc/verdict", "/incidents/inc/merge", "/alerts/alertmanager")
QUERIES = st.dictionaries(
    st.sampled_from(["state", "service", "severity", "since", "until", "text", "limit", "cursor", "at", "after", "preview"]),
    WORDS | st.integers().map(str) | st.datetimes().map(lambda at: f"{at.isoformat()}Z"),
    max_size=4,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=QUERIES, body=BODIES, part=WORDS)
def test_hostile_input_never_breaks_it(api: RunningApi, query: dict[str, str], body: bytes, part: str) -> None:
    for path in ("/incidents", "/changes", "/graph", "/incidents/{}", "/incidents/{}/alerts"):
        response = api.client.get(path.format(quote(part, safe="")), params=query)
        assert response.status_code < 500, (path, part, query, response.text)
    for path in POSTED:
        response = api.client.post(path, content=body, headers=JSON_TYPE)
        assert response.status_code < 500, (path, body, response.text)


def test_a_body_that_never_ends_is_504(tmp_path: Path) -> None:
    with running(tmp_path, limits=ApiLimits(body_s=0.1)) as api:
        host, port = api.server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=within(10)) as slow:
            slow.sendall(f"POST /changes HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n".encode())
            slow.sendall(b"content-length: 100\r\n\r\n{")
            received = b""
            while b"request_id" not in received:
                part = slow.recv(4096)
                assert part, received
                received += part
        assert received.startswith(b"HTTP/1.1 504")


def test_too_many_calls_and_streams_are_sent_away(tmp_path: Path) -> None:
    with running(tmp_path, limits=ApiLimits(concurrency=0, watchers=1, heartbeat_s=0.1, poll_s=0.02)) as api:
        problem(api.client.get("/incidents"), 429)
        with api.client.stream("GET", "/events") as first:
            parts = first.iter_bytes()
            assert next(parts).startswith(b"retry:")
            refusal = api.client.get("/events")
            problem(refusal, 503)
            assert refusal.headers["retry-after"]


def read_events(api: RunningApi, last: str, most: int) -> list[tuple[int, str, str]]:
    """Read a stream that goes on after `last`, up to `most` events or one of kind "end", and leave."""
    events: list[tuple[int, str, str]] = []
    deadline = time.monotonic() + within(60)
    with api.client.stream("GET", "/events", headers={"last-event-id": last}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in response.iter_lines():
            assert time.monotonic() < deadline, f"after {last} only {events} came; the store has {api.store.last_event_seq()}"
            name, _, value = line.partition(": ")
            fields[name] = value
            if line:
                continue
            if "data" in fields:
                events.append((int(fields["id"]), fields["event"], orjson.loads(fields["data"])["incident_id"]))
            fields = {}
            if len(events) == most or (events and events[-1][1] == "end"):
                return events
    raise AssertionError(f"the stream ended after {events}")


def test_a_stream_that_breaks_goes_on_without_loss_or_repetition(tmp_path: Path) -> None:
    with running(tmp_path) as api:
        opened: list[str] = []

        def write() -> None:
            try:
                opened.extend(api.open_incident(f"s-{number}") for number in range(40))
            finally:
                with api.store.writing() as writer:
                    writer.event(datetime.now(UTC), "end", "", {})

        writer = threading.Thread(target=write)
        writer.start()
        seen: list[tuple[int, str, str]] = []
        while not seen or seen[-1][1] != "end":
            seen += read_events(api, str(seen[-1][0] if seen else 0), 13)
        writer.join()
        assert len(opened) == 40
        assert [seq for seq, _, _ in seen] == [event.seq for event in api.store.events_after(0, 1000)]
        assert {incident for _, kind, incident in seen if kind == "opened"} == set(opened)


def test_who_comes_back_too_late_or_from_another_store_gets_a_reset(tmp_path: Path) -> None:
    with running(tmp_path) as api:
        for number in range(3):
            api.open_incident(f"s-{number}")
        newest = api.store.last_event_seq()
        with api.client.stream("GET", "/events", headers={"last-event-id": str(newest + 7)}) as ahead:
            lines = ahead.iter_lines()
            assert [next(lines) for _ in range(5)][-2:] == [f"id: {newest}", "event: reset"]
        api.store.retain(datetime.now(UTC) + timedelta(days=1))
        api.open_incident("later")
        with api.client.stream("GET", "/events", headers={"last-event-id": "1"}) as behind:
            lines = behind.iter_lines()
            assert [next(lines) for _ in range(5)][-2:] == [f"id: {newest}", "event: reset"]
            assert [next(lines) for _ in range(4)][-2:] == [f"id: {newest + 1}", "event: opened"]


def test_streams_end_with_the_service_and_hear_only_what_they_want(tmp_path: Path) -> None:
    with running(tmp_path) as api:
        url, got = f"{api.server.url}/events?service=cart&kind=opened", []
        ready, ended = threading.Event(), threading.Event()

        def watch() -> None:
            with httpx.stream("GET", url, timeout=within(20)) as response:
                for line in response.iter_lines():
                    ready.set()
                    got.append(line)
            ended.set()

        watcher = threading.Thread(target=watch)
        watcher.start()
        assert ready.wait(within(10))
        api.open_incident("mail")
        incident_id = api.open_incident("cart")
        wait_until(lambda: any(incident_id in line for line in got) and ": alive" in got, 5)
        api.server.stop()
        assert ended.wait(within(10))
        watcher.join()
        assert [line for line in got if line.startswith("event:")] == ["event: opened"]
        assert ": alive" in got


def test_a_store_that_waits_too_long_is_503(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    from aiops.errors import Unavailable

    def locked(*_: object) -> None:
        raise Unavailable("incident store does not answer: database is locked; try again")

    monkeypatch.setattr(type(api.store), "cases", locked)
    body = problem(api.client.get("/incidents"), 503)
    assert "locked" in body["detail"]


def test_what_nobody_expected_is_a_500_without_details(api: RunningApi, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(type(api.store), "held_back", broken)
    answer = api.client.get("/held-back")
    assert "secret" not in problem(answer, 500)["detail"]
    assert answer.headers["cache-control"] == "no-store"
    assert 'aiops_incident_api_requests_total{code="500",method="GET",route="/held-back"}' in api.client.get("/metrics").text


def test_in_a_replay_people_act_at_the_time_of_the_telemetry(tmp_path: Path) -> None:
    then = datetime(2025, 1, 2, tzinfo=UTC)
    with running(tmp_path, desk_clock=lambda: then) as replayed:
        rule = {"name": "now", "matchers": [{"label": "service", "value": "x"}], "ends_at": "2025-01-02T01:00:00Z"}
        assert replayed.post("/silences", rule).json()["starts_at"] == "2025-01-02T00:00:00Z"
        incident = replayed.open_incident("cart")
        answer = replayed.post(f"/incidents/{incident}/verdict", {"kind": "false_alarm"}).json()
        assert answer["verdict"]["given_at"] == "2025-01-02T00:00:00Z"
        assert replayed.client.get("/audit").json()["items"][0]["at"] == "2025-01-02T00:00:00Z"
