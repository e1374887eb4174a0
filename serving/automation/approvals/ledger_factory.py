"""The run log as the settings want it: bounds, applications by the call graph, notifications with links where there is a key."""

from collections.abc import Callable, Sequence

from aiops.automation.limits import SuiteLimits
from aiops.automation.plan import Plan
from aiops.settings.tree import Settings
from aiops.topology.graph import ServiceGraph
from serving.automation.approvals.approval_links import ApprovalLinks
from serving.automation.approvals.plan_notices import ChannelNotices, PlanAudience
from serving.automation.ledger.run_records import LedgerRules
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.http.reachable import reachable_url
from serving.incidents.notify.channels import base_url, channel_names, escalation_names
from serving.incidents.notify.routes import routed
from serving.incidents.store.incident_store import IncidentStore

Graph = Callable[[], ServiceGraph]


def ledger_of(settings: Settings, store: IncidentStore, graph: Graph) -> StoreRunLedger:
    """Return the run log of the store's tenant; `graph` gives the present call graph.

    Raises:
        ConfigurationError: the key of links, or the file of notification routes, cannot be used.
    """
    automation = settings.automation
    limits = SuiteLimits(automation.runs_per_hour, automation.runs_per_day, automation.application_share)
    notices = ChannelNotices(_audience(settings, store.tenant))
    return StoreRunLedger(store, LedgerRules(limits, lambda services: application_of(graph(), services), notices))


def links_of(settings: Settings) -> ApprovalLinks | None:
    """Return what signs links; None = no key is set.

    Raises:
        ConfigurationError: the key is too short.
    """
    key = settings.automation.link_key
    url = reachable_url(settings.automation.public_url, settings.serving.host, settings.automation.port)
    secret = "" if key is None else key.get_secret_value().strip()
    return ApprovalLinks(secret, url) if secret else None


def application_of(graph: ServiceGraph, services: Sequence[str]) -> frozenset[str]:
    """Return the services that hang together with some of these, by calls in either direction. O(services of the graph)."""
    parts = graph.components()
    acted_on = {parts[service] for service in services if service in parts}
    return frozenset(service for service, part in parts.items() if part in acted_on)


def _audience(settings: Settings, tenant: str) -> PlanAudience:
    routes = routed(settings.responder, tenant)
    links = links_of(settings)

    def approve_url(plan: Plan, channel: str) -> str:
        return "" if links is None or not _by_link(plan) else links.url_of(plan, tenant, channel)

    url = base_url(settings.responder, settings.serving.host)
    return PlanAudience(channel_names(routes), escalation_names(routes), url, approve_url)


def _by_link(plan: Plan) -> bool:
    """Return whether a link may approve a plan: it proves nobody's name, and no role above operator."""
    return plan.terms.approve.role == "operator" and not plan.terms.approve.not_requester
