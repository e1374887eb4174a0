"""The parts of the tenant that a request is about: routes reach a store, a desk and a lake through them only."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from serving.http.guarded_route import OfTenant
from serving.incidents.api.ports import TenantParts, Tenants


async def parts_of_request(request: Request, tenant: OfTenant) -> TenantParts:
    """Return what belongs to the tenant of a request."""
    return await parts_of(request, tenant)


async def parts_of(request: Request, tenant: str) -> TenantParts:
    """Return what belongs to a tenant, which the caller must have been allowed.

    Raises:
        Unavailable: as many tenants as may be are served already, or the database does not answer.
    """
    tenants: Tenants = request.app.state.tenants
    return await run_in_threadpool(tenants, tenant)


Parts = Annotated[TenantParts, Depends(parts_of_request)]
