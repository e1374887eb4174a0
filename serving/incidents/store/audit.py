"""The audit log's hash chain: whoever changes, drops or inserts an entry breaks the digest of that entry or of the next.

Each tenant has a chain of its own, which begins with its name: entries cannot move to another tenant.

The last digest is kept beside the log as well, so that a shortened log is noticed. Who can change both can still rewrite all of
it: compare the head with one that was written down elsewhere (`aiops incidents audit` prints it).

Source: Schneier, Kelsey: Secure audit logs to support computer forensics (1999), without the keyed part.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, select

from data_contracts.series.tenant import DEFAULT_TENANT
from data_contracts.values.moments import microseconds_of, moment_of_us
from serving.incidents.store.codec import canonical, mapping_of
from serving.incidents.store.incident_tables import AUDIT, DESK
from serving.incidents.store.records import AuditCheck, AuditEntry
from serving.incidents.store.tenant_connection import TenantConnection

_ROWS: Final = 5000
AuditLine = tuple[str, str, str, Mapping[str, Any]]
"""By whom, what, to what, and the details."""


@dataclass(frozen=True, slots=True)
class AuditHead:
    """The newest entry: how many there are, and the digest of all."""

    seq: int
    digest: str


def beginning(tenant: str) -> AuditHead:
    """Return the head of a tenant's log without entries; that of `default` is as it was before there were tenants."""
    return AuditHead(0, "" if tenant == DEFAULT_TENANT else f"tenant {tenant}")


def entry_of(row: Row[Any]) -> AuditEntry:
    """Return the entry of a row."""
    return AuditEntry(row.seq, moment_of_us(row.at_us), row.by, row.what, row.subject, mapping_of(row.detail), row.digest)


def append(connection: TenantConnection, head: AuditHead, at: datetime, line: AuditLine) -> AuditHead:
    """Write one entry after the head; return the new head."""
    by, what, subject, detail = line
    row = {"seq": head.seq + 1, "at_us": microseconds_of(at), "by": by, "what": what, "subject": subject}
    row["detail"] = canonical(detail)
    row["digest"] = _digest(head.digest, row)
    connection.insert(AUDIT, [row])
    return AuditHead(head.seq + 1, str(row["digest"]))


def check(connection: TenantConnection) -> AuditCheck:
    """Recompute a tenant's whole chain and compare it with the head. Memory: some thousand entries; about 10 us an entry."""
    before = beginning(connection.tenant)
    own = select(AUDIT).where(connection.own(AUDIT)).order_by(AUDIT.c.seq).limit(_ROWS)
    while rows := connection.execute(own.where(AUDIT.c.seq > before.seq)).all():
        for row in rows:
            wrong = _wrong(before, row)
            if wrong:
                return AuditCheck(row.seq - 1, False, before.seq + 1, wrong)
            before = AuditHead(row.seq, row.digest)
    desk = connection.first(select(DESK.c.audit_seq, DESK.c.audit_digest).where(connection.own(DESK)))
    head = beginning(connection.tenant) if desk is None else AuditHead(desk.audit_seq, desk.audit_digest)
    if head != before:
        broken = min(before.seq, head.seq) + 1 if before.seq != head.seq else before.seq
        return AuditCheck(before.seq, False, broken, f"the log ends at seq={before.seq}, its head says {head.seq}")
    return AuditCheck(before.seq, True)


def _wrong(before: AuditHead, row: Row[Any]) -> str:
    """Return what is wrong with an entry, "" = nothing."""
    if row.seq != before.seq + 1:
        return f"seq={row.seq} follows {before.seq}: entries are missing"
    if row.digest != _digest(before.digest, row._asdict()):
        return f"seq={row.seq}: the digest is not that of the entry and those before it: it was changed"
    return ""


def _digest(before: str, row: Mapping[str, Any]) -> str:
    fields = {name: row[name] for name in ("seq", "at_us", "by", "what", "subject", "detail")}
    return hashlib.sha256((before + canonical(fields)).encode()).hexdigest()
