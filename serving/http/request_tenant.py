"""Whose data a request is about: what its header names, within what its token allows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from data_contracts.series.tenant import DEFAULT_TENANT, TENANT_HEADER, tenant_fault
from serving.http.problem import Problem, ProblemError, refused, shown

FIELD: Final = TENANT_HEADER.lower()
ALL: Final = "*"
"""In the claim `tenants`: every tenant."""


@dataclass(frozen=True, slots=True)
class TenantScope:
    """The tenants for which a caller may act; `names` None = all."""

    names: frozenset[str] | None

    def holds(self, tenant: str) -> bool:
        """Return whether the caller may act for `tenant`."""
        return self.names is None or tenant in self.names

    @property
    def otherwise(self) -> str:
        """Return the tenant that is meant where none is named: the only one there is, else `default`."""
        return next(iter(self.names)) if self.names is not None and len(self.names) == 1 else DEFAULT_TENANT


EVERY_TENANT: Final = TenantScope(None)
ONLY_DEFAULT: Final = TenantScope(frozenset({DEFAULT_TENANT}))


def scope_of_claim(claim: object) -> TenantScope | None:
    """Return the scope of a claim `tenants`: a list of names, or one name; "*" = all; absent = `default` only; None = malformed.

    >>> scope_of_claim(["acme"]).holds("acme"), scope_of_claim(None).holds("acme"), scope_of_claim("*").holds("acme")
    (True, False, True)
    """
    if claim is None:
        return ONLY_DEFAULT
    names = [claim] if isinstance(claim, str) else claim
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return EVERY_TENANT if ALL in names else TenantScope(frozenset(names))


def tenant_of_request(values: Sequence[str], scope: TenantScope) -> str:
    """Return the tenant of a request with these values of the header; without it the only one of the token, else `default`.

    Raises:
        ProblemError: 400, the header names no tenant, or comes more than once; 403, the token is not for this tenant.
    """
    if len(values) > 1:
        raise refused(FIELD, ", ".join(values), "a request is of one tenant", "send the header once")
    tenant = values[0].strip() if values else scope.otherwise
    fault = tenant_fault(tenant)
    if fault is not None:
        raise refused(FIELD, tenant, fault.partition(": ")[2].rpartition(": ")[0], "send the name of one tenant")
    if not scope.holds(tenant):
        rule, fix = "the token's claim tenants does not hold it", "use a token of this tenant, or leave the header out"
        detail = f"{FIELD} = {tenant}: {rule}. {fix[:1].upper()}{fix[1:]}."
        raise ProblemError(Problem(403, "forbidden-tenant", detail, FIELD, shown(tenant), rule, fix))
    return tenant
