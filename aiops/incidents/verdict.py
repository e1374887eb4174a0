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
    """id of the verdict"""
    incident_id: str
    """id of the incident"""
    kind: VerdictKind
    """what the incident was"""
    given_at: datetime
    """when it was given"""
    by: str
    """who gave it"""
    right_cause: str = ""
    """the service that began it (wrong_cause); "" = not said"""
    duplicate_of: str = ""
    """id of the incident that it repeats (duplicate); "" = none"""
    note: str = ""
    """for people; "" = none"""
    unrelated: tuple[str, ...] = ()
    """services of the incident that had nothing to do with it"""
