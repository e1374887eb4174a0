"""What a list says of each incident, on SQLite and PostgreSQL: cause, alerts, who took it on, plans that wait."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, event

from aiops.incidents.alert import Severity
from aiops.incidents.incident import AlertEntry, Incident, IncidentState, TimelineEvent
from serving.automation.ledger.run_records import LedgerRules
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.incidents.api.response_types import IncidentLine, IncidentPage
from serving.incidents.desk.detection_alerts import FORESEEN_NAME
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentGlance
from tests.conformance.run_ledger_suite import WIDE
from tests.testing.explained_incidents import cause, report
from tests.testing.incident_api import running
from tests.testing.made_plans import Wish, plan_of

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
PLAIN = IncidentGlance("", "", None, False, ("slow", "errors"), 2, 3, None, "", 0)


def after(minutes: float) -> datetime:
    return BEGAN + timedelta(minutes=minutes)


def became(minute: float, state: IncidentState, by: str) -> TimelineEvent:
    return TimelineEvent(after(minute), f"becomes {state}", by, state)


def incident(incident_id: str, *timeline: TimelineEvent, names: tuple[str, ...] = ("slow", "errors")) -> Incident:
    entries = tuple(
        AlertEntry(f"{number:016x}", "cart", name, Severity.CRITICAL, BEGAN, after(1), firing=2 - number)
        for number, name in enumerate(names)
    )
    state = timeline[-1].became if timeline and timeline[-1].became else IncidentState.OPEN
    return Incident(incident_id, state, Severity.CRITICAL, BEGAN, after(1), "cart", ("cart",), entries, 7, timeline=timeline)


def put(store: IncidentStore, *incidents: Incident) -> None:
    with store.writing() as writer:
        writer.put_incidents(incidents)


def glance(store: IncidentStore, made: Incident) -> IncidentGlance:
    put(store, made)
    return store.glances([made.incident_id])[made.incident_id]


def test_without_an_analysis_only_its_alerts_are_known(store: IncidentStore) -> None:
    assert glance(store, incident("inc-1")) == PLAIN


def test_the_newest_analysis_gives_the_cause(store: IncidentStore) -> None:
    put(store, incident("inc-1"), incident("inc-2"))
    with store.writing() as writer:
        writer.put_report("inc-1", report(cause("cart", 0.9), minute=3))
        writer.put_report("inc-1", replace(report(cause("queue", 0.4), minute=9, decided=False), statement="undecided"))
        writer.put_report("inc-2", replace(report(minute=20), causes=(), statement="nothing strays"))
    seen = store.glances(["inc-1", "inc-2"])
    assert seen["inc-1"] == replace(PLAIN, statement="undecided", cause="queue", probability=0.4)
    assert seen["inc-2"] == replace(PLAIN, statement="nothing strays", decided=True)


def test_who_took_it_on_counts_until_it_opens_again(store: IncidentStore) -> None:
    taken = became(2, IncidentState.ACKNOWLEDGED, "ann")
    mitigated = became(5, IncidentState.MITIGATED, "bob")
    assert glance(store, incident("inc-1", taken, mitigated)) == replace(PLAIN, acknowledged_at=after(2), acknowledged_by="ann")
    assert glance(store, incident("inc-1", taken, mitigated, became(9, IncidentState.OPEN, "suite"))) == PLAIN


def test_plans_that_wait_are_counted_and_others_are_not(store: IncidentStore) -> None:
    put(store, incident("inc-1"), incident("inc-2"))
    ledger = StoreRunLedger(store, LedgerRules(WIDE))
    wishes = [Wish((service,), incident="inc-1", runbook=f"restart-{service}") for service in ("cart", "queue")]
    plans = [ledger.propose(plan_of(wish)).plan for wish in wishes]
    assert {key: seen.plans_waiting for key, seen in store.glances(["inc-1", "inc-2"]).items()} == {"inc-1": 2, "inc-2": 0}
    ledger.reject(plans[0].plan_id, "ann", BEGAN)
    assert store.glances(["inc-1"])["inc-1"].plans_waiting == 1


def test_another_tenant_and_ids_that_are_not_there_give_nothing(store: IncidentStore, url: str) -> None:
    put(store, incident("inc-1"))
    assert store.glances(["inc-9"]) == {}
    with IncidentStore.open(url, "other") as other:
        assert other.glances(["inc-1"]) == {}


@contextmanager
def statements() -> Iterator[list[str]]:
    """Record what is sent to any database."""
    sent: list[str] = []

    def record(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", record)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", record)


def listed(client: httpx.Client, limit: int) -> IncidentPage:
    answer = client.get("/incidents", params={"limit": limit})
    assert answer.status_code == 200, answer.text
    lines = answer.json()
    return IncidentPage(tuple(lines["items"]), lines["next_cursor"], lines["total"])


def test_a_thousand_take_as_many_queries_as_one(tmp_path: Path) -> None:
    with running(tmp_path) as api:
        put(api.store, *(incident(f"inc-{number}") for number in range(1000)))
        with statements() as of_single:
            assert len(listed(api.client, 1).items) == 1
        with statements() as of_many:
            page = listed(api.client, 1000)
        assert (len(page.items), page.total, page.next_cursor) == (1000, 1000, "")
        assert len(of_many) == len(of_single)


@pytest.mark.parametrize(("names", "foreseen"), [((FORESEEN_NAME,), True), ((FORESEEN_NAME, "slow"), False), (("slow",), False)])
def test_an_incident_is_but_foreseen_while_all_its_alerts_are_forecasts(
    tmp_path: Path, names: tuple[str, ...], foreseen: bool
) -> None:
    with running(tmp_path) as api:
        put(api.store, incident("inc-1", names=names))
        (line,) = api.client.get("/incidents").json()["items"]
    assert line["foreseen"] is foreseen
    assert set(line) == set(IncidentLine.__annotations__)
