"""What one transaction of a tenant may write. It holds the desk's row, so that writers come one after the other."""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Table, bindparam, delete, select, update

from aiops.incidents.alert import Alert
from aiops.incidents.correlation.outcome import Fate, HeldBack
from aiops.incidents.correlation.suppression import MaintenanceWindow, Silence, Suppression
from aiops.incidents.incident import Incident
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.verdict import Verdict
from data_contracts.values.moments import microseconds_of
from serving.incidents.store import audit, incident_queries
from serving.incidents.store.codec import alert_of, alert_text, mapping_of, text_of, text_of_numbers
from serving.incidents.store.incident_rows import alert_row, incident_row, key_text, message_row, without_nul
from serving.incidents.store.incident_tables import (
    ALERTS,
    DESK,
    EVENTS,
    INBOX,
    INCIDENT_SERVICES,
    INCIDENTS,
    NOTES,
    OUTBOX,
    REPORTS,
    SILENCE,
    SNAPSHOTS,
    SUPPRESSIONS,
    VERDICTS,
    WINDOW,
)
from serving.incidents.store.records import DeskRow, MessageKind, MessageState, OutboxMessage
from serving.incidents.store.tenant_connection import TENANT, TenantConnection

HELD_BACK: Final = "held_back"
_CHUNK: Final = 500
_OF_WAITING_PLANS: Final = (str(MessageKind.APPROVAL), str(MessageKind.APPROVAL_ESCALATION))


