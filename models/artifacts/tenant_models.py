"""Models of tenants: one that trains its own has models of its own, `<model>--<tenant>`; the others use the shared ones."""

from typing import Final

from data_contracts.series.tenant import DEFAULT_TENANT, tenant_fault

SEPARATOR: Final = "--"
"""No name of the catalogue holds it."""


def own_name(model: str, tenant: str) -> str:
    """Return the name under which a tenant's own `model` is registered; that of `default` is the shared one.

    >>> own_name("service-ensemble", "default"), own_name("service-ensemble", "acme")
    ('service-ensemble', 'service-ensemble--acme')
    """
    return model if tenant == DEFAULT_TENANT or SEPARATOR in model else f"{model}{SEPARATOR}{tenant}"


def owner_of(model: str, registered: str) -> str | None:
    """Return the tenant whose own `model` is registered under a name; None = it is another model, or the shared one.

    >>> owner_of("service-ensemble", "service-ensemble--a--b"), owner_of("service-ensemble", "service-ensemble")
    ('a--b', None)
    """
    prefix = model + SEPARATOR
    tenant = registered.removeprefix(prefix)
    return tenant if registered.startswith(prefix) and tenant_fault(tenant) is None and tenant != DEFAULT_TENANT else None
