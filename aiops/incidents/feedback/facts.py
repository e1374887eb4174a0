"""What has to be known of an incident to learn from a verdict on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from aiops.incidents.root_cause import RootCause
from aiops.incidents.verdict import Verdict, VerdictKind


@dataclass(frozen=True, slots=True)
class Finding:
    """A detection that became an alert, or could have; `score` NaN = unknown."""

    detection_id: str
    service: str
    metric: str
    score: float

    @property
    def series(self) -> tuple[str, str]:
        """Return service and metric."""
        return self.service, self.metric


@dataclass(frozen=True, slots=True)
class IncidentFacts:
    """An incident as learning sees it. Times aware UTC.

    `findings`: the detections among its alerts; `others`: different alerts that came from elsewhere. `causes`: those of the
    analysis that the person saw, the first one named as decided where `decided`.
    """

    incident_id: str
    opened_at: datetime
    ended_at: datetime
    anchor: str
    services: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    others: int = 0
    paged: bool = False
    causes: tuple[RootCause, ...] = ()
    decided: bool = False


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict with its incident; `other_anchor`: where the incident began that it repeats ("" = unknown, or no duplicate)."""

    verdict: Verdict
    facts: IncidentFacts
    other_anchor: str = ""

    @property
    def real(self) -> bool:
        """Return whether the incident was one, with a cause of its own: true, or true of another cause."""
        return self.verdict.kind in (VerdictKind.TRUE, VerdictKind.WRONG_CAUSE)

    @property
    def root(self) -> str:
        """Return the service that began it: as the person says, else the first cause, else where it showed first."""
        if self.verdict.kind is VerdictKind.WRONG_CAUSE:
            return self.verdict.right_cause
        return self.facts.causes[0].service if self.facts.causes else self.facts.anchor


def newest(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the newest verdict on each incident, by incident: a later one corrects the former."""
    latest: dict[str, Verdict] = {}
    for verdict in sorted(verdicts, key=lambda row: (row.given_at, row.verdict_id)):
        latest[verdict.incident_id] = verdict
    return tuple(latest[incident_id] for incident_id in sorted(latest))
