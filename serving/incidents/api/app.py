"""The application: routes over ports, with one gate before them and problems for all that is refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from prometheus_client import Gauge

from aiops.version import __version__
from serving.http.answer_metrics import AnswerMetrics
from serving.http.cross_site import SiteRules
from serving.http.openapi import description
from serving.http.operations import Operation, install, methods_of
from serving.http.refusals import handle_problems
from serving.http.request_gate import Gate, GateRules
from serving.incidents.api.action_routes import IncidentActionRoutes
from serving.incidents.api.alert_routes import AlertRoutes
from serving.incidents.api.audit_routes import AuditRoutes
from serving.incidents.api.event_feed import EventFeeds
from serving.incidents.api.event_routes import EventRoutes
from serving.incidents.api.evidence_routes import EvidenceDrawings
from serving.incidents.api.incident_routes import IncidentRoutes
from serving.incidents.api.on_call_pages import BrowsersToPages, OnCallPage
from serving.incidents.api.ports import ApiParts
from serving.incidents.api.probes import Probes
from serving.incidents.api.silence_routes import SilenceRoutes
from serving.incidents.api.topology_routes import ChangeRoutes, GraphRoutes
from serving.incidents.api.verdict_routes import VerdictRoutes

STREAMS: Final = frozenset({"/events"})
"""Calls that stay open: they have a limit of their own."""
_ABOUT: Final = "Incidents with their causes, for people and programs. Every refusal is application/problem+json (RFC 9457)."


def create_app(parts: ApiParts) -> FastAPI:
    """Return the application; `state.before_stop` ends its live streams, which otherwise outlive a stop.

    Nothing runs before it is served. It has no threads of its own: blocking calls are made in the server's pool.
    """
    feeds = EventFeeds(parts.limits)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        feeds.close()
        await feeds.ended()

    app = FastAPI(
        title="AIOps incidents",
        version=__version__,
        description=_ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.tenants, app.state.auth, app.state.limits = parts.tenants, parts.auth, parts.limits
    app.state.before_stop = feeds.close
    handle_problems(app)
    install(app, _operations(app, feeds, parts))
    app.add_middleware(BrowsersToPages)
    metrics = AnswerMetrics(parts.registry, "aiops_incident_api", STREAMS)
    watchers = Gauge("aiops_incident_api_watchers", "Live streams that are open", registry=parts.registry)
    watchers.set_function(lambda: feeds.watchers)
    site = parts.site or SiteRules(only_local=parts.auth.key is None)
    rules = GateRules(lambda: site, methods_of(app), metrics, STREAMS, parts.limits.concurrency)
    app.add_middleware(Gate, rules=rules)
    return app


def _operations(app: FastAPI, feeds: EventFeeds, parts: ApiParts) -> tuple[Operation, ...]:
    return (
        *IncidentRoutes().operations(),
        *EvidenceDrawings().operations(),
        *IncidentActionRoutes().operations(),
        *VerdictRoutes().operations(),
        *SilenceRoutes().operations(),
        *GraphRoutes().operations(),
        *ChangeRoutes().operations(),
        *AlertRoutes(parts.alert_sources, parts.clock, parts.registry).operations(),
        *AuditRoutes().operations(),
        *EventRoutes(feeds).operations(),
        *OnCallPage().operations(),
        *Probes(parts.ready, parts.registry, lambda: description(app)).operations(),
    )
