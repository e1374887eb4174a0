"""Notifications over real HTTP: each arrives, in order, whatever the receiver does; killed, doubled and unanswered ones too."""

import hashlib
import hmac
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from aiops.incidents.alert import Severity
from aiops.incidents.correlation.outcome import Page
from aiops.incidents.incident import Incident, IncidentState, TimelineEvent
from aiops.incidents.root_cause import RootCause, RootCauseReport
from aiops.settings.responder_settings import ResponderSettings
from serving.incidents.notify.channels import channel_names, channels_of, escalation_names
from serving.incidents.notify.delivery import Channel, Outcome, Poster
from serving.incidents.notify.dispatcher import DispatchConfig, Dispatcher
from serving.incidents.notify.escalation import Escalations
from serving.incidents.notify.messages import change_messages, messages_for, update_messages
from serving.incidents.notify.notify_metrics import expose
from serving.incidents.notify.webhook_channel import WebhookChannel
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import MessageState, OutboxMessage, PageRequest
from tests.testing.clocks import MovedClock
from tests.testing.deadlines import within
from tests.testing.empty_store import empty_store
from tests.testing.local_server import served_by
from tests.testing.store_rows import transitioned
from tests.testing.stream_harness import wait_until

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
URL = "http://aiops.test:3103"
SECRET = "a secret of the webhook"
HOOK = ("webhook",)


