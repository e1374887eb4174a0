"""How services are, in the numbers that decide whether an action helped. The same record in production and in the simulator."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class ServiceState:
    """Services of an incident over a window. An excess is a distance from the baseline in spreads of calm time, 0 = none.

    `error_excess`, `latency_excess`: of the service acted on or of the symptom, whichever is further; `alerts_firing`: alerts of
    the incident that still do; `new_services`: services that began to stray after the action and were well before;
    `points`: points of telemetry that it rests on, 0 = nothing is known.
    """

    error_excess: float
    latency_excess: float
    alerts_firing: int
    new_services: int
    points: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """Three looks at the same services: `before` the trouble began, at its `peak` before the action, and `after` it settled."""

    before: ServiceState
    peak: ServiceState
    after: ServiceState


class Verdict(StrEnum):
    """What an action has brought."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict and what it rests on, in words; not `known` = there is no telemetry that it could rest on."""

    verdict: Verdict
    why: str
    known: bool = True
