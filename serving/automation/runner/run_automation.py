"""Puts the process that acts on incidents together from the settings, and runs it."""

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from aiops.errors import AiopsError
from aiops.settings.setting_parts import setting_parts
from aiops.settings.tree import Settings
from aiops.topology.graph import ServiceGraph
from serving.automation.actions.catalog import ActionReach, actions_of
from serving.automation.actions.secret_references import Secrets
from serving.automation.api.automation_app import create_app
from serving.automation.api.automation_ports import AutomationApiParts
from serving.automation.approvals.ledger_factory import ledger_of, links_of
from serving.automation.runner.automation_metrics import AutomationMetrics
from serving.automation.runner.automation_process import AutomationProcess, Automations
from serving.automation.runner.tenant_automations import SuiteParts
from serving.http.auth import authenticator
from serving.http.cross_site import site_rules
from serving.http.server import ApiServer
from serving.incidents.api.ports import ApiLimits, ApiReadiness
from serving.incidents.store.database import IncidentDatabase
from serving.incidents.store.database_opening import opened_database
from serving.incidents.store.incident_store import IncidentStore

if TYPE_CHECKING:
    from serving.tables.graph_store import GraphStore

log = logging.getLogger(__name__)


def run_automation(settings: Settings) -> int:
    """Run until SIGTERM, Ctrl-C or a failure; return the exit code (0 = drained)."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda _number, _frame: stop.set())
    try:
        with closing(opened_database(settings.incident_store_url, stop)) as database:
            _run(settings, database, stop)
    except AiopsError as error:
        log.error("%s: %s", type(error).__name__, error)
        return error.exit_code
    log.info("drained: every outcome that is known is stored")
    return 0


def _run(settings: Settings, database: IncidentDatabase, stop: threading.Event) -> None:
    metrics = AutomationMetrics()
    actions = actions_of(_reach(settings))
    suite = SuiteParts(settings, database, metrics, actions, lambda store: ledger_of(settings, store, _graph(settings, store)))
    automations = Automations(suite)
    process = AutomationProcess(automations, stop)
    server = _server(settings, automations, process, metrics)
    server.start()
    log.info("acting on incidents: plans and runs on %s", server.url)
    try:
        if settings.automation.enabled:
            process.run()
        else:
            log.info("AIOPS_AUTOMATION__ENABLED is off: nothing is planned and nothing is carried out")
            process.rest()
    finally:
        server.stop()


def _server(settings: Settings, automations: Automations, process: AutomationProcess, metrics: AutomationMetrics) -> ApiServer:
    serving = settings.serving
    parts = AutomationApiParts(
        tenants=automations.runs,
        auth=authenticator(serving, settings.tokens_path),
        registry=metrics.registry,
        ready=lambda: _readiness(process),
        links=links_of(settings),
        limits=ApiLimits(max_body_bytes=serving.max_body_bytes),
        site=site_rules(serving.allowed_hosts, serving.host, serving.jwt_key is None),
    )
    return ApiServer(create_app(parts), serving.host, settings.automation.port)


def _readiness(process: AutomationProcess) -> ApiReadiness:
    health = process.health()
    return ApiReadiness(all(word == "ok" for word in health.values()), health)


def _graph(settings: Settings, store: IncidentStore) -> Callable[[], ServiceGraph]:
    @cache
    def graphs() -> "GraphStore":
        from serving.lake.opening import open_lake
        from serving.tables.graph_store import GraphStore

        return GraphStore(open_lake(settings).for_tenant(store.tenant))

    return lambda: graphs().graph(learned=True)


def _reach(settings: Settings) -> ActionReach:
    """Return what actions may reach; read once, at the start of the process."""
    own = settings.automation
    in_pod = "KUBERNETES_SERVICE_HOST" in os.environ and not own.kube_context
    return ActionReach(
        Secrets.of_process(tuple(map(Path, setting_parts(own.secret_folders)))),
        frozenset(setting_parts(own.allowed_hosts)),
        tuple(map(Path, setting_parts(own.flag_folders))),
        in_pod,
        own.kube_context or None,
        own.dagster_url or f"http://127.0.0.1:{settings.up.dagster_port}",
        own.ssh_file,
        own.playbook_folder,
    )