@dataclass
class Receiver:
    """A receiver that answers from a script, then always 200; "hang" = it waits longer than anyone would."""

    script: list[tuple[int | str, dict[str, str]]] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    freed: threading.Event = field(default_factory=threading.Event)

    def events(self) -> list[tuple[str, str]]:
        return [(notification["incident_id"], notification["event"]) for notification in self.accepted]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    fake = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            fake.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            status, headers = fake.script.pop(0) if fake.script else (200, {})
            if status == "hang":
                fake.freed.wait(within(10.0))
                return
            if isinstance(status, int) and status < 300:
                fake.accepted.append(json.loads(body))
            self.send_response(int(status))
            for name, value in {"content-length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

    with served_by(Handler) as fake.url:
        yield fake
        fake.freed.set()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[IncidentStore]:
    with empty_store(tmp_path) as opened:
        yield opened


def paged(name: str, store: IncidentStore, channels: Sequence[str] = HOOK, at: datetime = START) -> Incident:
    """Return an incident that was paged for, its page in the outbox."""
    incident = Incident(
        name, IncidentState.OPEN, Severity.CRITICAL, at, at, "cart", ("cart", "web"), (), 3, (TimelineEvent(at, "page sent"),), at
    )
    page = Page(name, at, Severity.CRITICAL, ("cart", "web"), 3, 0.0)
    with store.writing() as writer:
        writer.put_incidents([incident])
        writer.enqueue(messages_for(page, incident, channels, URL))
    return incident


def moved(
    incident: Incident, state: IncidentState, store: IncidentStore, at: datetime, channels: Sequence[str] = HOOK
) -> Incident:
    after = transitioned(incident, state, TimelineEvent(at, f"{state} by ada", "ada"))
    with store.writing() as writer:
        writer.put_incidents([after])
        writer.enqueue(change_messages(after, channels, URL))
    return after


def dispatcher(store: IncidentStore, channels: Sequence[Channel], clock: MovedClock, after_min: float = 15.0) -> Dispatcher:
    names = [channel.name for channel in channels if channel.name == "escalation"] or [channel.name for channel in channels]
    return Dispatcher(store, channels, clock, Escalations(store, names, 60 * after_min, clock), DispatchConfig(draw=lambda: 0.0))


def hook(receiver: Receiver, clock: MovedClock, timeout_s: float = 2.0, name: str = "webhook") -> WebhookChannel:
    return WebhookChannel(name, Poster("responder.webhook_url", f"{receiver.url}/{name}", timeout_s), SECRET, clock)


def drain(sender: Dispatcher, name: str = "webhook") -> int:
    steps = 0
    while sender.step(name):
        steps += 1
    return steps


def states(store: IncidentStore, incident_id: str) -> list[tuple[str, str]]:
    return [(str(message.kind), str(message.state)) for message in store.messages(incident_id)]


def test_everything_arrives_in_order_past_a_receiver_that_fails(store: IncidentStore, receiver: Receiver) -> None:
    clock = MovedClock(START)
    incident = paged("inc-1", store)
    moved(moved(incident, IncidentState.ACKNOWLEDGED, store, START), IncidentState.RESOLVED, store, START)
    receiver.script = [(503, {}), ("hang", {}), (429, {"retry-after": "40"})]
    sender = dispatcher(store, [hook(receiver, clock, timeout_s=0.2)], clock)
    waits = []
    while len(receiver.accepted) < 3:
        drain(sender)
        due = min((message.due_at for message in store.pending_messages("webhook", 9) if message.attempts), default=None)
        if due is not None:
            waits.append((due - clock.now).total_seconds())
            clock.now = due
    assert waits == [1.0, 2.0, 40.0]
    assert receiver.events() == [("inc-1", "page"), ("inc-1", "acknowledged"), ("inc-1", "resolved")]
    keys = [headers["idempotency-key"] for _, headers, _ in receiver.requests]
    assert len(set(keys[:4])) == 1
    assert len(set(keys)) == 3
    assert sender.counts() == {("webhook", "retry"): 3, ("webhook", "delivered"): 3}


def test_requests_are_signed_with_their_time(store: IncidentStore, receiver: Receiver) -> None:
    clock = MovedClock(START)
    paged("inc-1", store)
    drain(dispatcher(store, [hook(receiver, clock)], clock))
    _, headers, body = receiver.requests[0]
    signed = f"{int(START.timestamp())}.".encode() + body
    assert headers["x-aiops-signature"] == "sha256=" + hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()


def test_a_failing_message_delays_no_other_incident_for_good(store: IncidentStore, receiver: Receiver) -> None:
    clock = MovedClock(START)
    paged("inc-1", store)
    paged("inc-2", store, at=START + timedelta(seconds=1))
    receiver.script = [(500, {})]
    sender = dispatcher(store, [hook(receiver, clock)], clock)
    assert drain(sender) == 1
    clock.pass_s(1.0)
    drain(sender)
    assert sorted(receiver.events()) == [("inc-1", "page"), ("inc-2", "page")]


def test_a_refusal_is_not_repeated_but_recorded(store: IncidentStore, receiver: Receiver) -> None:
    clock = MovedClock(START)
    paged("inc-1", store)
    receiver.script = [(404, {})]
    sender = dispatcher(store, [hook(receiver, clock)], clock)
    drain(sender)
    clock.pass_s(600)
    drain(sender)
    assert len(receiver.requests) == 1
    assert ("page", "failed") in states(store, "inc-1")
    (entry,) = store.audit(PageRequest()).items
    assert (entry.what, entry.subject, entry.by) == ("notification failed", "inc-1", "notifier")
    assert "status 404" in entry.detail["error"]
    assert receiver.url not in json.dumps(dict(entry.detail))


@pytest.mark.parametrize(("chunk", "pause_s"), [(b"x", 0.05), (b"x" * 100_000, 0.0)])
def test_an_answer_without_end_holds_nobody(chunk: bytes, pause_s: float) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    sent = 0

    def answer() -> None:
        nonlocal sent
        taken, _ = listening.accept()
        with taken, suppress(OSError):
            taken.recv(65536)
            taken.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            while sent < 50_000_000:
                taken.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                sent += len(chunk)
                time.sleep(pause_s)

    thread = threading.Thread(target=answer)
    thread.start()
    poster = Poster("responder.webhook_url", f"http://127.0.0.1:{listening.getsockname()[1]}", 0.2)
    began = time.monotonic()
    assert poster.post(b"{}", {}).outcome is Outcome.DELIVERED
    assert time.monotonic() - began < within(2.0)
    poster.close()
    thread.join(within(5.0))
    listening.close()
    assert sent < 50_000_000


def test_it_gives_up_after_hours_and_says_so(store: IncidentStore, receiver: Receiver) -> None:
    clock = MovedClock(START)
    paged("inc-1", store)
    receiver.script = [(503, {"retry-after": "3600"})] * 9
    sender = dispatcher(store, [hook(receiver, clock)], clock, after_min=9999.0)
    for _ in range(9):
        drain(sender)
        clock.pass_s(3600)
    assert len(receiver.requests) == 7
    assert ("page", "failed") in states(store, "inc-1")
    assert sender.counts()["webhook", "failed"] == 1


class _Killed(Exception):
    pass


class DiesAfterSending:
    """A channel whose process dies between the receiver's answer and its own note of it."""

    name = "webhook"

    def __init__(self, inner: Channel) -> None:
        self._inner = inner

    def deliver(self, message: OutboxMessage) -> Any:
        self._inner.deliver(message)
        raise _Killed

    def close(self) -> None:
        self._inner.close()


def test_a_killed_dispatcher_resumes_after_its_lease_and_another_waits_for_it(store: IncidentStore, receiver: Receiver) -> None:
    clock = MovedClock(START)
    paged("inc-1", store)
    with pytest.raises(_Killed):
        dispatcher(store, [DiesAfterSending(hook(receiver, clock))], clock).step("webhook")
    other = dispatcher(store, [hook(receiver, clock)], clock)
    assert drain(other) == 0
    clock.pass_s(60)
    assert drain(other) == 1
    keys = [headers["idempotency-key"] for _, headers, _ in receiver.requests]
    assert len(keys) == 2
    assert len(set(keys)) == 1
    assert ("page", "delivered") in states(store, "inc-1")


KILLED = """
import sys
from datetime import UTC, datetime
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.notify.delivery import Poster
from serving.incidents.notify.dispatcher import Dispatcher
from serving.incidents.notify.escalation import Escalations
from serving.incidents.notify.webhook_channel import WebhookChannel
at = datetime.fromisoformat(sys.argv[3])
store = IncidentStore.open(sys.argv[1], "default")
channel = WebhookChannel("webhook", Poster("responder.webhook_url", sys.argv[2], 60.0), None, lambda: at)
Dispatcher(store, [channel], lambda: at, Escalations(store, ["webhook"], 900.0, lambda: at)).step("webhook")
"""


def test_kill_9_while_the_receiver_holds_the_request(store: IncidentStore, receiver: Receiver, tmp_path: Path) -> None:
    clock = MovedClock(START)
    incident = paged("inc-1", store)
    receiver.script = [("hang", {})]
    arguments = [f"sqlite:///{tmp_path / 'incidents.db'}", f"{receiver.url}/webhook", START.isoformat()]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *arguments])
    while not receiver.requests:
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    moved(incident, IncidentState.RESOLVED, store, START)
    sender = dispatcher(store, [hook(receiver, clock)], clock)
    assert drain(sender) == 0
    clock.pass_s(60)
    drain(sender)
    assert receiver.events() == [("inc-1", "page"), ("inc-1", "resolved")]
    assert len({headers["idempotency-key"] for _, headers, _ in receiver.requests}) == 2


