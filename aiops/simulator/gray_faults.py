"""What gray incidents do to requests: by trace and visit, from the truth alone."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aiops.simulator.schedule import PlannedIncident
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


def faults_of(seed: int, incidents: tuple[PlannedIncident, ...], start_us: int) -> tuple[Fault, ...]:
    """Return all incidents as requests see them; each depends on (seed, its start, its service) only."""
    faults = []
    for incident in incidents:
        rng = generator(seed, Stream.GRAY, 1 + incident.starts_s * 64 + incident.service)
        onset_us, begin_us, end_us = (
            start_us + 1_000_000 * second for second in (incident.onset_s, incident.starts_s, incident.ends_s)
        )
        share, place, delay_ms = float(rng.uniform(*_SHARE)), float(rng.random()), float(rng.uniform(*_DELAY_MS))
        faults.append(Fault(incident.kind, incident.service, onset_us, begin_us, end_us, share, place, delay_ms))
    return tuple(faults)
