"""What gray incidents do to requests: by trace and visit, from the truth alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.simulator.incident_course import Course
from aiops.simulator.simulation_config import BUILDUP_KINDS
from aiops.simulator.streams import Stream, generator
from aiops.types import FloatArray, IntArray

Mask = npt.NDArray[np.bool_]
_SHARE = (0.5, 1.0)
_DELAY_MS = (5.0, 12.0)
_LINGER_US = 60_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One incident as requests see it, from `start_us` to `end_us` since the epoch; `share` of the requests show it.

    `onset_us`: when a build-up begins. `place` (0..1) says which of several steps, `delay_ms` how much a network slows.
    """

    kind: str
    service: int
    onset_us: int
    start_us: int
    end_us: int
    share: float
    place: float
    delay_ms: float

    def touches(self, start_us: int, end_us: int) -> bool:
        """Return whether requests that begin from `start_us` to `end_us` may show it."""
        return self.onset_us < end_us and start_us < self.end_us + _LINGER_US

    def strikes(self, at_us: IntArray) -> Mask:
        """Return (n,) whether each moment is in the incident."""
        return (at_us >= self.start_us) & (at_us < self.end_us)

    def strikes_requests(self, at_us: IntArray, luck: FloatArray) -> Mask:
        """Return (n,) which requests show it; `luck` (n,) uniform draws."""
        return self.strikes(at_us) & (luck < self.share)

    def warns(self, at_us: IntArray, luck: FloatArray) -> Mask:
        """Return (n,) which requests warn of a resource: more and more of `share` from the second half of the build-up on."""
        way = (at_us - self.onset_us) / max(1, self.start_us - self.onset_us)
        inside = (at_us >= self.onset_us) & (at_us < self.end_us + _LINGER_US)
        return inside & (luck < 0.5 * self.share * np.clip(2.0 * way - 1.0, 0.0, 1.0))


def faults_of(seed: int, courses: tuple[Course, ...], start_us: int) -> tuple[Fault, ...]:
    """Return all incidents as requests see them; each depends on (seed, its planned start, its service) and its course only."""
    faults = []
    for course in courses:
        incident = course.incident
        rng = generator(seed, Stream.GRAY, 1 + incident.starts_s * 64 + incident.service)
        share, place, delay_ms = float(rng.uniform(*_SHARE)), float(rng.random()), float(rng.uniform(*_DELAY_MS))
        for times in _times(course):
            onset_us, begin_us, end_us = (start_us + round(1e6 * at_s) for at_s in (times.onset_s, times.start_s, times.end_s))
            faults.append(Fault(incident.kind, incident.service, onset_us, begin_us, end_us, share, place, delay_ms))
    return tuple(faults)


@dataclass(frozen=True, slots=True)
class _Times:
    onset_s: float
    start_s: float
    end_s: float


def _times(course: Course) -> list[_Times]:
    """Return onset, start and end of each time that requests show an incident."""
    if course.incident.kind not in BUILDUP_KINDS:
        return [_Times(harm.start_s, harm.start_s, harm.end_s) for harm in course.harms()]
    return [
        _Times(episode.onset_s - episode.share * episode.fills_s, episode.starts_s, episode.ends_s) for episode in course.episodes
    ]
