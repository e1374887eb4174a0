"""How services are before the trouble, at its peak and after an action, from lake and incident store."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from aiops.automation.limits import SuiteLimits
from aiops.automation.memory_ledger import MemoryRunLedger
from aiops.automation.plan import fingerprint_of, plan_id_of
from aiops.automation.run import Approval, RunState
from aiops.automation.run_ledger import PlannedRun, RunChange
from aiops.errors import Unavailable
from aiops.incidents.alert import Severity
from aiops.incidents.incident import AlertEntry, Incident, IncidentState
from aiops.topology.graph import ServiceGraph
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.automation.runner.service_states import KEPT, ServiceStates, StateParts
from serving.incidents.store.incident_store import IncidentStore
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from serving.root_cause.incident_telemetry import TelemetryConfig
from serving.root_cause.kept_baselines import KeptBaselines
from tests.testing.deadlines import within
from tests.testing.empty_store import empty_store
from tests.testing.made_plans import Wish, plan_of
from tests.testing.slow_database import BEGAN, CALLS, MINUTE, START, rows

ACTED, DONE = BEGAN + 10 * MINUTE, BEGAN + 11 * MINUTE
SETTLED = DONE + 2 * MINUTE
LATER = SETTLED + 6 * MINUTE


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = open_lake(tmp_path / "lake").for_tenant(DEFAULT_TENANT)
    lake.write("telemetry", rows(START, 240), "calm")
    lake.write("telemetry", rows(BEGAN, 13, 0.005, 1), "trouble")
    return lake


@pytest.fixture
def store(tmp_path: Path) -> Iterator[IncidentStore]:
    with empty_store(tmp_path) as store:
        with store.writing() as writer:
            writer.put_incidents([incident()])
        yield store


def alert(service: str, minute: int, ended: bool = False) -> AlertEntry:
    at = BEGAN + minute * MINUTE
    return AlertEntry(service, service, "slow", Severity.CRITICAL, at, at + MINUTE, ended=ended, firing=0 if ended else 1)


def incident(*alerts: AlertEntry, incident_id: str = "inc-1") -> Incident:
    alerts = alerts or (alert("web", 1), alert("cart", 2, ended=True))
    opened = BEGAN + MINUTE
    services = tuple(entry.service for entry in alerts)
    head = (incident_id, IncidentState.OPEN, Severity.CRITICAL, opened, opened)
    return Incident(*head, services[0], services, alerts, len(alerts), timeline=())


def states(lake: Lake, store: IncidentStore) -> ServiceStates:
    graph = ServiceGraph.from_pairs(CALLS)
    return ServiceStates(StateParts(lake, store, lambda _: graph, TelemetryConfig(60)))


def settling(incident_id: str = "inc-1", service: str = "db") -> PlannedRun:
    """Return a run on the database that has acted and waits for its effect."""
    made = plan_of(Wish((service,), incident=incident_id, made_at=BEGAN + 8 * MINUTE))
    subject = replace(made.subject, began_at=BEGAN)
    fingerprint = fingerprint_of(made.version, subject, made.steps, made.needs)
    plan_id = plan_id_of(incident_id, made.runbook, fingerprint, made.made_at)
    plan = replace(made, plan_id=plan_id, subject=subject, fingerprint=fingerprint)
    ledger = MemoryRunLedger(SuiteLimits(100, 100, 1.0))
    planned = ledger.propose(plan)
    planned = ledger.approve(plan_id, Approval("ann", BEGAN + 9 * MINUTE, fingerprint), "operator")
    planned = ledger.begin(plan, planned, ACTED)
    return ledger.change(planned, RunChange(RunState.SETTLING, DONE, (), "all steps are done"))


def only(table: pa.Table, service: str) -> pa.Table:
    return table.filter(pc.equal(table["service"], service))


def test_what_heals_is_well_again(lake: Lake, store: IncidentStore) -> None:
    lake.write("telemetry", rows(SETTLED, 7, 0.0, 2), "healed")
    looks = states(lake, store).of(settling(), LATER)
    assert looks.before.latency_excess == looks.after.latency_excess == 0.0
    assert looks.peak.latency_excess > 3.0
    assert min(looks.before.points, looks.peak.points, looks.after.points) > 0
    assert (looks.peak.alerts_firing, looks.after.alerts_firing, looks.after.new_services) == (2, 1, 0)


def test_what_gets_worse_is_further_from_the_baseline_than_at_its_peak(lake: Lake, store: IncidentStore) -> None:
    lake.write("telemetry", rows(SETTLED, 7, 0.02, 2), "worse")
    looks = states(lake, store).of(settling(), LATER)
    assert looks.after.latency_excess > 2 * looks.peak.latency_excess


def test_a_service_that_was_well_and_strays_after_the_action_is_new(lake: Lake, store: IncidentStore) -> None:
    hurt = only(rows(SETTLED, 7, 0.0, 2), "mail")
    slow = pc.if_else(pc.equal(hurt["metric"], "latency_mean_s"), pc.add(hurt["value"], 3.0), hurt["value"])
    hurt = hurt.set_column(hurt.schema.get_field_index("value"), "value", slow).cast(hurt.schema)
    rest = rows(SETTLED, 7, 0.0, 2)
    lake.write("telemetry", pa.concat_tables([hurt, rest.filter(pc.not_equal(rest["service"], "mail"))]), "after")
    assert states(lake, store).of(settling(), LATER).after.new_services == 1


def test_what_lies_between_the_steps_and_the_settling_does_not_count(lake: Lake, store: IncidentStore) -> None:
    lake.write("telemetry", rows(DONE + MINUTE, 1, 9.0, 3), "restarting")
    lake.write("telemetry", rows(SETTLED, 7, 0.0, 2), "healed")
    looks = states(lake, store).of(settling(), LATER)
    assert looks.after.latency_excess == 0.0
    assert looks.peak.latency_excess < 50.0


def test_without_telemetry_from_afterwards_nothing_is_known(lake: Lake, store: IncidentStore) -> None:
    assert states(lake, store).of(settling(), LATER).after.points == 0


def test_what_came_later_than_asked_for_changes_nothing(lake: Lake, store: IncidentStore) -> None:
    lake.write("telemetry", rows(SETTLED, 7, 0.0, 2), "healed")
    before = states(lake, store).of(settling(), LATER)
    lake.write("telemetry", rows(LATER + MINUTE, 30, 9.0, 3), "later")
    assert states(lake, store).of(settling(), LATER) == before


def test_without_a_baseline_a_run_cannot_be_judged_and_a_service_is_not_known(tmp_path: Path, store: IncidentStore) -> None:
    lake = open_lake(tmp_path / "young").for_tenant(DEFAULT_TENANT)
    lake.write("telemetry", rows(BEGAN, 13, 0.005, 1), "trouble")
    with pytest.raises(Unavailable, match="no baseline"):
        states(lake, store).of(settling(), LATER)
    assert states(lake, store).now(store.case("inc-1"), "db", ACTED) is None


def test_how_a_service_is_now_counts_the_newest_minutes_only(lake: Lake, store: IncidentStore) -> None:
    lake.write("telemetry", rows(SETTLED, 7, 0.0, 2), "healed")
    case, looks = store.case("inc-1"), states(lake, store)
    ill, well = looks.now(case, "db", ACTED), looks.now(case, "db", LATER)
    assert ill is not None
    assert well is not None
    assert ill.latency_excess > 3.0
    assert well.latency_excess == 0.0


class CountedLake:
    """A lake that counts the readings of calm hours: those that begin long before the trouble."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self.calm = 0

    def read_telemetry(self, start: datetime, end: datetime, services: object) -> pa.Table:
        self.calm += start < BEGAN - timedelta(hours=1)
        return self._lake.read_telemetry(start, end, services)  # type: ignore[arg-type]


