"""Tenants: whose data something is. One rule for their names, one name for those who need none, one folder name each."""

import re
from typing import Final

DEFAULT_TENANT: Final = "default"
"""The tenant of an installation that has only one."""

TENANT_HEADER: Final = "X-Scope-OrgID"
"""HTTP header (gRPC metadata in lower case) that names the tenant of a request, as in Mimir, Loki and Tempo."""

MAX_TENANT_BYTES: Final = 64
_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_FOLDER_ESCAPE: Final = re.compile(r"%([0-9A-F]{2})")


class TenantError(ValueError):
    """A text is no name of a tenant, or none was given where one is needed."""


def tenant_fault(tenant: str) -> str | None:
    """Return why `tenant` cannot name a tenant, in words with the rule and the fix, or None.

    >>> tenant_fault("acme"), tenant_fault("a/b")
    (None, "tenant 'a/b': a tenant is 1 to 64 of A-Z a-z 0-9 _ . -, beginning with a letter or digit: rename it")
    """
    if _TENANT.fullmatch(tenant):
        return None
    rule = f"a tenant is 1 to {MAX_TENANT_BYTES} of A-Z a-z 0-9 _ . -, beginning with a letter or digit: rename it"
    return f"tenant {tenant[:80]!r}: {rule}"


def checked_tenant(tenant: str) -> str:
    """Return `tenant` as it is.

    Raises:
        TenantError: it breaks the rule; an empty one is a query without a tenant.
    """
    fault = tenant_fault(tenant)
    if fault is not None:
        raise TenantError(fault)
    return tenant


def folder_of(tenant: str) -> str:
    """Return the folder name of a tenant; capital letters are escaped, so that no two tenants share one on any file system.

    >>> folder_of("acme"), folder_of("Acme")
    ('tenant=acme', 'tenant=%41cme')

    Raises:
        TenantError: the tenant breaks the rule.
    """
    return "tenant=" + "".join(f"%{ord(letter):02X}" if letter.isupper() else letter for letter in checked_tenant(tenant))


def tenant_of(folder: str) -> str:
    """Return the tenant whose folder this is.

    >>> tenant_of(folder_of("Acme-2"))
    'Acme-2'

    Raises:
        TenantError: it is no folder that `folder_of` names.
    """
    tenant = _FOLDER_ESCAPE.sub(lambda code: chr(int(code[1], 16)), folder.removeprefix("tenant="))
    if folder_of(tenant) != folder:
        raise TenantError(f"folder {folder!r} belongs to no tenant: its name is not one that the suite writes")
    return tenant
