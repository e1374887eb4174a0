"""One responder, two tenants: each has its desk; equal alerts are two incidents; one that fails leaves the other paging."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aiops.errors import StateError, Unavailable
from aiops.settings.tree import Settings
from serving.incidents.desk.desk_metrics import MetricFamilies
from serving.incidents.desk.detection_alerts import AlertRules
from serving.incidents.desk.stream_inputs import RoundReads, StreamInputs
from serving.incidents.notify.routes import routed
from serving.incidents.notify.tenant_prefix import outgoing
from serving.incidents.responder.responder_loop import DESK
from serving.incidents.responder.rounds import DeskRounds
from serving.incidents.responder.tenant_desks import SharedParts, TenantDesk, TenantDesks
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentFilter, MessageKind, OutboxMessage, PageRequest
from serving.stream import streams
from tests.testing.store_rows import BEGAN, alert
from tests.testing.stream_rows import detections

ALL = PageRequest(1000)


class TenantStreams:
    """A broker in memory whose entries name their tenant; counts what is read."""

    def __init__(self) -> None:
        self.entries: dict[str, list[streams.Entry]] = {streams.DETECTIONS: [], streams.PREDICTIONS: [], streams.NOTICES: []}
        self.reads = 0

    def put(self, tenant: str, **row: object) -> None:
        held = self.entries[streams.DETECTIONS]
        payload = streams.to_ipc(detections(row))
        held.append(streams.Entry(f"{len(held) + 1}-0", streams.KIND_SERVICE, payload, 0, 0, tenant=tenant))

    def read(self, after: Mapping[str, str], count: int, block_ms: int) -> dict[str, list[streams.Entry]]:
        self.reads += 1
        return {
            name: [entry for entry in self.entries[name] if streams.id_parts(entry.entry_id) > streams.id_parts(position)][:count]
            for name, position in after.items()
        }

    def last_id(self, stream: str) -> str:
        return self.entries[stream][-1].entry_id if self.entries[stream] else streams.START

    def trimmed_id(self, stream: str) -> str:
        return streams.START


@dataclass
class Responder:
    """Desks of all tenants over one database and broker, a round at a time."""

    settings: Settings
    database: IncidentDatabase
    broker: TenantStreams
    metrics: MetricFamilies = field(default_factory=MetricFamilies)
    began: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reads = RoundReads(self.broker)
        self.desks = TenantDesks(SharedParts(self.settings, self.database, self.reads, self.metrics))
        self.rounds = DeskRounds(self.desks, self.database, self.reads, self.begin)

    def begin(self, desk: TenantDesk) -> None:
        desk.begin(self.settings)
        self.began.append(desk.tenant)

    def store(self, tenant: str) -> IncidentStore:
        return IncidentStore(self.database, tenant)

    def pages(self, tenant: str) -> list[OutboxMessage]:
        store = self.store(tenant)
        incident_ids = [incident.incident_id for incident in store.cases(IncidentFilter(), ALL).items]
        return [message for number in incident_ids for message in store.messages(number) if message.kind is MessageKind.PAGE]


@pytest.fixture
def responder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Responder]:
    monkeypatch.setattr("serving.incidents.responder.rounds.LOOK_S", 0.0)
    monkeypatch.setattr("serving.incidents.responder.responder_loop.REST_S", 0.0)
    monkeypatch.setattr("serving.incidents.desk.desk_clock.REST_S", 0.0)
    settings = Settings(home=tmp_path)
    quick = {"clock": "event", "settle_s": 0.0, "page_settle_s": 0.0, "max_tenants": 3}
    settings = settings.model_copy(update={"responder": settings.responder.model_copy(update=quick)})
    with IncidentDatabase.open(settings.incident_store_url) as database:
        made = Responder(settings, database, TenantStreams())
        yield made
        made.desks.close()


def rounds(responder: Responder, count: int = 4) -> None:
    for _ in range(count):
        responder.rounds.round()


def test_the_same_finding_of_two_tenants_opens_two_incidents(responder: Responder) -> None:
    for tenant in ("default", "acme"):
        responder.broker.put(tenant, score=0.99)
    responder.rounds.begin()
    rounds(responder)
    assert responder.began == ["default", "acme"]
    cases = {tenant: responder.store(tenant).cases(IncidentFilter(), ALL).items for tenant in ("default", "acme")}
    assert {tenant: len(items) for tenant, items in cases.items()} == {"default": 1, "acme": 1}
    alerts = [responder.store(tenant).alerts(None, ALL).items for tenant in ("default", "acme")]
    assert alerts[0][0].alert.fingerprint == alerts[1][0].alert.fingerprint
    assert [len(alert) for alert in alerts] == [1, 1]


def test_a_tenants_clock_and_thresholds_are_its_own(responder: Responder) -> None:
    responder.rounds.begin()
    with responder.store("acme").writing() as writer:
        writer.note("thresholds", [["cart", "latency_p99_ms", 0.999]])
    responder.broker.put("acme", score=0.9, detection_id="quiet")
    responder.broker.put("default", score=0.9, timestamp=datetime(2026, 3, 1, 9, tzinfo=UTC))
    rounds(responder)
    assert (responder.store("acme").counts()["alerts"], responder.store("default").counts()["alerts"]) == (0, 1)
    clocks = [responder.store(tenant).clock() for tenant in ("default", "acme")]
    assert clocks[0] is not None
    assert clocks[0] < datetime(2026, 3, 1, 10, tzinfo=UTC)


def test_an_inbox_that_was_filled_finds_its_desk(responder: Responder) -> None:
    responder.rounds.begin()
    with responder.store("acme").writing() as writer:
        writer.inbox_add([alert("in-1")], BEGAN)
    rounds(responder)
    assert [alert.incident_id != "" for alert in responder.store("acme").alerts(None, ALL).items] == [True]
    assert responder.store("default").counts()["alerts"] == 0


def test_a_damaged_desk_leaves_the_others_paging(
    responder: Responder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.incidents.responder.rounds.AGAIN_S", 0.0)
    with responder.store("acme").writing() as writer:
        writer.save_desk(b"no snapshot", {}, 5)
    responder.broker.put("acme", score=0.99)
    responder.broker.put("default", score=0.99)
    responder.rounds.begin()
    rounds(responder)
    assert len(responder.pages("default")) == 1
    assert responder.pages("acme") == []
    assert "the desk of tenant acme failed" in caplog.text
    assert "1 of 2 desks" in responder.rounds.health()[DESK]
    with responder.database.writing("acme") as connection:
        connection.exec_driver_sql("DELETE FROM snapshots WHERE tenant = 'acme'")
        connection.exec_driver_sql("UPDATE desk SET seq = seq + 1 WHERE tenant = 'acme'")
    rounds(responder)
    assert len(responder.pages("acme")) == 1, "what came meanwhile is read once the desk can be read again"
    assert responder.rounds.health()[DESK] == "ok"


def test_where_no_desk_works_it_is_raised(responder: Responder) -> None:
    with responder.store("default").writing() as writer:
        writer.save_desk(b"no snapshot", {}, 5)
    with pytest.raises(StateError, match="damaged"):
        responder.rounds.begin()


def test_tenants_are_bounded_and_those_without_a_desk_are_named_once(
    responder: Responder, caplog: pytest.LogCaptureFixture
) -> None:
    responder.rounds.begin()
    for number in range(5):
        responder.broker.put(f"t{number}", score=0.99)
    responder.broker.put("no/tenant", score=0.99)
    rounds(responder)
    assert len(responder.desks.running()) == 3
    assert caplog.text.count("nobody is notified of what happens to a tenant") == 3
    assert caplog.text.count("entries of tenant 'no/tenant' are not read") == 1
    with pytest.raises(Unavailable, match=r"responder\.max_tenants"):
        responder.desks.parts("t4")


def test_desks_that_stand_at_the_same_place_read_once(responder: Responder) -> None:
    for tenant in ("default", "acme", "shop"):
        responder.broker.put(tenant, score=0.99)
    responder.rounds.begin()
    rounds(responder, 3)
    before = responder.broker.reads
    rounds(responder, 1)
    assert responder.broker.reads == before + 1


def test_a_tenant_without_news_keeps_its_place_without_writing(responder: Responder, monkeypatch: pytest.MonkeyPatch) -> None:
    responder.rounds.begin()
    rounds(responder, 2)
    desk = responder.desks.running()[0]
    monkeypatch.setattr("serving.incidents.responder.responder_loop.KEEP_S", float("inf"))
    with responder.store("default").writing() as writer:
        saves = writer.desk().seq
    for number in range(5):
        responder.broker.put("acme", score=0.99, detection_id=f"d{number}")
        rounds(responder, 1)
    with responder.store("default").writing() as writer:
        assert writer.desk().seq == saves
    assert desk.loop.offsets[streams.DETECTIONS] == "5-0"


def test_inputs_leave_other_tenants_entries(responder: Responder) -> None:
    responder.broker.put("acme")
    responder.broker.put("default")
    batch = StreamInputs(responder.broker, "acme").read({}, AlertRules())
    assert (len(batch.alerts), batch.own, batch.others) == (1, True, {"default"})
    strange = StreamInputs(responder.broker, "shop").read({}, AlertRules())
    assert (strange.alerts, strange.own, strange.others, strange.newest) == ((), False, {"acme", "default"}, None)


def test_what_leaves_names_its_tenant() -> None:
    payload = {"headline": "critical: cart", "url": "http://h/open/i-1"}
    message = OutboxMessage("m-1", "webhook", "i-1", MessageKind.PAGE, "i-1", payload, BEGAN + timedelta(0))
    assert outgoing(message, "default") == message
    sent = outgoing(message, "acme")
    assert (sent.message_id, sent.dedupe_key) == ("acme/m-1", "acme/i-1")
    assert sent.payload == {"headline": "[acme] critical: cart", "url": "http://h/open/i-1?tenant=acme", "tenant": "acme"}


def test_a_tenant_may_have_channels_of_its_own(tmp_path: Path) -> None:
    routes = tmp_path / "routes.toml"
    routes.write_text('[acme]\nslack_url = "https://example.org/acme"\n')
    settings = Settings(home=tmp_path).responder.model_copy(update={"notification_routes": routes})
    own = routed(settings, "acme")
    assert own.slack_url is not None
    assert own.slack_url.get_secret_value() == "https://example.org/acme"
    assert routed(settings, "default") is settings
