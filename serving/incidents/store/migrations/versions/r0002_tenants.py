"""A tenant in each table and key (what was there becomes that of `default`); scores and transitions as values."""

import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_BIG = sa.BigInteger
_TEXT = sa.Text
_DEFAULT = "default"
_ROWS = 2000
_ROUNDED = 0.0005
"""Half of the last digit of a score that was written as text: what was learned of it must not be lost by the rounding."""
_OLD = "_before_tenants"

_INDEXES = {
    "incidents": ("incidents_by_time", "incidents_by_state", "incidents_by_target"),
    "incident_services": ("incidents_by_service",),
    "alerts": ("alerts_by_seq", "alerts_by_incident"),
    "inbox": ("inbox_by_seq",),
    "verdicts": ("verdicts_by_incident", "verdicts_by_time"),
    "outbox": ("outbox_by_due", "outbox_by_incident"),
}
_TABLES = (
    *("desk", "snapshots", "incidents", "incident_services", "alerts", "inbox", "reports"),
    *("verdicts", "suppressions", "notes", "outbox", "events", "audit"),
)


def upgrade() -> None:
    """Make each table anew with its tenant, and move the rows over."""
    for table in _TABLES:
        for index in _INDEXES.get(table, ()):
            op.drop_index(index, table)
        op.rename_table(table, table + _OLD)
    for make in (_desk, _incidents, _alerts, _people, _messages, _logs):
        make()
    for table in _TABLES:
        _move(table)
    for table in reversed(_TABLES):
        op.drop_table(table + _OLD)
    _protect_audit()


def _made(name: str, key: Sequence[str], columns: Sequence[sa.Column[Any]]) -> None:
    keys = ("tenant", *key)
    named = sa.PrimaryKeyConstraint(*keys, name=f"{name}_of_tenant")
    op.create_table(name, sa.Column("tenant", _TEXT, nullable=False), *columns, named)


def _texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, _TEXT, nullable=False) for name in names]


def _bigs(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, _BIG, nullable=False, autoincrement=False) for name in names]


def _desk() -> None:
    counters = _bigs("alert_seq", "inbox_seq", "event_seq", "audit_seq")
    _made("desk", (), [*_bigs("seq"), *_texts("offsets"), *_bigs("clock_us"), *counters, *_texts("audit_digest")])
    _made("snapshots", (), [sa.Column("data", sa.LargeBinary, nullable=False)])


def _incidents() -> None:
    columns = [
        *_texts("incident_id", "state"),
        sa.Column("severity", sa.Integer, nullable=False),
        *_bigs("opened_us", "updated_us"),
        *_texts("anchor", "services"),
        *_bigs("alert_count"),
        sa.Column("notified_us", _BIG),
        *_texts("merged_into"),
        sa.Column("storm", sa.Boolean, nullable=False),
        *_texts("words", "document"),
    ]
    _made("incidents", ("incident_id",), columns)
    op.create_index("incidents_by_time", "incidents", ["tenant", "opened_us", "incident_id"])
    op.create_index("incidents_by_state", "incidents", ["tenant", "state", "updated_us"])
    op.create_index("incidents_by_target", "incidents", ["tenant", "merged_into"])
    _made("incident_services", ("incident_id", "service"), _texts("incident_id", "service"))
    op.create_index("incidents_by_service", "incident_services", ["tenant", "service"])


def _alerts() -> None:
    head = [*_texts("alert_id"), *_bigs("seq", "received_us")]
    columns = [*_texts("incident_id", "fate"), sa.Column("score", sa.Double), *_texts("document")]
    _made("alerts", ("alert_id",), [*head, *columns])
    op.create_index("alerts_by_seq", "alerts", ["tenant", "seq"], unique=True)
    op.create_index("alerts_by_incident", "alerts", ["tenant", "incident_id", "seq"])
    _made("inbox", ("alert_id",), [*_texts("alert_id"), *_bigs("seq", "received_us"), *_texts("document")])
    op.create_index("inbox_by_seq", "inbox", ["tenant", "seq"])


def _people() -> None:
    _made("reports", ("incident_id", "made_us"), [*_texts("incident_id"), *_bigs("made_us"), *_texts("document")])
    _made("verdicts", ("verdict_id",), [*_texts("verdict_id", "incident_id"), *_bigs("given_us"), *_texts("document")])
    op.create_index("verdicts_by_incident", "verdicts", ["tenant", "incident_id"])
    op.create_index("verdicts_by_time", "verdicts", ["tenant", "given_us"])
    rules = [*_texts("kind", "name"), sa.Column("ends_us", _BIG), *_texts("document")]
    _made("suppressions", ("kind", "name"), rules)
    _made("notes", ("key",), _texts("key", "value"))


