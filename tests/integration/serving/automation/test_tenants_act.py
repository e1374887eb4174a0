"""Tenants that act: each by its own runbooks, none held up by another, and an end that reads nothing."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from aiops.errors import ConfigurationError, StateError
from aiops.settings.automation_settings import AutomationSettings
from aiops.settings.tree import Settings
from aiops.topology.graph import ServiceGraph
from serving.automation.actions.catalog import ActionReach, actions_of
from serving.automation.actions.secret_references import Secrets
from serving.automation.approvals.ledger_factory import ledger_of
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.automation.runner.automation_metrics import AutomationMetrics
from serving.automation.runner.automation_process import AutomationProcess, Automations
from serving.automation.runner.tenant_automations import SuiteParts, automation_of
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.incident_store import IncidentStore
from tests.testing.deadlines import within
from tests.testing.empty_store import empty_file
from tests.testing.explained_incidents import incident, report
from tests.testing.stream_harness import wait_until

RUNBOOK = """
runbook: {name}
title: Serve the old checkout
match: cause.service == "cart"
do:
  - action: feature_flag.file
    with: {{file: "{flags}", flag: checkout, value: old}}
limits: {{replica_share: 1.0}}
"""


class CountedDatabase(IncidentDatabase):
    """A database that answers nothing about tenants any more once it is closed to them."""

    away = False
    asked = 0
    names = ("acme", "default")

    def tenants(self) -> tuple[str, ...]:
        self.asked += 1
        if self.away:
            raise StateError("the database is damaged")
        return self.names


@pytest.fixture
def database(tmp_path: Path) -> Iterator[CountedDatabase]:
    database = CountedDatabase.open(f"sqlite:///{empty_file(tmp_path / 'incidents' / 'incidents.db')}")
    yield database
    database.close()


@pytest.fixture
def suite(tmp_path: Path, database: CountedDatabase) -> SuiteParts:
    settings = Settings(home=tmp_path, automation=AutomationSettings(flag_folders=str(tmp_path)))
    (tmp_path / "flags.json").write_text('{"checkout": "new"}')
    for folder, name in ((tmp_path / "runbooks", "theirs"), (tmp_path / "runbooks" / "tenant=acme", "own")):
        folder.mkdir()
        (folder / f"{name}.yaml").write_text(RUNBOOK.format(name=name, flags=tmp_path / "flags.json"))
    actions = actions_of(ActionReach(Secrets.of_process(()), frozenset(), (tmp_path,), False, None))
    empty = ServiceGraph.from_pairs(())
    return SuiteParts(settings, database, AutomationMetrics(), actions, lambda store: ledger_of(settings, store, lambda: empty))


def explained(database: IncidentDatabase, tenant: str) -> None:
    with IncidentStore(database, tenant).writing() as writer:
        writer.put_incidents([incident()])
        writer.put_report("inc-1", report())


def test_a_tenant_acts_by_its_own_runbooks(suite: SuiteParts, database: CountedDatabase) -> None:
    for tenant, runbook in (("acme", "own"), ("default", "theirs")):
        explained(database, tenant)
        automation = automation_of(suite, tenant)
        assert automation.maker.look() == 1
        assert [planned.plan.runbook for planned in automation.runs.ledger.open_runs()] == [runbook]


def test_a_faulty_runbook_is_said(suite: SuiteParts, database: CountedDatabase, caplog: pytest.LogCaptureFixture) -> None:
    own = suite.settings.runbooks_path("acme")
    (own / "broken.yaml").write_text("runbook: broken\n")
    explained(database, "acme")
    assert automation_of(suite, "acme").maker.look() == 1
    assert "runbooks of acme: broken.yaml" in caplog.text


def test_an_end_gives_the_leases_up_and_reads_no_tenants(suite: SuiteParts, database: CountedDatabase) -> None:
    automations, stop = Automations(suite), threading.Event()
    tenant, _ = automations.all()
    assert tenant.lease.hold()
    database.away = True
    stop.set()
    AutomationProcess(automations, stop).run()
    assert automation_of(suite, "default").lease.hold(), "the lease was kept"


def test_a_database_that_cannot_say_its_tenants_is_asked_again(suite: SuiteParts, database: CountedDatabase) -> None:
    automations, stop = Automations(suite), threading.Event()
    database.away = True
    process = AutomationProcess(automations, stop)
    thread = threading.Thread(target=process.run)
    thread.start()
    try:
        assert wait_until(lambda: database.asked >= 2, 30)
        assert set(process.health().values()) == {"no look yet"}
        database.away = False
        assert wait_until(lambda: set(process.health().values()) == {"ok"}, 30)
        assert [tenant.tenant for tenant in automations.known()] == ["default", "acme"]
    finally:
        stop.set()
        thread.join(within(30))
    assert not thread.is_alive()


def test_a_tenant_whose_settings_cannot_be_used_does_not_hold_up_the_others(
    suite: SuiteParts, database: CountedDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    def ledger(store: IncidentStore) -> StoreRunLedger:
        if store.tenant == "acme":
            raise ConfigurationError("its routes cannot be used")
        return suite.ledger_of(store)

    explained(database, "acme")
    automations = Automations(replace(suite, ledger_of=ledger))
    assert [tenant.tenant for tenant in automations.all()] == ["default"]
    assert "nothing acts for tenant acme: its routes cannot be used" in caplog.text
