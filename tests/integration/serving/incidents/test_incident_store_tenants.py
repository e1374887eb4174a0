"""The incident store of two tenants: no query runs without one, keys are a tenant's own, old databases are that of `default`."""

import json
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import MetaData, and_, create_engine, delete, func, or_, select, text, update

from aiops.errors import StateError
from aiops.incidents.correlation.correlator import Correlator
from aiops.incidents.incident import IncidentState
from aiops.topology.graph import ServiceGraph
from data_contracts.series.tenant import TenantError
from serving.incidents.store import migrate
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.incident_tables import ALERTS, DESK, INCIDENT_SERVICES, INCIDENTS, METADATA, NOTES
from serving.incidents.store.records import IncidentFilter, PageRequest
from serving.incidents.store.tenant_connection import TenantConnection, UnboundQuery
from tests.testing.store_databases import behind
from tests.testing.store_rows import BEGAN, alert, at, incident, message

ALL = PageRequest(1000)
FIRST = "0001"


@pytest.fixture
def database(url: str) -> Iterator[IncidentDatabase]:
    with IncidentDatabase.open(url) as database:
        yield database


@pytest.fixture
def acme(database: IncidentDatabase) -> IncidentStore:
    return IncidentStore(database, "acme")


@pytest.fixture
def default(database: IncidentDatabase) -> IncidentStore:
    return IncidentStore(database, "default")


@pytest.fixture
def bound(url: str) -> Iterator[TenantConnection]:
    with behind(url) as connection:
        yield TenantConnection(connection, "acme")


def test_every_table_has_its_tenant_first_in_every_key_and_index(url: str) -> None:
    for table in METADATA.tables.values():
        assert next(iter(table.primary_key.columns)).name == "tenant", table.name
    with behind(url) as connection:
        made = MetaData()
        made.reflect(connection, only=list(METADATA.tables))
    for table in made.tables.values():
        assert all(next(iter(index.columns)).name == "tenant" for index in table.indexes), table.name


def test_a_query_that_is_not_of_a_single_tenant_never_runs(bound: TenantConnection) -> None:
    other = INCIDENTS.alias()
    own, theirs = bound.own(INCIDENTS), INCIDENTS.c.tenant == "default"
    inner = select(INCIDENT_SERVICES.c.incident_id).where(INCIDENT_SERVICES.c.service == "cart")
    unbound = [
        select(INCIDENTS),
        select(func.count()).select_from(ALERTS),
        select(INCIDENTS).where(INCIDENTS.c.incident_id == "i-1"),
        select(INCIDENTS).where(theirs),
        select(INCIDENTS).where(or_(own, INCIDENTS.c.storm)),
        select(INCIDENTS).where(own, INCIDENTS.c.incident_id.in_(inner)),
        select(INCIDENTS, other).where(own),
        select(INCIDENTS).where(own, select(other.c.incident_id).where(other.c.merged_into == "i-1").exists()),
        select(INCIDENTS).where(INCIDENTS.c.tenant == INCIDENTS.c.anchor),
        update(DESK).values(seq=9),
        delete(NOTES).where(NOTES.c.key == "priors"),
    ]
    for statement in unbound:
        with pytest.raises(UnboundQuery, match="not limited to one tenant"):
            bound.execute(statement)


def test_a_query_of_a_tenant_runs(bound: TenantConnection) -> None:
    other = INCIDENTS.alias()
    inner = select(INCIDENT_SERVICES.c.incident_id).where(bound.own(INCIDENT_SERVICES))
    goes_on = select(other.c.incident_id).where(bound.own(other), other.c.incident_id == INCIDENTS.c.merged_into)
    for statement in (
        select(func.count()).select_from(ALERTS).where(bound.own(ALERTS)),
        select(INCIDENTS).where(and_(bound.own(INCIDENTS), INCIDENTS.c.incident_id.in_(inner)), ~goes_on.exists()),
        update(DESK).where(bound.own(DESK)).values(seq=9),
        delete(NOTES).where(bound.own(NOTES), NOTES.c.key == "priors"),
    ):
        bound.execute(statement)


def test_there_is_no_store_without_a_tenant(url: str) -> None:
    for nobody in ("", "a/b", "*"):
        with pytest.raises(TenantError, match="a tenant is 1 to 64"):
            IncidentStore.open(url, nobody)