def _messages() -> None:
    columns = [
        *_texts("message_id", "channel", "incident_id", "kind", "dedupe_key", "payload"),
        *_bigs("due_us"),
        sa.Column("attempts", sa.Integer, nullable=False),
        *_texts("state", "error"),
        sa.Column("settled_us", _BIG),
        sa.Column("tried_us", _BIG),
    ]
    _made("outbox", ("message_id",), columns)
    op.create_index("outbox_by_due", "outbox", ["tenant", "state", "due_us", "message_id"])
    op.create_index("outbox_by_incident", "outbox", ["tenant", "incident_id"])


def _logs() -> None:
    _made("events", ("seq",), [*_bigs("seq", "at_us"), *_texts("kind", "incident_id", "data")])
    _made("audit", ("seq",), [*_bigs("seq", "at_us"), *_texts("by", "what", "subject", "detail", "digest")])


def _move(table: str) -> None:
    """Copy the rows of a table; documents with something new are read and written one by one."""
    bind = op.get_bind()
    old = sa.Table(table + _OLD, sa.MetaData(), autoload_with=bind)
    new = sa.Table(table, sa.MetaData(), autoload_with=bind)
    change = _CHANGES.get(table)
    if change is None:
        kept = [column for column in old.columns if column.name != "id"]
        names = ["tenant", *(column.name for column in kept)]
        bind.execute(sa.insert(new).from_select(names, sa.select(sa.literal(_DEFAULT), *kept)))
        return
    for rows in _pages(bind, old):
        bind.execute(sa.insert(new), [{"tenant": _DEFAULT, **change(row)} for row in rows])


def _pages(bind: sa.Connection, old: sa.Table) -> Iterator[list[dict[str, Any]]]:
    """Yield all rows, some thousand at a time, by their key, which is one column."""
    (key,) = old.primary_key.columns
    last: Any = None
    while True:
        after = sa.true() if last is None else key > last
        rows = bind.execute(sa.select(old).where(after).order_by(key).limit(_ROWS)).mappings().all()
        if not rows:
            return
        yield [dict(row) for row in rows]
        last = rows[-1][key.name]


def _scored(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row whose alert has its score as a number; one that was rounded as the least that it may have been."""
    document = _with_score(json.loads(row["document"]))
    return row | {"document": json.dumps(document, ensure_ascii=False, separators=(",", ":"))}


def _with_score(document: list[Any]) -> list[Any]:
    """Return the parts of an alert: the twelve of the first schema, its instance ("" = there is one only), its score."""
    labels, source = document[9], document[10]
    text = labels.pop("score", None) if source == "detections" else None
    score = float(text) if text is not None else math.nan
    instance = document[12] if len(document) > 12 else ""
    return [*document[:12], instance, None if math.isnan(score) else max(0.0, score - _ROUNDED)]


def _scored_alert(row: dict[str, Any]) -> dict[str, Any]:
    scored = _scored(row)
    return scored | {"score": json.loads(scored["document"])[-1]}


def _moved(row: dict[str, Any]) -> dict[str, Any]:
    """Return an incident whose timeline says as values which state an event brought it into."""
    document = json.loads(row["document"])
    for event in document["timeline"]:
        event["became"] = _became(event["what"], event["by"])
    document["timeline"][:1] = [event | {"became": event["became"] or "open"} for event in document["timeline"][:1]]
    return row | {"document": json.dumps(document, ensure_ascii=False, separators=(",", ":"))}


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    """Return the desk's saved state with the same in it: scores of alerts that settle, states of events."""
    try:
        state = msgspec.msgpack.decode(zlib.decompress(row["data"]))
        state["settling"] = [_with_score(alert) for alert in state["settling"]]
        for incident in state["incidents"]:
            incident["timeline"] = [[at, what, by, _became(what, by)] for at, what, by in incident["timeline"]]
    except (zlib.error, msgspec.DecodeError, KeyError, TypeError, ValueError):
        return {"data": row["data"]}  # it could not be read before either, and the desk says so
    return {"data": zlib.compress(msgspec.msgpack.encode(state), 1)}


def _became(what: str, by: str) -> str | None:
    """Return the state that an event of the first schema described in words, None where it described something else."""
    for state in ("acknowledged", "mitigated", "resolved"):
        if what == f"{state} by {by}":
            return state
    states = {"merged into ": "merged", "no alert for ": "resolved", "quiet longest of ": "resolved"}
    if what == "all of its alerts have ended":
        return "mitigated"
    if what.endswith((" fires again", " is not over")):
        return "open"
    return next((state for words, state in states.items() if what.startswith(words)), None)


_CHANGES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "alerts": _scored_alert,
    "inbox": _scored,
    "incidents": _moved,
    "snapshots": _kept,
}

_SQLITE = (
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
    "CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit"
    " WHEN EXISTS (SELECT 1 FROM audit WHERE tenant = NEW.tenant AND seq = NEW.seq)"
    " BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
)
_POSTGRESQL = (
    "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
    "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()",
)


def _protect_audit() -> None:
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
