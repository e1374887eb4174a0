"""From telemetry around an incident to a report: which service began it, how sure that is, and the evidence for it."""

from dataclasses import dataclass, field

from aiops.incidents.root_cause import RootCauseReport
from data_contracts.values.moments import moment_of_us
from models.rca.alarm_course import FALSE_FROM, NOTHING, AlarmCourse, CourseWeights, course_of, log_odds_of_nothing
from models.rca.cause_text import cause_of
from models.rca.change_evidence import ChangeConfig
from models.rca.conclusion import false_statement, statement_of, would_decide
from models.rca.inputs import RcaInputs, WindowConfig
from models.rca.posterior import (
    FITTED,
    CauseFeatures,
    EvidenceKind,
    PosteriorWeights,
    log_odds,
    order_of,
    posterior,
    shown_by_requests,
)
from models.rca.timing import STRAYED
from models.rca.weighing import Frame, weigh

__all__ = ["ExplainConfig", "RcaInputs", "WindowConfig", "alarm_course", "explain", "nothing_began"]


@dataclass(frozen=True, slots=True)
class ExplainConfig:
    """What a report contains. The first cause is named alone from `least_probability` on, if it has an onset and something of it
    strayed by `least_excess` spreads; `most_causes` are reported with their evidence,
    others not at all. An alarm is called false from `false_from` on. Evidence of the kinds `without` is not weighed."""

    least_probability: float = 0.5
    least_excess: float = STRAYED
    false_from: float = FALSE_FROM
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
    course = alarm_course(frame, features, chosen.weights)
    nothing = None if course is None else nothing_began(course, features, chosen.weights)
    shares, none = posterior(features, chosen.weights, nothing)
    is_false = nothing is not None and none >= chosen.false_from
    order = order_of(shares)[: chosen.most_causes].tolist()
    odds = log_odds(features, chosen.weights)
    causes = tuple(cause_of(frame, place, float(shares[place]), float(odds[place]), chosen.changing) for place in order)
    strayed = (
        max((evidence.excess for evidence in causes[0].evidence), default=0.0) if causes and causes[0].onset is not None else 0.0
    )
    decided = not is_false and strayed >= chosen.least_excess and causes[0].probability >= chosen.least_probability
    times = frame.time_us.tolist()
    return RootCauseReport(
        made_at=inputs.made_at,
        window_start=moment_of_us(times[0]) if times else inputs.made_at,
        window_end=moment_of_us(times[-1]) if times else inputs.made_at,
        symptom=frame.symptom,
        causes=causes,
        decided=decided,
        statement=false_statement(causes, none) if is_false else statement_of(causes, none, decided),
        would_decide=() if decided or is_false else would_decide(causes, frame, inputs),
        none_probability=none,
        false_alarm=is_false,
    )


def alarm_course(frame: Frame, features: CauseFeatures, weights: PosteriorWeights) -> AlarmCourse | None:
    """Return how an alarm went; None where nothing alerted or nothing is known."""
    if not frame.alerted or not frame.services or not frame.time_us.size:
        return None
    likeliest = frame.services[int((log_odds(features, weights) + features.prior).argmax())]
    return course_of(frame, likeliest)


def nothing_began(
    course: AlarmCourse, features: CauseFeatures, weights: PosteriorWeights = FITTED, course_weights: CourseWeights = NOTHING
) -> float:
    """Return the log odds that nothing began: what the course of the alarm says, less what requests show."""
    return log_odds_of_nothing(course, course_weights) - shown_by_requests(features, weights)