def test_equal_ids_of_two_tenants_are_two_things(acme: IncidentStore, default: IncidentStore) -> None:
    for store in (acme, default):
        with store.writing() as writer:
            writer.put_incidents([incident("i-1", (store.tenant,))])
            assert writer.put_alerts([alert("a-1", store.tenant)], BEGAN) == 1
            assert writer.enqueue([message("m-1")]) == 1
            assert writer.inbox_add([alert("a-2")], BEGAN) == 1
            writer.audit(BEGAN, store.tenant, "ack", "i-1", {})
            writer.event(BEGAN, "opened", "i-1", {"of": store.tenant})
            writer.note("priors", {store.tenant: 1.0})
            writer.save_desk(store.tenant.encode(), {"stream": "1-0"}, 7)
    for store in (acme, default):
        assert store.case("i-1").incident.services == (store.tenant,)
        assert [alert.alert.service for alert in store.alerts(None, ALL).items] == [store.tenant]
        assert [event.data for event in store.events_after(0, 9)] == [{"of": store.tenant}]
        assert [entry.by for entry in store.audit(ALL).items] == [store.tenant]
        assert (store.noted("priors"), store.last_event_seq()) == ({store.tenant: 1.0}, 1)
        assert (store.verify_audit().entries, store.verify_audit().intact) == (1, True)
        with store.writing() as writer:
            assert writer.desk().snapshot == store.tenant.encode()
            assert [alert.alert_id for alert in writer.inbox_take(9)] == ["a-2"]
    assert acme.retain(at(10**6)) == 0
    with acme.writing() as writer:
        writer.put_incidents([incident("i-1", ("acme",), IncidentState.RESOLVED)])
    assert acme.retain(at(10**6)) == 1
    assert [incident.incident_id for incident in default.cases(IncidentFilter(), ALL).items] == ["i-1"]


def test_an_audit_entry_cannot_move_to_another_tenant(acme: IncidentStore, default: IncidentStore, url: str) -> None:
    with acme.writing() as writer:
        writer.audit(BEGAN, "ann", "ack", "i-1", {})
    with behind(url) as connection:
        row = "seq, at_us, by, what, subject, detail, digest"
        connection.execute(text(f"INSERT INTO audit (tenant, {row}) SELECT 'default', {row} FROM audit"))
        head = "SELECT audit_digest FROM desk WHERE tenant = 'acme'"
        connection.execute(text(f"UPDATE desk SET audit_seq = 1, audit_digest = ({head}) WHERE tenant = 'default'"))
    assert acme.verify_audit().intact
    assert not default.verify_audit().intact


def test_who_has_anything_is_known(acme: IncidentStore, url: str) -> None:
    with IncidentDatabase.open(url) as database:
        assert (database.tenants(), database.waiting(), database.notifying()) == (("default",), frozenset(), frozenset())
        with acme.writing() as writer:
            writer.inbox_add([alert("a-1")], BEGAN)
            writer.enqueue([message("m-1")])
        assert (database.tenants(), database.waiting(), database.notifying()) == (("acme", "default"), {"acme"}, {"acme"})


def of_the_first_release(url: str) -> None:
    """Make a database as the first schema's program left it, with rows in each table."""
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg2:"))
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, FIRST)
    labels = {"service": "cart", "tier": "1", "score": "0.912", "reason": "high"}
    alert_row = ["d-1:0", "f", "cart", "odd", 2, 1_000_000, None, 2.0, None, labels, "detections", False]
    other = ["in-1", "g", "shop", "slow", 1, 1_000_000, None, None, None, {"score": "no number"}, "alertmanager", True]
    events = [
        {"at": "2026-03-01T12:00:00Z", "what": "cart odd: critical", "by": "correlator"},
        {"at": "2026-03-01T12:01:00Z", "what": "acknowledged by ann", "by": "ann"},
        {"at": "2026-03-01T12:02:00Z", "what": "shop slow: acknowledged by nobody", "by": "correlator"},
    ]
    incident_document = msgspec.json.decode(msgspec.json.encode(incident("i-1", ("cart",), IncidentState.ACKNOWLEDGED)))
    for event in incident_document["timeline"]:
        del event["became"]
    incident_document["timeline"] = events
    state = Correlator(ServiceGraph.from_pairs([])).snapshot()
    saved = zlib.compress(msgspec.msgpack.encode({**state, "settling": [alert_row]}))
    rows: dict[str, dict[str, object]] = {
        "snapshots": {"id": 1, "data": saved},
        "incidents": {
            "incident_id": "i-1",
            "state": "acknowledged",
            "severity": 2,
            "opened_us": 1,
            "updated_us": 2,
            "anchor": "cart",
            "services": '["cart"]',
            "alert_count": 1,
            "notified_us": 3,
            "merged_into": "",
            "storm": False,
            "words": "cart",
            "document": json.dumps(incident_document),
        },
        "incident_services": {"incident_id": "i-1", "service": "cart"},
        "alerts": {
            "alert_id": "d-1:0",
            "seq": 1,
            "received_us": 1,
            "incident_id": "i-1",
            "fate": "opened",
            "document": json.dumps(alert_row),
        },
        "inbox": {"alert_id": "in-1", "seq": 1, "received_us": 1, "document": json.dumps(other)},
        "verdicts": {
            "verdict_id": "v-1",
            "incident_id": "i-1",
            "given_us": 5,
            "document": '{"verdict_id":"v-1","incident_id":"i-1","kind":"true","given_at":"2026-03-01T12:00:00Z","by":"ann"}',
        },
        "suppressions": {
            "kind": "silence",
            "name": "quiet",
            "ends_us": 9,
            "document": '{"name":"quiet","matchers":[{"label":"a","operator":"=","value":"b"}],'
            '"starts_at":"2026-03-01T12:00:00Z","ends_at":"2026-03-01T13:00:00Z"}',
        },
        "notes": {"key": "priors", "value": '{"cart":0.5}'},
        "outbox": {
            "message_id": "m-1",
            "channel": "slack",
            "incident_id": "i-1",
            "kind": "page",
            "dedupe_key": "i-1",
            "payload": "{}",
            "due_us": 1,
            "attempts": 1,
            "state": "pending",
            "error": "",
            "settled_us": None,
            "tried_us": 1,
        },
        "events": {"seq": 1, "at_us": 1, "kind": "opened", "incident_id": "i-1", "data": "{}"},
    }
    with engine.begin() as connection:
        for table, row in rows.items():
            names = ", ".join(row)
            connection.execute(text(f"INSERT INTO {table} ({names}) VALUES ({', '.join(':' + name for name in row)})"), row)
        audited = "'ann', 'ack', 'i-1', '{}', 'd5f92a5ad4ac8a7c2b8f85f3e79c2e2f'"
        connection.execute(text(f"INSERT INTO audit (seq, at_us, by, what, subject, detail, digest) VALUES (1, 1, {audited})"))
        desk = 'seq = 4, offsets = \'{"detections":"5-0"}\', clock_us = 8, alert_seq = 1, inbox_seq = 1, event_seq = 1'
        connection.execute(text(f"UPDATE desk SET {desk}"))
    engine.dispose()