def test_a_fault_of_a_channel_ends_all_and_is_raised(store: IncidentStore, receiver: Receiver) -> None:
    clock = MovedClock(START)
    paged("inc-1", store)
    sender = dispatcher(store, [DiesAfterSending(hook(receiver, clock)), hook(receiver, clock, name="other")], clock)
    with pytest.raises(_Killed):
        sender.run(threading.Event())


def test_two_dispatchers_share_the_work(store: IncidentStore, receiver: Receiver) -> None:
    clock = MovedClock(START)
    for number in range(12):
        paged(f"inc-{number}", store)
    senders = [dispatcher(store, [hook(receiver, clock)], clock) for _ in range(2)]
    threads = [threading.Thread(target=drain, args=(sender,)) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(receiver.events()) == sorted((f"inc-{number}", "page") for number in range(12))


def escalated(receiver: Receiver) -> list[str]:
    return [json.loads(body)["incident_id"] for _, _, body in receiver.requests if json.loads(body)["event"] == "escalation"]


def test_an_escalation_goes_out_once_where_nobody_answers(store: IncidentStore, receiver: Receiver) -> None:
    clock = MovedClock(START)
    incident = paged("inc-1", store)
    moved(paged("inc-2", store), IncidentState.ACKNOWLEDGED, store, START + timedelta(minutes=3))
    report = RootCauseReport(START, START, START, "web", (RootCause("db", 0.9, "db is full"),), True, "db")
    with store.writing() as writer:
        writer.put_report("inc-1", report)
        writer.enqueue(update_messages(incident, report, HOOK, URL))
    channels = [hook(receiver, clock), hook(receiver, clock, name="escalation")]
    sender = dispatcher(store, channels, clock)
    for _ in range(4):
        drain(sender), drain(sender, "escalation")
        clock.pass_s(600)
    assert escalated(receiver) == ["inc-1"]
    notification = next(json.loads(body) for path, _, body in receiver.requests if path == "/escalation")
    assert notification["root_cause"]["service"] == "db"
    assert ("escalation", "cancelled") in states(store, "inc-2")
    assert [entry.what for entry in store.audit(PageRequest()).items] == ["escalated"]
    assert [event.kind for event in store.events_after(0, 9)] == ["escalated"]
    moved(incident, IncidentState.ACKNOWLEDGED, store, clock.now)
    drain(sender), drain(sender, "escalation")
    assert [path for path, _, body in receiver.requests if json.loads(body)["incident_id"] == "inc-1"] == [
        "/webhook",
        "/webhook",
        "/escalation",
        "/webhook",
        "/escalation",
    ]


def test_merging_hands_the_escalation_on(store: IncidentStore, receiver: Receiver) -> None:
    clock = MovedClock(START)
    double = paged("inc-2", store)
    home = replace(double, incident_id="inc-1")
    with store.writing() as writer:
        writer.put_incidents([home])
    sender = dispatcher(store, [hook(receiver, clock)], clock)
    drain(sender)
    merged = replace(transitioned(double, IncidentState.MERGED, TimelineEvent(START, "merged into inc-1")), merged_into="inc-1")
    with store.writing() as writer:
        writer.put_incidents([merged])
    clock.pass_s(1000)
    drain(sender)
    assert escalated(receiver) == ["inc-1"]


def test_all_configured_channels_hear_of_it_by_threads_of_their_own(store: IncidentStore, receiver: Receiver) -> None:
    settings = ResponderSettings(
        webhook_url=SecretStr(f"{receiver.url}/hook"),
        slack_url=SecretStr(f"{receiver.url}/slack"),
        pagerduty_key=SecretStr("R" * 32),
        pagerduty_url=f"{receiver.url}/pagerduty",
    )
    clock = MovedClock(START)
    names = channel_names(settings)
    assert escalation_names(settings) == names == ("webhook", "slack", "pagerduty")
    moved(paged("inc-1", store, names), IncidentState.RESOLVED, store, START, names)
    paged("inc-2", store, ["pager"])
    channels = channels_of(settings, clock)
    sender = Dispatcher(store, channels, clock, Escalations(store, names, 900, clock), DispatchConfig(poll_s=0.01))
    assert sender.fail_unaddressed() == 1
    stop = threading.Event()
    running = threading.Thread(target=sender.run, args=(stop,))
    running.start()
    wait_until(lambda: len(receiver.requests) == 6, 5)
    stop.set()
    running.join()
    for channel in channels:
        channel.close()
    by_path = {
        path: [json.loads(body) for where, _, body in receiver.requests if where == path] for path, _, _ in receiver.requests
    }
    assert [notification["event"] for notification in by_path["/hook"]] == ["page", "resolved"]
    assert [(item["event_action"], item["dedup_key"]) for item in by_path["/pagerduty"]] == [
        ("trigger", "inc-1"),
        ("resolve", "inc-1"),
    ]
    assert "resolved by ada" in by_path["/slack"][1]["text"]
    registry = CollectorRegistry()
    expose(lambda: {("acme", *item): count for item, count in sender.counts().items()}, registry)
    labels = {"tenant": "acme", "channel": "slack", "outcome": "delivered"}
    assert registry.get_sample_value("aiops_notifications_total", labels) == 2
    assert {message.state for message in store.messages("inc-2")} == {MessageState.FAILED}
