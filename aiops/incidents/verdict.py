"""Verdicts of operators on incidents: what was said, and by whom."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class VerdictKind(StrEnum):
    """What a person says of an incident."""

    TRUE = "true"
    FALSE_ALARM = "false_alarm"
    WRONG_CAUSE = "wrong_cause"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One verdict. `right_cause` names the service that began it (wrong_cause), `duplicate_of` the incident that it repeats.

    `unrelated`: services of the incident that had nothing to do with it, so were merged into it wrongly.
    """

    verdict_id: str
    incident_id: str
    kind: VerdictKind
    given_at: datetime
    by: str
    right_cause: str = ""
    duplicate_of: str = ""
    note: str = ""
    unrelated: tuple[str, ...] = ()