def test_a_database_of_the_first_release_becomes_that_of_the_default_tenant(empty_url: str) -> None:
    if empty_url.startswith("sqlite"):
        Path(empty_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    of_the_first_release(empty_url)
    with IncidentDatabase.open(empty_url) as database:
        assert database.tenants() == ("default",)
        store = IncidentStore(database, "default")
        case = store.case("i-1")
        assert [event.became for event in case.incident.timeline] == [IncidentState.OPEN, IncidentState.ACKNOWLEDGED, None]
        assert [verdict.verdict_id for verdict in case.verdicts] == ["v-1"]
        (kept,) = store.alerts("i-1", ALL).items
        assert (kept.alert.score, "score" in kept.alert.labels, kept.fate) == (pytest.approx(0.9115), False, "opened")
        assert [silence.name for silence in store.silences()] == ["quiet"]
        assert (store.noted("priors"), store.last_event_seq()) == ({"cart": 0.5}, 1)
        assert [message.message_id for message in store.messages("i-1")] == ["m-1"]
        assert len(store.audit(ALL).items) == 1
        with store.writing() as writer:
            desk = writer.desk()
            assert (desk.seq, desk.offsets, desk.clock_us) == (4, {"detections": "5-0"}, 8)
            assert desk.snapshot is not None
            assert msgspec.msgpack.decode(desk.snapshot)["settling"][0][-1] == pytest.approx(0.9115)
            (waiting,) = writer.inbox_take(9)
            assert (waiting.alert_id, waiting.label("score")) == ("in-1", "no number"), "a label of another system's own"
        nobody = IncidentStore(database, "acme")
        assert sum(nobody.counts().values()) == 0
        columns = {table.name: select(func.count()).select_from(table) for table in METADATA.tables.values()}
        with database.reading() as connection:
            assert {name: connection.execute(count).scalar_one() for name, count in columns.items()} == {
                **dict.fromkeys(columns, 1),
                "reports": 0,
                "inbox": 0,
                **dict.fromkeys((name for name in columns if name.startswith("automation_")), 0),
            }
    with behind(empty_url) as connection, pytest.raises(Exception, match="append-only"):
        connection.execute(text("UPDATE audit SET by = 'eve'"))


def test_a_database_that_cannot_be_migrated_stays_as_it_is(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if empty_url.startswith("sqlite"):
        Path(empty_url.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
    of_the_first_release(empty_url)
    with behind(empty_url) as connection:
        connection.execute(text("UPDATE alerts SET document = 'no JSON'"))
    with pytest.raises((StateError, json.JSONDecodeError)):
        IncidentDatabase.open(empty_url)
    with behind(empty_url) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == FIRST
        assert connection.execute(text("SELECT count(*) FROM incidents")).scalar() == 1
