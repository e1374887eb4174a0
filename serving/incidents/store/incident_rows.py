"""Rows of the store and the values that they hold."""

from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any, Final

from sqlalchemy import Row

from aiops.incidents.alert import Alert, Severity
from aiops.incidents.incident import Incident, IncidentState
from data_contracts.values.moments import microseconds_of, moment_of_us
from serving.incidents.store.codec import alert_of, alert_text, mapping_of, plain_of, text_of, text_of_numbers
from serving.incidents.store.records import IncidentSummary, MessageKind, MessageState, OutboxMessage, StoredAlert, StoreEvent

_KEY_CHARACTERS: Final = 500
"""An index entry of PostgreSQL holds 2,700 bytes."""
_MOST_WORDS: Final = 1000


def without_nul(text: str) -> str:
    """Return text without NUL, which PostgreSQL refuses."""
    return text.replace("\0", "\ufffd")


def key_text(text: str) -> str:
    """Return text as an indexed column may hold it: without NUL, and not too long."""
    return without_nul(text[:_KEY_CHARACTERS])


def micros(moment: datetime | None) -> int | None:
    """Return microseconds since 1970, None of None."""
    return None if moment is None else microseconds_of(moment)


def moment(at_us: int | None) -> datetime | None:
    """Return the time of microseconds since 1970, None of None."""
    return None if at_us is None else moment_of_us(at_us)


def incident_row(incident: Incident) -> dict[str, Any]:
    """Return the columns of an incident."""
    names = sorted({entry.name for entry in incident.alerts})[:_MOST_WORDS]
    words = " ".join([incident.incident_id, *incident.services[:_MOST_WORDS], *names])
    return {
        "incident_id": incident.incident_id,
        "state": str(incident.state),
        "severity": int(incident.severity),
        "opened_us": microseconds_of(incident.opened_at),
        "updated_us": microseconds_of(incident.updated_at),
        "anchor": key_text(incident.anchor),
        "services": text_of(incident.services),
        "alert_count": incident.alert_count,
        "notified_us": micros(incident.notified_at),
        "merged_into": incident.merged_into,
        "storm": incident.storm,
        "words": without_nul(words.lower()),
        "document": text_of(incident),
    }


def alert_row(alert: Alert, seq: int) -> dict[str, Any]:
    """Return the columns that an alert fills."""
    score = alert.score if isfinite(alert.score) else None
    return {"alert_id": alert.alert_id, "seq": seq, "score": score, "document": alert_text(alert)}


def summary_of(row: Row[Any]) -> IncidentSummary:
    """Return the line of an incident."""
    return IncidentSummary(
        row.incident_id,
        IncidentState(row.state),
        Severity(row.severity),
        moment_of_us(row.opened_us),
        moment_of_us(row.updated_us),
        row.anchor,
        tuple(plain_of(row.services)),
        row.alert_count,
        moment(row.notified_us),
        row.merged_into,
        row.storm,
    )


def stored_alert_of(row: Row[Any]) -> StoredAlert:
    """Return an alert with its fate."""
    return StoredAlert(alert_of(row.document), row.incident_id, row.fate, moment_of_us(row.received_us))


def event_of(row: Row[Any]) -> StoreEvent:
    """Return an event."""
    return StoreEvent(row.seq, moment_of_us(row.at_us), row.kind, row.incident_id, mapping_of(row.data))


def message_row(message: OutboxMessage) -> dict[str, Any]:
    """Return the columns of a notification."""
    return {
        "message_id": message.message_id,
        "channel": message.channel,
        "incident_id": message.incident_id,
        "kind": str(message.kind),
        "dedupe_key": message.dedupe_key,
        "payload": text_of_numbers(message.payload),
        "due_us": microseconds_of(message.due_at),
        "attempts": message.attempts,
        "state": str(message.state),
        "error": without_nul(message.error),
        "settled_us": micros(message.settled_at),
        "tried_us": micros(message.tried_at),
    }


def message_of(row: Row[Any]) -> OutboxMessage:
    """Return a notification."""
    payload: Mapping[str, Any] = mapping_of(row.payload)
    head = (
        row.message_id,
        row.channel,
        row.incident_id,
        MessageKind(row.kind),
        row.dedupe_key,
        payload,
        moment_of_us(row.due_us),
    )
    state, times = MessageState(row.state), (moment(row.settled_us), moment(row.tried_us))
    return OutboxMessage(*head, row.attempts, state, row.error, *times)