class StoreWriter:
    """One transaction, opened by `IncidentStore.writing`: all of it is committed at the end, or nothing. Not thread-safe.

    The connection must hold the desk's row.
    """

    def __init__(self, connection: TenantConnection) -> None:
        self._connection = connection
        row = connection.execute(select(DESK).where(connection.own(DESK))).one()
        self._row = row._asdict()
        self._loaded = dict(self._row)
        self._head = audit.AuditHead(row.audit_seq, row.audit_digest)

    @property
    def rows(self) -> TenantConnection:
        """Return the connection of this transaction, for tables of packages above."""
        return self._connection

    def desk(self, known_seq: int = -1) -> DeskRow:
        """Return what correlation goes on from; without the snapshot where its `seq` is the one that the caller knows."""
        snapshot: bytes | None = None
        if self._row["seq"] != known_seq:
            own = self._connection.own(SNAPSHOTS)
            data = self._connection.execute(select(SNAPSHOTS.c.data).where(own)).scalar()
            snapshot = None if data is None else zlib.decompress(data)
        return DeskRow(self._row["seq"], snapshot, mapping_of(self._row["offsets"]), self._row["clock_us"])

    def save_desk(self, snapshot: bytes, offsets: Mapping[str, str], clock_us: int) -> int:
        """Store what correlation goes on from, and return its sequence number. `offsets` replaces all of them."""
        self._connection.upsert(SNAPSHOTS, [{"data": zlib.compress(snapshot, 1)}])
        self._row |= {"seq": self._row["seq"] + 1, "offsets": text_of(offsets), "clock_us": clock_us}
        return int(self._row["seq"])

    def put_incidents(self, incidents: Sequence[Incident]) -> None:
        """Store incidents as they are now."""
        rows = {incident.incident_id: incident_row(incident) for incident in incidents}
        self._connection.upsert(INCIDENTS, list(rows.values()))
        for ids in _chunks(list(rows)):
            own = self._connection.own(INCIDENT_SERVICES)
            self._connection.execute(delete(INCIDENT_SERVICES).where(own, INCIDENT_SERVICES.c.incident_id.in_(ids)))
        pairs = {(incident.incident_id, key_text(service)) for incident in incidents for service in incident.services}
        self._connection.insert(INCIDENT_SERVICES, [{"incident_id": name, "service": service} for name, service in sorted(pairs)])

    def known_alerts(self, alert_ids: Iterable[str]) -> frozenset[str]:
        """Return which of these alerts are stored already: they have been taken before."""
        return self._present(ALERTS, alert_ids)

    def put_alerts(self, alerts: Sequence[Alert], received_at: datetime) -> int:
        """Store alerts, without a fate yet; those that are known stay as they are. Return how many are new."""
        received_us = microseconds_of(received_at)
        unique = {alert.alert_id: alert for alert in alerts}
        known = self.known_alerts(unique)
        new = [alert for name, alert in unique.items() if name not in known]
        first = self._numbers("alert_seq", len(new))
        fixed = {"received_us": received_us, "incident_id": "", "fate": ""}
        self._connection.insert(ALERTS, [alert_row(alert, first + at) | fixed for at, alert in enumerate(new)])
        return len(new)

    def put_fates(self, fates: Sequence[Fate]) -> None:
        """Tell what became of stored alerts."""
        rows = [{"of_alert": fate.alert_id, "incident_id": fate.incident_id, "fate": fate.reason} for fate in fates]
        if rows:
            own = self._connection.own(ALERTS)
            self._connection.execute(update(ALERTS).where(own, ALERTS.c.alert_id == bindparam("of_alert")), rows)

    def put_held_back(self, held_back: Sequence[HeldBack]) -> None:
        """Replace the list of what deserves a page and waits."""
        self.note(HELD_BACK, held_back)

    def put_report(self, incident_id: str, report: RootCauseReport) -> None:
        """Store one analysis of an incident; one of the same moment is replaced."""
        made_us = microseconds_of(report.made_at)
        self._connection.upsert(REPORTS, [{"incident_id": incident_id, "made_us": made_us, "document": text_of_numbers(report)}])

    def put_verdict(self, verdict: Verdict) -> bool:
        """Store a verdict; return whether it is new. One with the same id is replaced."""
        new = not self._present(VERDICTS, (verdict.verdict_id,))
        row = {"verdict_id": verdict.verdict_id, "incident_id": verdict.incident_id}
        self._connection.upsert(VERDICTS, [row | {"given_us": microseconds_of(verdict.given_at), "document": text_of(verdict)}])
        return new

    def enqueue(self, messages: Sequence[OutboxMessage]) -> int:
        """Store notifications that are to be sent; those with a known id stay as they are. Return how many are new."""
        rows = {message.message_id: message_row(message) for message in messages}
        known = self._present(OUTBOX, rows)
        self._connection.insert(OUTBOX, [row for name, row in rows.items() if name not in known])
        return len(rows.keys() - known)

    def move_message(self, message: OutboxMessage, attempts: int) -> bool:
        """Store how a notification stands now; False = it is settled, or somebody else has tried it since `attempts`."""
        same = (OUTBOX.c.message_id == message.message_id) & (OUTBOX.c.attempts == attempts)
        row = message_row(message)
        pending = OUTBOX.c.state == str(MessageState.PENDING)
        changed = update(OUTBOX).where(self._connection.own(OUTBOX), same, pending).values(**row)
        return self._connection.execute(changed).rowcount == 1

    def cancel_waiting(self, incident_id: str, plan_id: str, at: datetime) -> int:
        """Cancel notifications that a plan waits for its approval; return how many were still to be sent."""
        waiting = (OUTBOX.c.incident_id == without_nul(incident_id)) & OUTBOX.c.kind.in_(_OF_WAITING_PLANS)
        pending = (OUTBOX.c.state == str(MessageState.PENDING)) & waiting
        query = select(OUTBOX.c.message_id, OUTBOX.c.payload).where(self._connection.own(OUTBOX), pending)
        ids = [row.message_id for row in self._connection.execute(query) if _plan_in(row.payload) == plan_id]
        settled = {"state": str(MessageState.CANCELLED), "settled_us": microseconds_of(at)}
        for part in _chunks(ids):
            same = OUTBOX.c.message_id.in_(part)
            self._connection.execute(update(OUTBOX).where(self._connection.own(OUTBOX), same).values(**settled))
        return len(ids)

    def inbox_add(self, alerts: Sequence[Alert], received_at: datetime) -> int:
        """Keep alerts until the desk takes them; those that it has, or had, are left out. Return how many are new."""
        received_us = microseconds_of(received_at)
        unique = {alert.alert_id: alert for alert in alerts}
        known = self.known_alerts(unique) | self._present(INBOX, unique)
        new = [alert for name, alert in unique.items() if name not in known]
        first = self._numbers("inbox_seq", len(new))
        fixed = {"received_us": received_us}
        rows = [{"alert_id": alert.alert_id, "seq": first + at, "document": alert_text(alert)} for at, alert in enumerate(new)]
        self._connection.insert(INBOX, [row | fixed for row in rows])
        return len(new)

    def inbox_take(self, limit: int) -> list[Alert]:
        """Return the oldest alerts of the inbox and take them out of it."""
        own = self._connection.own(INBOX)
        oldest = select(INBOX.c.seq, INBOX.c.document).where(own).order_by(INBOX.c.seq).limit(limit)
        rows = self._connection.execute(oldest).all()
        if rows:
            self._connection.execute(delete(INBOX).where(own, INBOX.c.seq <= rows[-1].seq))
        return [alert_of(row.document) for row in rows]

    def add_silence(self, silence: Silence) -> None:
        """Store a silence; one of the same name is replaced."""
        self._put_rule(SILENCE, silence.name, silence, silence.ends_at)

    def remove_silence(self, name: str) -> bool:
        """Drop a silence; return whether there was one."""
        return self._drop_rule(SILENCE, name)

    def add_window(self, window: MaintenanceWindow) -> None:
        """Store a maintenance window; one of the same name is replaced."""
        self._put_rule(WINDOW, window.name, window, window.ends_at if window.every is None else window.until)

    def remove_window(self, name: str) -> bool:
        """Drop a maintenance window; return whether there was one."""
        return self._drop_rule(WINDOW, name)

    def suppression(self) -> Suppression:
        """Return the silences and maintenance windows, with what this transaction changed."""
        return incident_queries.suppression(self._connection)

    def note(self, key: str, value: object) -> None:
        """Keep a small fact (plain data or a dataclass) under a name; None forgets it."""
        key = key_text(key)
        if value is None:
            self._connection.execute(delete(NOTES).where(self._connection.own(NOTES), NOTES.c.key == key))
        else:
            self._connection.upsert(NOTES, [{"key": key, "value": text_of_numbers(value)}])

    def noted(self, key: str) -> Any:
        """Return the plain data kept under a name, None where there is none."""
        return incident_queries.noted(self._connection, key)

    def audit(self, at: datetime, by: str, what: str, subject: str, detail: Mapping[str, Any]) -> None:
        """Add a line to the audit log: `by` did `what` to `subject`."""
        line = (without_nul(by), without_nul(what), without_nul(subject), detail)
        self._head = audit.append(self._connection, self._head, at, line)

    def event(self, at: datetime, kind: str, incident_id: str, data: Mapping[str, Any]) -> None:
        """Tell those who watch that something changed."""
        seq = self._numbers("event_seq", 1)
        row = {"seq": seq, "at_us": microseconds_of(at), "kind": kind, "incident_id": incident_id}
        self._connection.insert(EVENTS, [row | {"data": text_of_numbers(data)}])

    def finish(self) -> None:
        """Write the desk's row where it changed; the store calls it before it commits."""
        values = self._row | {"audit_seq": self._head.seq, "audit_digest": self._head.digest}
        if values != self._loaded:
            changed = {name: value for name, value in values.items() if name != TENANT}
            self._connection.execute(update(DESK).where(self._connection.own(DESK)).values(**changed))

    def _put_rule(self, kind: str, name: str, rule: Silence | MaintenanceWindow, ends_at: datetime | None) -> None:
        ends_us = None if ends_at is None else microseconds_of(ends_at)
        row = {"kind": kind, "name": key_text(name), "ends_us": ends_us, "document": text_of(rule)}
        self._connection.upsert(SUPPRESSIONS, [row])

    def _drop_rule(self, kind: str, name: str) -> bool:
        there = (SUPPRESSIONS.c.kind == kind) & (SUPPRESSIONS.c.name == key_text(name))
        return self._connection.execute(delete(SUPPRESSIONS).where(self._connection.own(SUPPRESSIONS), there)).rowcount > 0

    def _numbers(self, counter: str, count: int) -> int:
        """Reserve `count` numbers and return the first."""
        first = int(self._row[counter]) + 1
        self._row[counter] += count
        return first

    def _present(self, table: Table, keys: Iterable[str]) -> frozenset[str]:
        """Return which of these values are there of the one column that makes the primary key with the tenant."""
        (column,) = (part for part in table.primary_key.columns if part.name != TENANT)
        there = select(column).where(self._connection.own(table))
        present: set[str] = set()
        for part in _chunks(list(keys)):
            present.update(self._connection.execute(there.where(column.in_(part))).scalars())
        return frozenset(present)


def _chunks(keys: list[str]) -> Iterable[list[str]]:
    return (keys[at : at + _CHUNK] for at in range(0, len(keys), _CHUNK))


def _plan_in(payload: str) -> str:
    plan = mapping_of(payload).get("plan")
    return str(plan.get("plan_id", "")) if isinstance(plan, dict) else ""
