"""What the API is made of: the run log of a tenant, and who may call."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry
from starlette.concurrency import run_in_threadpool

from serving.automation.approvals.approval_links import ApprovalLinks
from serving.automation.ledger.store_ledger import StoreRunLedger
from serving.http.auth import Authenticator
from serving.http.cross_site import SiteRules
from serving.http.guarded_route import OfTenant
from serving.incidents.api.ports import ApiLimits, ApiReadiness


@dataclass(frozen=True, slots=True)
class TenantRuns:
    """What belongs to one tenant. `now`: the time by which people and runs act."""

    tenant: str
    ledger: StoreRunLedger
    now: Callable[[], datetime]


RunsOfTenants = Callable[[str], TenantRuns]
"""Gives what belongs to a tenant; Unavailable where no more tenants can be served."""


@dataclass(frozen=True, slots=True)
class AutomationApiParts:
    """Everything behind the routes; `links` None = no link approves anything."""

    tenants: RunsOfTenants
    auth: Authenticator
    registry: CollectorRegistry
    ready: Callable[[], ApiReadiness]
    links: ApprovalLinks | None = None
    limits: ApiLimits = field(default_factory=ApiLimits)
    site: SiteRules | None = None
    """Host names of the API; None = this machine's, and with a key any number."""


async def runs_of_request(request: Request, tenant: OfTenant) -> TenantRuns:
    """Return what belongs to the tenant of a request."""
    tenants: RunsOfTenants = request.app.state.tenants
    return await run_in_threadpool(tenants, tenant)


Runs = Annotated[TenantRuns, Depends(runs_of_request)]
