"""The run log in the incident store, on SQLite and PostgreSQL: the suite of run logs, the audit log, events, damage, tenants."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text

from aiops.automation.earning import Hold
from aiops.automation.limits import SuiteLimits
from aiops.automation.run import RunState, StepRun, StepState
from aiops.automation.run_ledger import PlannedRun, RunChange, Switch
from aiops.errors import ContractError, FencedError, RunRefused, StateError
from serving.automation.ledger.run_records import LedgerRules, LinkUse, RunFilter
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import OutboxMessage, PageRequest
from tests.conformance.run_ledger_suite import SHOP, WIDE, Make, RunLedgerSuite, begin, cured, end
from tests.testing.deadlines import within
from tests.testing.made_plans import BEGAN, EARNS, Wish, after, approval_of, made_anew, plan_of
from tests.testing.store_databases import behind
from tests.testing.store_rows import message

ALL = PageRequest(1000)


def shop_of(services: object) -> frozenset[str]:
    return SHOP if SHOP.intersection(services) else frozenset()  # type: ignore[call-overload]


def ledger_of(store: IncidentStore, limits: SuiteLimits = WIDE) -> StoreRunLedger:
    return StoreRunLedger(store, LedgerRules(limits, shop_of))


class TestStoreLedger(RunLedgerSuite):
    @pytest.fixture
    def make(self, store: IncidentStore) -> Make:
        return lambda limits: ledger_of(store, limits)


@pytest.fixture
def ledger(store: IncidentStore) -> StoreRunLedger:
    return ledger_of(store)


def test_all_that_happens_is_in_the_audit_log_and_among_the_events(ledger: StoreRunLedger, store: IncidentStore) -> None:
    plan = ledger.propose(plan_of()).plan
    with pytest.raises(RunRefused):
        ledger.approve(plan.plan_id, approval_of(plan, by="eve"), "viewer")
    approved = ledger.approve(plan.plan_id, approval_of(plan), "operator")
    acting = ledger.begin(made_anew(plan, after(11)), approved, after(11))
    step = StepRun(0, StepState.INTENDED, 1, after(12))
    acting = ledger.change(acting, RunChange(RunState.ACTING, after(12), (step,), "intends step 0"))
    end(ledger, acting, RunState.UNDONE, 20)
    ledger.turn(Switch(False, after(30), "ann"))
    ledger.hold(Hold("restart", "cart", "ann", after(31)), held=True)
    entries = [(entry.by, entry.what) for entry in reversed(store.audit(ALL).items)]
    assert entries == [
        ("suite", "plan made"),
        ("eve", "approval refused"),
        ("ann", "plan approved"),
        ("suite", "run begun"),
        ("suite", "run acting"),
        ("suite", "run undoing"),
        ("suite", "run checking"),
        ("suite", "run undone"),
        ("ann", "automation switched off"),
        ("ann", "runbook held back"),
    ]
    assert store.verify_audit().intact
    events = store.events_after(0, 100)
    assert [event.kind for event in events] == [
        *("run_waiting", "run_approved", "run_acting", "run_acting", "run_undoing", "run_checking", "run_undone"),
        *("automation_switch", "automation_hold"),
    ]
    assert {event.incident_id for event in events[:7]} == {"inc-1"}
    assert store.audit(ALL).items[5].detail["steps"] == [{"number": 0, "state": "intended", "tries": 1, "note": ""}]


def test_a_refused_transaction_leaves_no_trace(ledger: StoreRunLedger, store: IncidentStore) -> None:
    acting = begin(ledger, plan_of())
    before = store.audit(ALL).items
    with pytest.raises(FencedError):
        ledger.change(replace(acting, revision=1), RunChange(RunState.SETTLING, after(30)))
    with pytest.raises(ContractError):
        ledger.change(acting, RunChange(RunState.CURED, after(30)))
    assert store.audit(ALL).items == before


def test_another_process_reads_what_was_committed(ledger: StoreRunLedger, url: str) -> None:
    acting = begin(ledger, plan_of())
    with IncidentStore.open(url, "default") as store:
        again = ledger_of(store)
        assert again.get(acting.plan.plan_id) == acting
        with pytest.raises(RunRefused, match="acts on it now"):
            begin(again, plan_of(Wish(incident="inc-2")))


@pytest.mark.parametrize("damage", ["", "{}", "no JSON", '{"on": "perhaps"}', '{"on": true, "remainder": "x"}', "null", "[]"])
def test_a_switch_that_cannot_be_read_is_off(ledger: StoreRunLedger, url: str, damage: str) -> None:
    plan = ledger.propose(plan_of()).plan
    ledger.turn(Switch(True, after(1), "ann"))
    with behind(url) as connection:
        connection.execute(text("UPDATE automation_switch SET document = :damage"), {"damage": damage})
    assert not ledger.switch().on
    with pytest.raises(RunRefused, match="cannot be read"):
        ledger.approve(plan.plan_id, approval_of(plan), "admin")
    ledger.turn(Switch(True, after(2), "ann"))
    assert ledger.approve(plan.plan_id, approval_of(plan), "admin").run.state is RunState.APPROVED


def test_a_switch_whose_table_is_gone_is_off(ledger: StoreRunLedger, url: str) -> None:
    with behind(url) as connection:
        connection.execute(text("DROP TABLE automation_switch"))
    try:
        on = ledger.switch().on
    except Exception as error:  # noqa: BLE001 - whatever it is, nothing begins
        on = not str(error)
    assert not on


@pytest.mark.parametrize("column", ["plan", "run"])
def test_a_damaged_plan_is_an_error_and_nothing_begins(ledger: StoreRunLedger, url: str, column: str) -> None:
    acting = begin(ledger, plan_of())
    with behind(url) as connection:
        connection.execute(text(f"UPDATE automation_runs SET \"{column}\" = '{{}}'"))
    with pytest.raises(StateError, match="backup"):
        ledger.get(acting.plan.plan_id)
    other = ledger.propose(plan_of(Wish(services=("db",), incident="inc-2")))
    approved = ledger.approve(other.plan.plan_id, approval_of(other.plan), "operator")
    with pytest.raises(StateError):
        ledger.begin(other.plan, approved, after(20))


def test_a_link_is_used_once(ledger: StoreRunLedger) -> None:
    plan = ledger.propose(plan_of()).plan
    link = LinkUse("link-1", plan.plan_id, plan.fingerprint, after(100))
    with pytest.raises(RunRefused, match="link has expired"):
        ledger.approve_by_link(link, approval_of(plan, 100), "operator")
    assert ledger.approve_by_link(link, approval_of(plan), "operator").run.state is RunState.APPROVED
    with pytest.raises(RunRefused, match="link was used"):
        ledger.approve_by_link(link, approval_of(plan), "operator")


def test_a_refused_link_is_not_used_up(ledger: StoreRunLedger) -> None:
    plan = ledger.propose(plan_of()).plan
    link = LinkUse("link-1", plan.plan_id, plan.fingerprint, after(100))
    ledger.turn(Switch(False, after(1), "ann"))
    with pytest.raises(RunRefused, match="switched off"):
        ledger.approve_by_link(link, approval_of(plan), "operator")
    ledger.turn(Switch(True, after(2), "ann"))
    assert ledger.approve_by_link(link, approval_of(plan), "operator").run.state is RunState.APPROVED


def test_tenants_do_not_see_each_other(url: str) -> None:
    with IncidentDatabase.open(url) as database:
        acme, shop = (ledger_of(IncidentStore(database, tenant)) for tenant in ("acme", "shop"))
        acting = begin(acme, plan_of())
        acme.turn(Switch(False, after(30), "ann"))
        acme.hold(Hold("restart", "cart", "ann", after(31)), held=True)
        assert shop.switch().on
        assert list(shop.open_runs()) == list(shop.standings()) == []
        with pytest.raises(ContractError):
            shop.get(acting.plan.plan_id)
        assert begin(shop, plan_of()).run.state is RunState.ACTING


def test_lists_are_pages_by_filter(ledger: StoreRunLedger) -> None:
    for number in range(5):
        ledger.propose(
            plan_of(Wish(incident=f"inc-{number}", made_at=after(number), runbook="scale" if number == 3 else "restart"))
        )
    acting = begin(ledger, plan_of(Wish(incident="inc-9", services=("db",), made_at=after(9))))
    page = ledger.runs(RunFilter(), PageRequest(2))
    assert [planned.plan.subject.incident_id for planned in page.items] == ["inc-9", "inc-4"]
    page = ledger.runs(RunFilter(), PageRequest(2, page.next_cursor))
    assert [planned.plan.subject.incident_id for planned in page.items] == ["inc-3", "inc-2"]
    for run_filter in (
        RunFilter(began=True),
        RunFilter(states=(RunState.ACTING,)),
        RunFilter(service="db"),
        RunFilter(incident_id="inc-9"),
    ):
        assert [planned.plan for planned in ledger.runs(run_filter, ALL).items] == [acting.plan]
    assert len(ledger.runs(RunFilter(runbook="scale"), ALL).items) == 1
    assert ledger.runs(RunFilter(service="' OR 1=1 --"), ALL).items == ()


def test_retention_drops_what_ended_and_keeps_what_is_open(ledger: StoreRunLedger, store: IncidentStore) -> None:
    old = end(ledger, begin(ledger, plan_of()), RunState.CURED, 50)
    waiting = ledger.propose(plan_of(Wish(incident="inc-2", made_at=after(1))))
    plan = ledger.propose(plan_of(Wish(incident="inc-3", made_at=after(1)))).plan
    ledger.approve_by_link(LinkUse("link-1", plan.plan_id, plan.fingerprint, after(100)), approval_of(plan), "operator")
    store.retain(after(50))
    assert ledger.get(old.plan.plan_id) == old
    store.retain(BEGAN + timedelta(days=400))
    with pytest.raises(ContractError, match="not known"):
        ledger.get(old.plan.plan_id)
    assert [planned.plan.plan_id for planned in ledger.open_runs()] == sorted(
        (waiting.plan.plan_id, plan.plan_id), key=[waiting.plan.plan_id, plan.plan_id].index
    ) or len(ledger.open_runs()) == 2


def test_of_many_that_begin_at_once_as_many_act_as_may(url: str) -> None:
    """Eight processes' worth of runners on one database: three runs an hour are allowed, one of them on each service."""
    with IncidentDatabase.open(url) as database:
        ledgers = [ledger_of(IncidentStore(database, "default"), SuiteLimits(3, 100, 1.0)) for _ in range(8)]
        outcomes: list[str] = []
        gate = threading.Barrier(8)

        def act(number: int) -> None:
            plan = plan_of(Wish(services=(f"s{number % 6}",), incident=f"inc-{number}"))
            gate.wait(within(20))
            try:
                begin(ledgers[number], plan)
                outcomes.append("acts")
            except RunRefused:
                outcomes.append("refused")

        threads = [threading.Thread(target=act, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(within(60))
        assert sorted(outcomes) == ["acts"] * 3 + ["refused"] * 5
        acting = [planned for planned in ledgers[0].open_runs() if planned.run.state is RunState.ACTING]
        assert len({planned.plan.services for planned in acting}) == 3


def outbox(store: IncidentStore) -> list[str]:
    return [row.message_id for row in store.messages("i-1")]


class NoticeOfPlans:
    """Notifies one channel of each plan that waits."""

    def waiting(self, planned: PlannedRun, incident: object) -> tuple[OutboxMessage, ...]:
        del incident
        return (message(f"waiting {planned.plan.plan_id}"),)


def test_people_are_notified_once_of_a_plan_that_may_not_run_alone_after_all(store: IncidentStore) -> None:
    ledger = StoreRunLedger(store, LedgerRules(WIDE, notices=NoticeOfPlans()))
    cured(ledger, 14)
    wish = Wish(earn=EARNS, incident="inc-now", made_at=after(1000))
    plan = ledger.propose(plan_of(wish)).plan
    name = f"waiting {plan.plan_id}"
    assert name not in outbox(store), "what may run alone waits for nobody"
    ledger.turn(Switch(False, after(1001), "ann"))
    earned = replace(approval_of(plan, 1002.0), by="suite", earned=True)
    for _ in range(2):
        with pytest.raises(RunRefused, match="switched off"):
            ledger.approve(plan.plan_id, earned, "")
    assert outbox(store).count(name) == 1


def test_the_call_graph_is_not_read_while_others_wait_to_write(store: IncidentStore) -> None:
    asked: list[bool] = []

    def application(services: Sequence[str]) -> frozenset[str]:
        with store.writing() as writer:  # would wait for itself within the transaction of the run log
            writer.note("asked", True)
        asked.append(True)
        return frozenset(services)

    begin(StoreRunLedger(store, LedgerRules(WIDE, application)), plan_of())
    assert asked
