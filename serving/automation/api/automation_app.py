"""The application: routes over the run log, with one gate before them and problems for all that is refused."""

from typing import Final

from fastapi import FastAPI

from aiops.version import __version__
from serving.automation.api.automation_ports import AutomationApiParts
from serving.automation.api.link_routes import LinkRoutes
from serving.automation.api.plan_routes import PlanRoutes
from serving.automation.api.switch_routes import SwitchRoutes
from serving.http.answer_metrics import AnswerMetrics
from serving.http.cross_site import SiteRules
from serving.http.openapi import description
from serving.http.operations import install, methods_of
from serving.http.refusals import handle_problems
from serving.http.request_gate import Gate, GateRules
from serving.incidents.api.probes import Probes

_ABOUT: Final = "Plans, approvals and runs, for people and programs. Every refusal is application/problem+json (RFC 9457)."


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
    metrics = AnswerMetrics(parts.registry, "aiops_automation_api")
    app.add_middleware(Gate, rules=GateRules(lambda: site, methods_of(app), metrics, most=parts.limits.concurrency))
    return app
