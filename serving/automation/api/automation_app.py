"""The application: routes over the run log, with one gate before them and problems for all that is refused."""

from typing import Final

from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import Scope

from aiops.version import __version__
from serving.automation.api.automation_ports import AutomationApiParts
from serving.automation.api.link_routes import LinkRoutes
from serving.automation.api.plan_routes import PlanRoutes
from serving.automation.api.switch_routes import SwitchRoutes
from serving.http.cross_site import SiteRules
from serving.http.openapi import description
from serving.http.operations import install, methods_of
from serving.http.refusals import handle_problems
from serving.http.request_gate import Gate, GateRules
from serving.incidents.api.probes import Probes

_ABOUT: Final = "Plans, approvals and runs, for people and programs. Every refusal is application/problem+json (RFC 9457)."
_SECONDS: Final = (0.001, 0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class AutomationApiMetrics:
    """Counts answers by route and status; observer of the gate."""

    def __init__(self, registry: CollectorRegistry) -> None:
        names = ["method", "route", "code"]
        self.requests = Counter("aiops_automation_api_requests", "Answered calls", names, registry=registry)
        self.seconds = Histogram(
            "aiops_automation_api_seconds", "Time to answer a call", names[:2], buckets=_SECONDS, registry=registry
        )

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count one answer."""
        route = str(getattr(scope.get("route"), "path", "other"))
        method = scope["method"] if route != "other" else "other"
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)


def create_app(parts: AutomationApiParts) -> FastAPI:
    """Return the application. It has no threads of its own: blocking calls are made in the server's pool."""
    app = FastAPI(
        title="AIOps automation",
        version=__version__,
        description=_ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.tenants, app.state.auth, app.state.limits = parts.tenants, parts.auth, parts.limits
    handle_problems(app)
    operations = (
        *PlanRoutes(parts.auth).operations(),
        *SwitchRoutes(parts.auth).operations(),
        *LinkRoutes(parts.links, parts.tenants).operations(),
        *Probes(parts.ready, parts.registry, lambda: description(app)).operations(),
    )
    install(app, operations)
    site = parts.site or SiteRules(only_local=parts.auth.key is None)
    metrics = AutomationApiMetrics(parts.registry)
    app.add_middleware(Gate, rules=GateRules(lambda: site, methods_of(app), metrics, most=parts.limits.concurrency))
    return app
