"""Routes of the audit log."""

from starlette.responses import Response

from serving.http.auth import Role
from serving.http.operations import Operation, answer
from serving.incidents.api.incident_routes import good_cursor
from serving.incidents.api.request_fields import Cursor, Limit
from serving.incidents.api.response_types import AuditPage, AuditView
from serving.incidents.api.tenant_parts import Parts
from serving.incidents.store.records import AuditCheck, PageRequest


class AuditRoutes:
    """Reads the audit log of the tenant that asks."""

    def operations(self) -> tuple[Operation, ...]:
        """Return the routes."""
        check = "Whether the audit log is as it was written: its chain of digests from the beginning"
        return (
            Operation("GET", "/audit", self.lines, Role.ADMIN, "Who did what, the newest first", AuditPage),
            Operation("GET", "/audit/check", self.checked, Role.ADMIN, check, AuditCheck),
        )

    def lines(self, parts: Parts, limit: Limit = 50, cursor: Cursor = "") -> Response:
        """Each entry's digest covers it and all before it."""
        with good_cursor(cursor):
            page = parts.store.audit(PageRequest(limit, cursor))
        items = (
            AuditView(entry.seq, entry.at, entry.by, entry.what, entry.subject, entry.detail, entry.digest)
            for entry in page.items
        )
        return answer(AuditPage(tuple(items), page.next_cursor))

    def checked(self, parts: Parts) -> Response:
        """Reads the whole log."""
        return answer(parts.store.verify_audit())
