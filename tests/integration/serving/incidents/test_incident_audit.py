"""The audit log: it only grows, and whoever changes it behind the store's back is found out."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from serving.incidents.store.audit import check
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import AuditCheck, PageRequest
from serving.incidents.store.tenant_connection import TenantConnection
from tests.testing.store_databases import behind
from tests.testing.store_rows import at

TRIGGERS = {
    "sqlite": ("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete", "DROP TRIGGER audit_no_replace"),
    "postgresql": ("DROP TRIGGER audit_no_change ON audit",),
}
TAMPERING = {
    "UPDATE audit SET detail = '{\"n\":9}' WHERE seq = 3": 3,
    "UPDATE audit SET by = 'eve' WHERE seq = 3": 3,
    "UPDATE audit SET at_us = at_us + 1 WHERE seq = 5": 5,
    "UPDATE audit SET digest = 'x' WHERE seq = 2": 2,
    "DELETE FROM audit WHERE seq = 1": 1,
    "DELETE FROM audit WHERE seq = 3": 3,
    "DELETE FROM audit WHERE seq >= 4": 4,
    "DELETE FROM audit": 1,
    "UPDATE desk SET audit_seq = 4": 5,
    "INSERT INTO audit SELECT tenant, 6, at_us, by, what, subject, detail, digest FROM audit WHERE seq = 5": 6,
}


def check_tampered(url: str, statement: str) -> AuditCheck:
    """Return what the check says while a statement is in force; it is taken back."""
    with behind(url) as connection:
        connection.exec_driver_sql(statement)
        result = check(TenantConnection(connection, "default"))
        connection.rollback()
    return result


@pytest.fixture
def written(store: IncidentStore) -> IncidentStore:
    with store.writing() as writer:
        for number in range(1, 6):
            writer.audit(at(number), "ann", "ack", f"i-{number}", {"n": number, "x": float("nan"), "b": [1, None]})
    return store


def test_the_log_is_read_newest_first_and_is_intact(written: IncidentStore) -> None:
    page = written.audit(PageRequest(2))
    assert [entry.seq for entry in page.items] == [5, 4]
    assert [entry.seq for entry in written.audit(PageRequest(9, page.next_cursor)).items] == [3, 2, 1]
    entry = page.items[0]
    assert (entry.at, entry.by, entry.what, entry.subject) == (at(5), "ann", "ack", "i-5")
    assert entry.detail == {"n": 5, "x": "nan", "b": [1, None]}
    assert written.verify_audit().entries == 5
    assert written.verify_audit().intact


def test_the_database_refuses_changes(written: IncidentStore, url: str) -> None:
    statements = ["UPDATE audit SET by = 'eve'", "DELETE FROM audit WHERE seq = 5"]
    if url.startswith("sqlite"):
        statements.append("REPLACE INTO audit SELECT * FROM audit WHERE seq = 1")
    else:
        statements.append("TRUNCATE audit")
    for statement in statements:
        with pytest.raises(DatabaseError, match="append-only"), behind(url) as connection:
            connection.execute(text(statement))
    assert written.verify_audit().intact


def test_tampering_is_detected_where_it_begins(written: IncidentStore, url: str) -> None:
    with behind(url) as connection:
        for drop in TRIGGERS[url.partition(":")[0]]:
            connection.execute(text(drop))
    results = {statement: check_tampered(url, statement) for statement in TAMPERING}
    assert {statement: check.first_broken for statement, check in results.items()} == TAMPERING
    assert all(check.detail and not check.intact for check in results.values())
    assert written.verify_audit().intact
