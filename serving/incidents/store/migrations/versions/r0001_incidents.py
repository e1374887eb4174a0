"""The first schema: desk, incidents, alerts, reports, verdicts, inbox, outbox, suppressions, notes, events, audit."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_BIG = sa.BigInteger
_TEXT = sa.Text


def upgrade() -> None:
    """Make the tables."""
    _desk()
    _incidents()
    _alerts()
    _people()
    _messages()
    _logs()
    _protect_audit()


def _desk() -> None:
    counters = [sa.Column(name, _BIG, nullable=False) for name in ("alert_seq", "inbox_seq", "event_seq", "audit_seq")]
    table = op.create_table(
        "desk",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("seq", _BIG, nullable=False),
        sa.Column("offsets", _TEXT, nullable=False),
        sa.Column("clock_us", _BIG, nullable=False),
        *counters,
        sa.Column("audit_digest", _TEXT, nullable=False),
    )
    op.create_table("snapshots", sa.Column("id", sa.Integer, primary_key=True), sa.Column("data", sa.LargeBinary, nullable=False))
    first = {"id": 1, "seq": 0, "offsets": "{}", "clock_us": 0, "audit_digest": ""}
    op.bulk_insert(table, [first | {column.name: 0 for column in counters}])


def _incidents() -> None:
    op.create_table(
        "incidents",
        sa.Column("incident_id", _TEXT, primary_key=True),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("severity", sa.Integer, nullable=False),
        sa.Column("opened_us", _BIG, nullable=False),
        sa.Column("updated_us", _BIG, nullable=False),
        sa.Column("anchor", _TEXT, nullable=False),
        sa.Column("services", _TEXT, nullable=False),
        sa.Column("alert_count", _BIG, nullable=False),
        sa.Column("notified_us", _BIG),
        sa.Column("merged_into", _TEXT, nullable=False),
        sa.Column("storm", sa.Boolean, nullable=False),
        sa.Column("words", _TEXT, nullable=False),
        sa.Column("document", _TEXT, nullable=False),
    )
    op.create_index("incidents_by_time", "incidents", ["opened_us", "incident_id"])
    op.create_index("incidents_by_state", "incidents", ["state", "updated_us"])
    op.create_index("incidents_by_target", "incidents", ["merged_into"])
    op.create_table(
        "incident_services",
        sa.Column("incident_id", _TEXT, primary_key=True),
        sa.Column("service", _TEXT, primary_key=True),
    )
    op.create_index("incidents_by_service", "incident_services", ["service"])


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", _TEXT, primary_key=True),
        sa.Column("seq", _BIG, nullable=False),
        sa.Column("received_us", _BIG, nullable=False),
        sa.Column("incident_id", _TEXT, nullable=False),
        sa.Column("fate", _TEXT, nullable=False),
        sa.Column("document", _TEXT, nullable=False),
    )
    op.create_index("alerts_by_seq", "alerts", ["seq"], unique=True)
    op.create_index("alerts_by_incident", "alerts", ["incident_id", "seq"])
    op.create_table(
        "inbox",
        sa.Column("alert_id", _TEXT, primary_key=True),
        sa.Column("seq", _BIG, nullable=False),
        sa.Column("received_us", _BIG, nullable=False),
        sa.Column("document", _TEXT, nullable=False),
    )
    op.create_index("inbox_by_seq", "inbox", ["seq"])


def _people() -> None:
    op.create_table(
        "reports",
        sa.Column("incident_id", _TEXT, primary_key=True),
        sa.Column("made_us", _BIG, primary_key=True, autoincrement=False),
        sa.Column("document", _TEXT, nullable=False),
    )
    op.create_table(
        "verdicts",
        sa.Column("verdict_id", _TEXT, primary_key=True),
        sa.Column("incident_id", _TEXT, nullable=False),
        sa.Column("given_us", _BIG, nullable=False),
        sa.Column("document", _TEXT, nullable=False),
    )
    op.create_index("verdicts_by_incident", "verdicts", ["incident_id"])
    op.create_index("verdicts_by_time", "verdicts", ["given_us"])
    op.create_table(
        "suppressions",
        sa.Column("kind", _TEXT, primary_key=True),
        sa.Column("name", _TEXT, primary_key=True),
        sa.Column("ends_us", _BIG),
        sa.Column("document", _TEXT, nullable=False),
    )
    op.create_table("notes", sa.Column("key", _TEXT, primary_key=True), sa.Column("value", _TEXT, nullable=False))


def _messages() -> None:
    op.create_table(
        "outbox",
        sa.Column("message_id", _TEXT, primary_key=True),
        sa.Column("channel", _TEXT, nullable=False),
        sa.Column("incident_id", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("dedupe_key", _TEXT, nullable=False),
        sa.Column("payload", _TEXT, nullable=False),
        sa.Column("due_us", _BIG, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("error", _TEXT, nullable=False),
        sa.Column("settled_us", _BIG),
        sa.Column("tried_us", _BIG),
    )
    op.create_index("outbox_by_due", "outbox", ["state", "due_us", "message_id"])
    op.create_index("outbox_by_incident", "outbox", ["incident_id"])


def _logs() -> None:
    op.create_table(
        "events",
        sa.Column("seq", _BIG, primary_key=True, autoincrement=False),
        sa.Column("at_us", _BIG, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("incident_id", _TEXT, nullable=False),
        sa.Column("data", _TEXT, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("seq", _BIG, primary_key=True, autoincrement=False),
        sa.Column("at_us", _BIG, nullable=False),
        *(sa.Column(name, _TEXT, nullable=False) for name in ("by", "what", "subject", "detail", "digest")),
    )


_SQLITE = (
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
    "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)"
    " BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
)
"""The third: INSERT OR REPLACE deletes without the second one's knowledge."""

_POSTGRESQL = (
    "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'audit is append-only'; END $$",
    "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
    "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
)


def _protect_audit() -> None:
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
