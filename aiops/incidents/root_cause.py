"""What a root cause analysis says: services with probabilities, the evidence of each, and how sure the whole is."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from aiops.errors import ContractError
from aiops.signals.critical_path import CriticalPath, TraceRole


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """Something that people or machines did to a service: `kind` is deployment, config, scaling or another word.

    `source` reported it. `of` gives the same change the same id, so that one reported twice counts once.
    """

    change_id: str
    """id, the same for the same change"""
    at: datetime
    """when it was made"""
    service: str
    """the service that was changed"""
    kind: str
    """deployment, config, scaling or another word"""
    what: str = ""
    """what was changed, in words; "" = not said"""
    source: str = ""
    """who or what reported it; "" = not said"""

    @classmethod
    def of(cls, at: datetime, service: str, kind: str, what: str = "", source: str = "") -> "ChangeEvent":
        """Return a change with the id that its content gives it.

        Raises:
            ContractError: `at` has no time zone, or service or kind is empty.
        """
        if at.tzinfo is None:
            raise ContractError(f"change: at {at.isoformat()} has no time zone; times are aware UTC: add Z")
        for name, text in (("service", service), ("kind", kind)):
            if not text.strip():
                raise ContractError(f"change: {name} is empty; give one, for example service cart, kind deployment")
        moment = at.astimezone(UTC)
        content = "\x1f".join((moment.isoformat(), service, kind, what, source))
        return cls(hashlib.sha256(content.encode()).hexdigest()[:20], moment, service, kind, what, source)


@dataclass(frozen=True, slots=True)
class CauseEvidence:
    """One thing that speaks against a service; `excess` in spreads beyond the usual, `score` = what it adds (log odds)."""

    kind: str
    """kind of evidence, in words"""
    metric: str
    """name of the metric"""
    seen: float
    """its most extreme value in the window, unit of the metric"""
    usual: float
    """its baseline, unit of the metric"""
    excess: float
    """distance from the baseline in spreads of calm time"""
    score: float
    """what it adds to the ranking"""
    since: datetime
    """since when it strays"""
    text: str
    """all of it in words"""


@dataclass(frozen=True, slots=True)
class MetricLevel:
    """How a metric of a cause stands, whether it strays or not: a golden signal, or a resource with a limit."""

    metric: str
    """name of the metric"""
    now: float
    """median of the newest minutes, unit of the metric"""
    usual: float
    """its baseline, unit of the metric"""
    limit: float | None = None
    """where the resource is exhausted, unit of the metric; null = it has no limit"""


@dataclass(frozen=True, slots=True)
class RootCause:
    """A service and the calibrated probability that it began the trouble.

    `path` leads from this service along calls to the symptom; `changes` happened to it just before `onset`; `sentence` says all
    of it in words. `score` is the sum of log odds before the prior.
    """

    service: str
    """name of the service"""
    probability: float
    """calibrated probability that it began the trouble, 0..1"""
    sentence: str
    """why, in words"""
    score: float = 0.0
    """sum of log odds before the prior"""
    onset: datetime | None = None
    """when it began to stray; null = it never strayed far"""
    path: tuple[str, ...] = ()
    """services from this one along calls to the symptom"""
    evidence: tuple[CauseEvidence, ...] = ()
    """what speaks against it"""
    changes: tuple[ChangeEvent, ...] = ()
    """changes of the service just before the onset"""
    levels: tuple[MetricLevel, ...] = ()
    """how its traffic, latency and errors stand, and those of its resources that are nearest to their limits"""


@dataclass(frozen=True, slots=True)
class ExampleTrace:
    """One trace kept for an incident."""

    role: TraceRole
    """failed, slow or normal"""
    trace_id: str
    """32 hexadecimal digits"""
    started_at: datetime
    """when its root began"""
    duration_ms: float
    """duration of its root"""
    service: str
    """service of its root"""
    operation: str
    """operation of its root"""
    failed_spans: int
    """spans that failed"""
    path: CriticalPath
    """what its duration is made of"""
    exemplar_of: tuple[str, ...] = ()
    """series, as people read them, that were sent with it as exemplar"""


@dataclass(frozen=True, slots=True)
class RootCauseReport:
    """One analysis of one incident. Times aware UTC; `causes` the most probable first.

    `decided` = the first cause is probable enough to be named alone; `false_alarm` = most probably nothing began; otherwise
    `statement` says so and `would_decide` lists what would settle it. `symptom` is the service where it showed.
    """

    made_at: datetime
    """as of when it was made"""
    window_start: datetime
    """first time of the telemetry that it looked at"""
    window_end: datetime
    """last time of the telemetry that it looked at"""
    symptom: str
    """the service where the trouble showed; "" = unknown"""
    causes: tuple[RootCause, ...]
    """candidates, the most probable first, at most 10"""
    decided: bool
    """whether the first is probable enough to be named alone"""
    statement: str
    """the finding in one sentence or two"""
    would_decide: tuple[str, ...] = ()
    """what would separate the likely causes, if it were known; empty where decided"""
    none_probability: float = 0.0
    """probability that it was none of the services looked at, 0..1"""
    false_alarm: bool = False
    """whether most probably nothing began: a false alarm"""
    examples: tuple[ExampleTrace, ...] = ()
    """a failed, a slow and a normal trace, as far as spans were received"""
