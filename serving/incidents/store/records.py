"""What the incident store takes and gives: plain values, no SQL. Times aware UTC."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from aiops.errors import ContractError
from aiops.incidents.alert import Alert, Severity
from aiops.incidents.incident import Incident, IncidentState
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.verdict import Verdict

MOST_ITEMS: Final = 1000
"""Items of one page at most."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page of a list: at most `limit` items after `cursor`, as the page before gave it; "" = the first page.

    Raises:
        ContractError: `limit` is not in 1..1000.
    """

    limit: int = 50
    cursor: str = ""

    def __post_init__(self) -> None:
        """Check the limit."""
        if not 1 <= self.limit <= MOST_ITEMS:
            raise ContractError(f"limit={self.limit} is not in 1..{MOST_ITEMS}; ask for several pages")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list, the newest first; `next_cursor` "" = there are no more."""

    items: tuple[Item, ...]
    next_cursor: str = ""


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    """Which incidents: all conditions that are given. [since, until) is about `opened_at`.

    `services`: those that touch any of them; `text`: part of an id, a service or an alert's name, in any case.
    """

    states: tuple[IncidentState, ...] = ()
    services: tuple[str, ...] = ()
    severity_at_least: Severity | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class IncidentSummary:
    """An incident in one line of a list."""

    incident_id: str
    state: IncidentState
    severity: Severity
    opened_at: datetime
    updated_at: datetime
    anchor: str
    services: tuple[str, ...]
    alert_count: int
    notified_at: datetime | None
    merged_into: str
    storm: bool


@dataclass(frozen=True, slots=True)
class IncidentGlance:
    """What a list shows of an incident beside its line; `cause` is the first of the newest analysis, "" = there is none.

    `alert_names`: each once, in order of appearance; `different_alerts` counts fingerprints, `firing` instances not over.
    """

    statement: str
    cause: str
    probability: float | None
    decided: bool
    alert_names: tuple[str, ...]
    different_alerts: int
    firing: int
    acknowledged_at: datetime | None
    acknowledged_by: str
    plans_waiting: int


@dataclass(frozen=True, slots=True)
class IncidentCase:
    """All that is known of one incident: `report` is the newest analysis, `merged` names the incidents that went on in it."""

    incident: Incident
    report: RootCauseReport | None
    verdicts: tuple[Verdict, ...]
    merged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert and what became of it: `fate` "" = not decided yet, `incident_id` "" = in no incident."""

    alert: Alert
    incident_id: str
    fate: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class DeskRow:
    """What correlation goes on from: `seq` counts the saves, `offsets` are those of the streams, by stream.

    `snapshot` None = nothing was saved yet, or the caller knows it by its `seq` already. `clock_us` since 1970, 0 = no time seen.
    """

    seq: int
    snapshot: bytes | None
    offsets: Mapping[str, str]
    clock_us: int


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit log: at `at`, `by` did `what` to `subject`. `digest` covers it and all before it."""

    seq: int
    at: datetime
    by: str
    what: str
    subject: str
    detail: Mapping[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """Whether the audit log is as it was written; `first_broken` is the sequence number of the first entry that is not."""

    entries: int
    """entries that are as they were written, up to the first that is not"""
    intact: bool
    """whether all are"""
    first_broken: int | None = None
    """number of the first entry that is not; null = there is none"""
    detail: str = ""
    """what is wrong with it; "" = nothing"""


@dataclass(frozen=True, slots=True)
class StoreEvent:
    """Something that changed, for those who watch; `seq` grows in the order of commits and is never given twice."""

    seq: int
    at: datetime
    kind: str
    incident_id: str
    data: Mapping[str, Any]


class MessageKind(StrEnum):
    """Why somebody is notified."""

    PAGE = "page"
    ESCALATION = "escalation"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    UPDATE = "update"
    HELD_BACK = "held_back"
    APPROVAL = "approval"
    """a plan waits for a person's approval"""
    APPROVAL_ESCALATION = "approval_escalation"
    """nobody has approved or rejected it in time"""


class MessageState(StrEnum):
    """Where a notification stands: `CANCELLED` = not needed any more, `FAILED` = given up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """One notification on its way to one channel; not sent before `due_at`. `error` is what the last attempt met.

    `tried_at` = first attempt; while one is under way, `due_at` is when its lease ends.
    """

    message_id: str
    channel: str
    incident_id: str
    kind: MessageKind
    dedupe_key: str
    payload: Mapping[str, Any]
    due_at: datetime
    attempts: int = 0
    state: MessageState = MessageState.PENDING
    error: str = ""
    settled_at: datetime | None = None
    tried_at: datetime | None = None
