"""What the API is made of: the lakes of tenants, and who may call."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from serving.explore.known_cache import KnownCache
from serving.explore.series_reading import SeriesReader
from serving.http.auth import Authenticator
from serving.http.cross_site import SiteRules
from serving.http.guarded_route import OfTenant
from serving.incidents.api.ports import ApiLimits, ApiReadiness
from serving.lake.port import Lakes


@dataclass(frozen=True, slots=True)
class ExploreParts:
    """Everything behind the routes."""

    lakes: Lakes
    auth: Authenticator
    registry: CollectorRegistry
    ready: Callable[[], ApiReadiness]
    known: KnownCache = field(default_factory=KnownCache)
    limits: ApiLimits = field(default_factory=ApiLimits)
    site: SiteRules | None = None
    """Host names of the API; None = this machine's, and with a key any number."""


async def series_of_request(request: Request, tenant: OfTenant) -> SeriesReader:
    """Return the series of the tenant of a request."""
    parts: ExploreParts = request.app.state.parts
    return SeriesReader(parts.lakes.for_tenant(tenant), parts.known)


Series = Annotated[SeriesReader, Depends(series_of_request)]