def test_the_baseline_of_an_incident_is_fitted_once(lake: Lake, store: IncidentStore) -> None:
    lake.write("telemetry", rows(SETTLED, 7, 0.0, 2), "healed")
    counted = CountedLake(lake)
    looks = states(counted, store)  # type: ignore[arg-type]
    looks.of(settling(), LATER)
    first = counted.calm
    looks.of(settling(), LATER + MINUTE)
    assert first > 0
    assert counted.calm == first


def test_planning_and_judging_ask_at_the_same_time(lake: Lake, store: IncidentStore) -> None:
    lake.write("telemetry", rows(SETTLED, 7, 0.0, 2), "healed")
    names = [f"inc-{number}" for number in range(KEPT + 4)]
    with store.writing() as writer:
        writer.put_incidents([incident(incident_id=name) for name in names])
    looks, faults = states(lake, store), []

    def judge() -> None:
        faults.extend(name for name in names if looks.of(settling(name), LATER).peak.latency_excess <= 3.0)

    def plan() -> None:
        faults.extend(name for name in names if looks.now(store.case(name), "db", ACTED) is None)

    threads = [threading.Thread(target=work) for work in (judge, plan)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within(120))
    assert not any(thread.is_alive() for thread in threads)
    assert faults == []


def test_of_too_many_baselines_the_first_kept_is_forgotten() -> None:
    kept = KeptBaselines[int](2)
    for number in range(3):
        kept.keep(number, number)
    kept.keep(1, 10)
    kept.keep(3, 3)
    assert [kept.get(number) for number in range(4)] == [None, 10, None, 3]
