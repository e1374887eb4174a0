"""How an incident goes on when somebody acts: when its resource is full, how hard it strikes, and when it harms."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from aiops.simulator.incident_strength import Knot, Surroundings, crossings, factor_at, strength_of
from aiops.simulator.schedule import PlannedIncident
from aiops.simulator.simulated_action import Touch
from aiops.simulator.simulation_config import BUILDUP_KINDS

MITIGATED: Final = 0.25
"""Share of its strength up to which an incident counts as mitigated."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One time that a resource fills: from `share` (0..1) at `onset_s`, full at `starts_s`, until `ends_s`.

    `fills_s`: how long it takes from empty to full. Sudden kinds have one episode, full from its start on.
    """

    onset_s: float
    starts_s: float
    ends_s: float
    share: float
    fills_s: float

    @property
    def is_full(self) -> bool:
        """Return whether it ever gets full."""
        return self.starts_s < self.ends_s

    def share_at(self, at_s: float) -> float:
        """Return how full it is, 0..1."""
        return min(1.0, self.share + (at_s - self.onset_s) / self.fills_s)


@dataclass(frozen=True, slots=True)
class Harm:
    """A time in which users feel it, in seconds after the start."""

    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Course:
    """What becomes of a planned incident. `strength`: factor on what it does while full; () = 1."""

    incident: PlannedIncident
    episodes: tuple[Episode, ...]
    strength: tuple[Knot, ...] = ()

    @classmethod
    def undisturbed(cls, incident: PlannedIncident) -> "Course":
        """Return the course that it takes when nobody acts."""
        return cls(incident, _episodes(incident, ()))

    def harms(self) -> tuple[Harm, ...]:
        """Return when it harms: while full, with a strength above `MITIGATED`."""
        spans: list[Harm] = []
        for episode in self.episodes:
            if not episode.is_full:
                continue
            inner = {at_s for at_s in crossings(self.strength, MITIGATED) if episode.starts_s < at_s < episode.ends_s}
            for start_s, end_s in pairwise(sorted({episode.starts_s, episode.ends_s, *inner})):
                if factor_at(self.strength, 0.5 * (start_s + end_s)) > MITIGATED:
                    spans.append(Harm(start_s, end_s))
        return tuple(spans)


def course_of(incident: PlannedIncident, touches: Sequence[Touch], around: Surroundings) -> Course:
    """Return the course of an incident under what was done; `touches` of all services in order of time."""
    own = [touch for touch in touches if touch.service == incident.service and touch.at_s < incident.ends_s]
    return Course(incident, _episodes(incident, own), strength_of(incident, touches, around))


def _episodes(incident: PlannedIncident, own: Sequence[Touch]) -> tuple[Episode, ...]:
    onset_s, starts_s, ends_s = (float(moment) for moment in (incident.onset_s, incident.starts_s, incident.ends_s))
    now = Episode(onset_s, starts_s, ends_s, 0.0, max(1.0, starts_s - onset_s))
    if incident.kind not in BUILDUP_KINDS:
        return (now,)
    episodes = []
    for touch in own:
        change = _Change.of(incident, touch)
        if touch.at_s < onset_s or change is None:
            continue
        until_s = min(ends_s, max(now.onset_s, touch.at_s + 0.5 * touch.lasts_s))
        share, fills_s = min(1.0, now.share_at(until_s) * change.kept), now.fills_s * change.slower
        episodes.append(Episode(now.onset_s, now.starts_s, until_s, now.share, now.fills_s))
        now = Episode(until_s, until_s + (1.0 - share) * fills_s, ends_s, share, fills_s)
    return (*episodes, now)


@dataclass(frozen=True, slots=True)
class _Change:
    """What an action does to a resource: the share of what had filled up that is left, how many times slower it fills then."""

    kept: float
    slower: float = 1.0

    @classmethod
    def of(cls, incident: PlannedIncident, touch: Touch) -> "_Change | None":
        """Return what an action does to the resource of an incident; None = nothing."""
        kind, amount = touch.action.kind, touch.action.amount
        if incident.kind == "disk_fill":
            return cls(1.0 - amount) if kind == "free_disk" else None
        if touch.renews:
            return cls(0.0)
        if incident.kind == "connection_exhaustion" and kind == "recycle":
            return cls(1.0 - amount)
        if incident.kind == "connection_exhaustion" and kind == "pool":
            grown = touch.after.pool / touch.before.pool
            return cls(1.0 / grown, grown)
        return None
