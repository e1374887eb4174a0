"""What correlation tells the outside: what became of each alert, which incidents changed, what is to be sent."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from aiops.incidents.alert import Severity
from aiops.incidents.correlation.rate import StormFigures
from aiops.incidents.incident import Incident


class FateKind(StrEnum):
    """What may become of an alert."""

    OPENED = "opened"
    JOINED = "joined"
    REPEATED = "repeated"
    ENDED = "ended"
    STORM = "storm"
    MAINTENANCE = "maintenance"
    SILENCE = "silence"
    TOO_OLD = "too old"
    OTHER_CLOCK = "other clock"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one alert: in one incident, or in none. `incident_id` "" = suppressed; `detail`: by which rule, or why."""

    alert_id: str
    fingerprint: str
    incident_id: str
    kind: FateKind
    detail: str = ""

    @property
    def reason(self) -> str:
        """Return what became of it in words."""
        return f"{self.kind}: {self.detail}" if self.detail else str(self.kind)


@dataclass(frozen=True, slots=True)
class Suppressed:
    """Why an alert opens nothing and joins nothing: a rule by its name, or what is known of it."""

    kind: FateKind
    detail: str


@dataclass(frozen=True, slots=True)
class Page:
    """One notification that is to be sent: an incident opened, or became worse than what was notified (`again`).

    `services`: those with the worst alert first. `waited_s` > 0 = the page budget had held it back.
    """

    incident_id: str
    at: datetime
    severity: Severity
    services: tuple[str, ...]
    alert_count: int
    waited_s: float
    again: bool = False


@dataclass(frozen=True, slots=True)
class HeldBack:
    """An open incident that deserves a page and got none: the hour's budget is used up, or it is but a warning in a storm."""

    incident_id: str
    since: datetime
    severity: Severity


@dataclass(frozen=True, slots=True)
class HeldNote:
    """What a notification says of pages that wait: how many, the worst severity, services of the worst; 0 = none waits."""

    at: datetime
    count: int
    severity: Severity = Severity.INFO
    services: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step of correlation did. `incidents`: those that changed, as they are now, closed ones for the last time."""

    fates: tuple[Fate, ...]
    incidents: tuple[Incident, ...]
    pages: tuple[Page, ...]
    held_back: tuple[HeldBack, ...]
    storm: StormFigures
    late: int
    held_notes: tuple[HeldNote, ...] = ()
