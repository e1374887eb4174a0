"""From telemetry around an incident to a report: which service began it, how sure that is, and the evidence for it."""

from dataclasses import dataclass, field

from aiops.incidents.root_cause import RootCauseReport
from data_contracts.values.moments import moment_of_us
from models.rca.cause_text import cause_of
from models.rca.change_evidence import ChangeConfig
from models.rca.conclusion import statement_of, would_decide
from models.rca.inputs import RcaInputs, WindowConfig
from models.rca.posterior import FITTED, EvidenceKind, PosteriorWeights, log_odds, order_of, posterior
from models.rca.timing import STRAYED
from models.rca.weighing import weigh

__all__ = ["ExplainConfig", "RcaInputs", "WindowConfig", "explain"]


@dataclass(frozen=True, slots=True)
class ExplainConfig:
    """What a report contains. The first cause is named alone from `least_probability` on, if it has an onset and something of it
    strayed by `least_excess` spreads; `most_causes` are reported with their evidence, others not at all. Evidence of the kinds
    `without` is not weighed."""

    least_probability: float = 0.5
    least_excess: float = STRAYED
    most_causes: int = 10
    without: frozenset[EvidenceKind] = frozenset()
    weights: PosteriorWeights = FITTED
    changing: ChangeConfig = field(default_factory=ChangeConfig)


def explain(inputs: RcaInputs, config: ExplainConfig | None = None) -> RootCauseReport:
    """Return the report of an incident. Deterministic. O(steps x series + edges x log services).

    Raises:
        ContractError: the calm time has no step.
    """
    chosen = config or ExplainConfig()
    frame, weighed = weigh(inputs, chosen.changing)
    features = weighed.without(chosen.without)
    shares, none = posterior(features, chosen.weights)
    order = order_of(shares)[: chosen.most_causes].tolist()
    odds = log_odds(features, chosen.weights)
    causes = tuple(cause_of(frame, place, float(shares[place]), float(odds[place]), chosen.changing) for place in order)
    strayed = (
        max((evidence.excess for evidence in causes[0].evidence), default=0.0) if causes and causes[0].onset is not None else 0.0
    )
    decided = strayed >= chosen.least_excess and causes[0].probability >= chosen.least_probability
    times = frame.time_us.tolist()
    return RootCauseReport(
        made_at=inputs.made_at,
        window_start=moment_of_us(times[0]) if times else inputs.made_at,
        window_end=moment_of_us(times[-1]) if times else inputs.made_at,
        symptom=frame.symptom,
        causes=causes,
        decided=decided,
        statement=statement_of(causes, none, decided),
        would_decide=() if decided else would_decide(causes, frame, inputs),
        none_probability=none,
    )
