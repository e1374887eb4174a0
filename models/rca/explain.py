"""From telemetry around an incident to a report: which service began it, how sure that is, and the evidence in front of people."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiops.graph import ServiceGraph
from aiops.root_cause import CauseEvidence, ChangeEvent, RootCause, RootCauseReport
from models.rca.grid import SeriesGrid
from models.rca.ranking import Evidence, RankedCause, RootCauseRanker, Symptom

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class RcaInputs:
    """What is known of an incident at `made_at`; nothing after it is read, whatever the grids and changes hold.

    `window` is the trouble (from shortly before the first alert on), `before` the minutes just before it, `calm` a time without
    incidents (hours); all on the same step, with the service's own name in `series`. `alerted`: the incident's services and when
    each was first alerted. `symptom`: where users felt it, if known; else the service alerted first stands for it. `changes` of
    any service; `changes_recorded` = whether changes are recorded at all (no event is evidence only then). `priors`: log odds
    that past verdicts give a service, 0 = as any other. `ranker`: the one fitted to `calm`, where it is kept between calls.
    """

    made_at: datetime
    window: SeriesGrid
    calm: SeriesGrid
    graph: ServiceGraph
    before: SeriesGrid | None = None
    alerted: Mapping[str, datetime] = field(default_factory=dict)
    symptom: Symptom | None = None
    changes: tuple[ChangeEvent, ...] = ()
    changes_recorded: bool = False
    priors: Mapping[str, float] = field(default_factory=dict)
    ranker: RootCauseRanker | None = None


@dataclass(frozen=True, slots=True)
class ExplainConfig:
    """`least_probability` of the first cause to be named alone; `most_causes` are told with evidence, others not at all."""

    least_probability: float = 0.5
    most_causes: int = 10


def explain(inputs: RcaInputs, config: ExplainConfig | None = None) -> RootCauseReport:
    """Return the report of an incident. Deterministic. O(steps x series + edges).

    Raises:
        ContractError: the calm time has no step.
    """
    chosen = config or ExplainConfig()
    end_us = _us(inputs.made_at) + 1
    window = inputs.window.between(0, end_us)
    before = None if inputs.before is None else inputs.before.between(0, end_us)
    ranker = inputs.ranker or RootCauseRanker.fit(inputs.calm.between(0, end_us), inputs.graph)
    ranked = ranker.rank(window, before, inputs.symptom)
    causes = tuple(_cause(one) for one in ranked[: chosen.most_causes])
    decided = bool(causes) and causes[0].probability >= chosen.least_probability
    times = window.time_us.tolist()
    return RootCauseReport(
        made_at=inputs.made_at,
        window_start=_moment(times[0]) if times else inputs.made_at,
        window_end=_moment(times[-1]) if times else inputs.made_at,
        symptom=_symptom(inputs),
        causes=causes,
        decided=decided,
        statement=causes[0].sentence if decided else "no service stands out",
    )


def _symptom(inputs: RcaInputs) -> str:
    if inputs.symptom is not None:
        return inputs.symptom.service
    return min(inputs.alerted, key=lambda name: (inputs.alerted[name], name), default="")


def _cause(ranked: RankedCause) -> RootCause:
    evidence = tuple(_evidence(one) for one in ranked.evidence)
    onset = min((one.since for one in evidence), default=None)
    sentence = f"{ranked.service}: {evidence[0].text}" if evidence else f"{ranked.service}: nothing unusual is measured"
    return RootCause(ranked.service, ranked.probability, sentence, ranked.score, onset, (), evidence)


def _evidence(one: Evidence) -> CauseEvidence:
    return CauseEvidence(one.kind, one.metric, one.seen, one.usual, one.excess, one.score, _moment(one.since_us), one.text())


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(time_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time_us)
