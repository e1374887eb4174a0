"""What correlation tells the outside: what became of each alert, which incidents changed, what is to be sent."""

from dataclasses import dataclass
from datetime import datetime

from aiops.alert import Severity
from aiops.correlation.rate import StormFigures
from aiops.incident import Incident


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one alert: in one incident, or in none with the reason. `incident_id` "" = suppressed.

    Reasons: opened, joined, repeated, ended, storm; "maintenance: …", "silence: …", "ended: …".
    """

    alert_id: str
    fingerprint: str
    incident_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """One notification that is to be sent: an incident opened, or became worse than it was told (`again`).

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
class Outcome:
    """What one step of correlation did. `incidents`: those that changed, as they are now, closed ones for the last time."""

    fates: tuple[Fate, ...]
    incidents: tuple[Incident, ...]
    pages: tuple[Page, ...]
    held_back: tuple[HeldBack, ...]
    storm: StormFigures
    late: int
