"""What acts for each tenant: run log, planning, looks at services and reports, made when a tenant has something at all.

Planning and looking use packages that take seconds to import, so they are made when there is something to plan or to look at.
"""

import logging
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final

from aiops.automation.judgement import judge
from aiops.automation.plan import Plan
from aiops.automation.run_ledger import PlannedRun
from aiops.automation.runbook_text import VersionedRunbook
from aiops.automation.service_state import Judgement
from aiops.settings.tree import Settings
from serving.automation.actions.catalog import suite_actions_of
from serving.automation.api.automation_ports import TenantRuns
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.automation.runner.automation_metrics import AutomationMetrics, TenantMetrics
from serving.automation.runner.plan_maker import PlanMaker, PlanMakerParts
from serving.automation.runner.run_executor import ExecutorParts, RunExecutor
from serving.automation.runner.run_loop import LoopParts, RunLoop
from serving.automation.runner.run_reports import ReportParts, RunAudience, RunReports
from serving.automation.runner.runner_lease import RunnerLease
from serving.automation.runner.suite_reach import suite_reach
from serving.host.log_rate_limit import LineLimit
from serving.incidents.notify.channels import escalation_names
from serving.incidents.notify.routes import routed
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentCase

if TYPE_CHECKING:
    from aiops.automation.action import Action
    from serving.automation.runner.service_states import ServiceStates
    from serving.automation.runner.suite_planning import SuitePlanning
    from serving.incidents.desk.desk import Desk

TENANT_LAG: Final = 2.0
"""How many rounds of the archiver telemetry may be late when services are looked at."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SuiteParts:
    """What the automation of all tenants shares; `ledger_of` opens the run log of a tenant, `actions` reach systems of others."""

    settings: Settings
    database: IncidentDatabase
    metrics: AutomationMetrics
    actions: Mapping[str, "Action"]
    ledger_of: Callable[[IncidentStore], StoreRunLedger]


class _Lazily:
    """Planning, looks and desk of one tenant, made when they are used first."""

    def __init__(self, suite: SuiteParts, store: IncidentStore, actions: Mapping[str, "Action"]) -> None:
        self._suite = suite
        self._store = store
        self._actions = actions

    @cached_property
    def _states(self) -> "ServiceStates":
        from serving.automation.runner.service_states import ServiceStates, StateParts
        from serving.lake.opening import open_lake
        from serving.root_cause.incident_telemetry import TelemetryConfig
        from serving.root_cause.lake_explainer import graph_at
        from serving.tables.graph_store import GraphStore

        settings = self._suite.settings
        lake = open_lake(settings).for_tenant(self._store.tenant)
        graphs = GraphStore(lake)
        config = TelemetryConfig(settings.telemetry.step_s, settings.responder.calm_h)
        return ServiceStates(StateParts(lake, self._store, lambda at: graph_at(graphs, at), config))

    @cached_property
    def _planning(self) -> "SuitePlanning":
        from serving.automation.actions.parameter_rules import kinds_of
        from serving.automation.runbook_folder import RunbookShelf
        from serving.automation.runner.suite_planning import PlanningParts, SuitePlanning

        suite = self._suite
        folder = suite.settings.runbooks_path(self._store.tenant)
        shelf = RunbookShelf(folder, suite.settings.automation.library, kinds_of(self._actions))
        faults = LineLimit(log)

        def in_force() -> tuple[VersionedRunbook, ...]:
            read = shelf.read()
            for fault in read.faults:
                kept = f"; version {fault.in_force[:8]} stays in force" if fault.in_force else ""
                faults.warn(fault.source, f"runbooks of {self._store.tenant}: {fault.message}{kept}")
            return read.runbooks

        planners = {kind: action.planner for kind, action in self._actions.items()}
        graph_at = self._states.graph_at
        return SuitePlanning(PlanningParts(self._store, in_force, planners, graph_at, self._states.now))

    def plan(self, case: IncidentCase, at: datetime) -> Plan | None:
        """Return what the first runbook that fits would do."""
        return self._planning.plan(case, at)

    def anew(self, plan: Plan, at: datetime) -> Plan:
        """Return a plan as it would be made now."""
        return self._planning.anew(plan, at)

    def of(self, planned: PlannedRun, at: datetime) -> Judgement:
        """Return three looks at the services of a run."""
        return self._states.of(planned, at)

    def desk(self) -> "Desk":
        """Return a desk beside the responder's, by the terms that it goes by."""
        from serving.incidents.desk.desk_factory import desk_of, terms_in_force

        settings = self._suite.settings
        return desk_of(settings, self._store, terms_in_force(settings, self._store))

    def audience(self) -> RunAudience:
        """Return who is told of runs."""
        from serving.incidents.desk.desk_factory import terms_in_force

        settings = self._suite.settings
        terms = terms_in_force(settings, self._store)
        return RunAudience(terms.channels, escalation_names(routed(settings.responder, self._store.tenant)), terms.base_url)


@dataclass(frozen=True, slots=True)
class TenantAutomation:
    """All that acts for one tenant: `maker` in one thread, `loop` in another. `runs` is what people reach of it."""

    tenant: str
    runs: TenantRuns
    maker: PlanMaker
    loop: RunLoop
    lease: RunnerLease


def automation_of(suite: SuiteParts, tenant: str) -> TenantAutomation:
    """Return what acts for a tenant; nothing is read yet."""
    settings, store = suite.settings, IncidentStore(suite.database, tenant)
    now = _clock(settings, store)
    actions = {**suite.actions, **suite_actions_of(suite_reach(settings, store, now))}
    ledger, lazily, metrics = suite.ledger_of(store), _Lazily(suite, store, actions), TenantMetrics(suite.metrics, tenant)
    lag = timedelta(seconds=TENANT_LAG * settings.consumer.archive_every_s)
    executor = RunExecutor(ExecutorParts(ledger, actions, lazily, lazily, judge, now, telemetry_lag=lag))
    reports = RunReports(ReportParts(store, ledger, lazily.desk, lazily.audience, now))
    lease = RunnerLease(store, _holder(), timedelta(seconds=settings.automation.lease_s), _wall)
    maker = PlanMaker(PlanMakerParts(store, ledger, lazily, settings.automation.least_probability, now, metrics))
    return TenantAutomation(
        tenant, TenantRuns(tenant, ledger, now), maker, RunLoop(LoopParts(ledger, executor, reports, lease, metrics, now)), lease
    )


def _clock(settings: Settings, store: IncidentStore) -> Callable[[], datetime]:
    """Return the time by which runs go: the wall's, or that of the telemetry where incidents go by it."""
    if settings.responder.clock == "wall":
        return _wall
    return lambda: store.clock() or _wall()


def _wall() -> datetime:
    return datetime.now(UTC)


def _holder() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
