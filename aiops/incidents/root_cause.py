"""What a root cause analysis says: services with probabilities, the evidence of each, and how sure the whole is."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from aiops.errors import ContractError


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """Something that people or machines did to a service: `kind` is deployment, config, scaling or another word.

    `source` reported it. `of` gives the same change the same id, so that one reported twice counts once.
    """

    change_id: str
    at: datetime
    service: str
    kind: str
    what: str = ""
    source: str = ""

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
    metric: str
    seen: float
    usual: float
    excess: float
    score: float
    since: datetime
    text: str


@dataclass(frozen=True, slots=True)
class RootCause:
    """A service and the calibrated probability that it began the trouble.

    `path` leads from this service along calls to the symptom; `changes` happened to it just before `onset`; `sentence` says all
    of it in words. `score` is the sum of log odds before the prior.
    """

    service: str
    probability: float
    sentence: str
    score: float = 0.0
    onset: datetime | None = None
    path: tuple[str, ...] = ()
    evidence: tuple[CauseEvidence, ...] = ()
    changes: tuple[ChangeEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class RootCauseReport:
    """One analysis of one incident. Times aware UTC; `causes` the most probable first.

    `decided` = the first cause is probable enough to be named alone; otherwise `statement` says so and `would_decide` lists what
    would settle it. `symptom` is the service where it showed.
    """

    made_at: datetime
    window_start: datetime
    window_end: datetime
    symptom: str
    causes: tuple[RootCause, ...]
    decided: bool
    statement: str
    would_decide: tuple[str, ...] = ()
    none_probability: float = 0.0
