"""The application: routes over the lakes, with one gate before them and problems for all that is refused."""

from typing import Final

from fastapi import FastAPI

from aiops.version import __version__
from serving.explore.explore_ports import ExploreParts
from serving.explore.series_routes import SeriesRoutes
from serving.http.answer_metrics import AnswerMetrics
from serving.http.cross_site import SiteRules
from serving.http.openapi import description
from serving.http.operations import install, methods_of
from serving.http.refusals import handle_problems
from serving.http.request_gate import Gate, GateRules
from serving.incidents.api.probes import Probes

_ABOUT: Final = "The data of a tenant, read only. Every refusal is application/problem+json (RFC 9457)."
_READY: Final = "The lake can be read (else 503)"


def create_app(parts: ExploreParts) -> FastAPI:
    """Return the application. It has no threads of its own: blocking calls are made in the server's pool."""
    app = FastAPI(
        title="AIOps data",
        version=__version__,
        description=_ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.parts, app.state.auth, app.state.limits = parts, parts.auth, parts.limits
    handle_problems(app)
    probes = Probes(parts.ready, parts.registry, lambda: description(app), _READY)
    install(app, (*SeriesRoutes().operations(), *probes.operations()))
    site = parts.site or SiteRules(only_local=parts.auth.key is None)
    metrics = AnswerMetrics(parts.registry, "aiops_explore")
    app.add_middleware(Gate, rules=GateRules(lambda: site, methods_of(app), metrics, most=parts.limits.concurrency))
    return app
