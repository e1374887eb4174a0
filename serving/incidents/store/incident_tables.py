"""Tables of the incident store as the program sees them; the migrations make them. Times: microseconds since 1970, UTC.

Each begins with its tenant, which is part of every key: equal ids of two tenants are two things.
"""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Double, Integer, LargeBinary, MetaData, Table, Text

METADATA: Final = MetaData()
SILENCE: Final = "silence"
WINDOW: Final = "maintenance"

DESK: Final = Table(
    "desk",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("offsets", Text, nullable=False),
    Column("clock_us", BigInteger, nullable=False),
    Column("alert_seq", BigInteger, nullable=False),
    Column("inbox_seq", BigInteger, nullable=False),
    Column("event_seq", BigInteger, nullable=False),
    Column("audit_seq", BigInteger, nullable=False),
    Column("audit_digest", Text, nullable=False),
)
"""One row a tenant. Its lock puts all writers of the tenant in a row; it numbers what they write."""

SNAPSHOTS: Final = Table(
    "snapshots",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
"""One row a tenant at most: the desk's state, deflated. Beside the desk row, since that one is rewritten by every writer."""

INCIDENTS: Final = Table(
    "incidents",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("incident_id", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("severity", Integer, nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("anchor", Text, nullable=False),
    Column("services", Text, nullable=False),
    Column("alert_count", BigInteger, nullable=False),
    Column("notified_us", BigInteger),
    Column("merged_into", Text, nullable=False),
    Column("storm", Boolean, nullable=False),
    Column("words", Text, nullable=False),
    Column("document", Text, nullable=False),
)
"""`document` is the whole incident as JSON, `services` its services as JSON, `words` what a search by text looks through."""

INCIDENT_SERVICES: Final = Table(
    "incident_services",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("incident_id", Text, primary_key=True),
    Column("service", Text, primary_key=True),
)

ALERTS: Final = Table(
    "alerts",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("alert_id", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("incident_id", Text, nullable=False),
    Column("fate", Text, nullable=False),
    Column("score", Double),
    Column("document", Text, nullable=False),
)
"""`score` of what we found ourselves, None = unknown or not ours."""

REPORTS: Final = Table(
    "reports",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("incident_id", Text, primary_key=True),
    Column("made_us", BigInteger, primary_key=True),
    Column("document", Text, nullable=False),
)

VERDICTS: Final = Table(
    "verdicts",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("verdict_id", Text, primary_key=True),
    Column("incident_id", Text, nullable=False),
    Column("given_us", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)

INBOX: Final = Table(
    "inbox",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("alert_id", Text, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("received_us", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
)

OUTBOX: Final = Table(
    "outbox",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("message_id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("incident_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("dedupe_key", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("due_us", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("settled_us", BigInteger),
    Column("tried_us", BigInteger),
)

SUPPRESSIONS: Final = Table(
    "suppressions",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("ends_us", BigInteger),
    Column("document", Text, nullable=False),
)
"""Rules of kind `SILENCE` and `WINDOW`; `ends_us` = when the last effect is over, None = never."""

NOTES: Final = Table(
    "notes",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""Small facts by name: priors, thresholds, what was taught."""

EVENTS: Final = Table(
    "events",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("incident_id", Text, nullable=False),
    Column("data", Text, nullable=False),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("tenant", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at_us", BigInteger, nullable=False),
    Column("by", Text, nullable=False),
    Column("what", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("digest", Text, nullable=False),
)
"""Append-only: triggers refuse changes; `digest` chains each entry to the one before of the same tenant."""
