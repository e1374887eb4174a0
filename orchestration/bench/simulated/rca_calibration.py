"""`aiops bench rca-calibration`: are the probabilities of root causes what they say, on simulated seeds nothing was fitted to?

Beside them the loudest service and the one alerted first, each with the share of the fit seeds in which it is right as its
probability. Every alarm is explained again as the minutes pass: rules and bins are over all answers, kinds and false alarms as of
the last one. `refit` fits the weights again on the fit seeds and prints them; they are committed in `models/rca/posterior.py` and
`models/rca/alarm_course.py`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from aiops.types import FloatArray
from models.rca.alarm_course import FALSE_FROM, NOTHING, AlarmCourse, CourseWeights
from models.rca.change_evidence import ChangeConfig
from models.rca.course_fit import fitted_course
from models.rca.explain import alarm_course, nothing_began
from models.rca.posterior import FITTED, PosteriorWeights, posterior
from models.rca.posterior_fit import PosteriorFit, TrainingCase
from models.rca.ranking import loudest_first
from models.rca.timing import STRAYED
from models.rca.weighing import weigh
from orchestration.bench.simulated.cause_figures import BinFigures, RuleAnswers, RuleFigures, bins_of, rule_figures
from orchestration.bench.simulated.false_alarms import FirstCause, NamedAlarms, WaitFigures, share_of, wait_figures
from orchestration.bench.simulated.rca_cases import WAITS_MIN, SimulatedCase, cases_of
from orchestration.bench.simulated.unseen_seeds import UnseenSeeds

FIT_SEEDS: Final = tuple(range(1, 25))
SEEDS: Final = 40
DECIDED: Final = 0.5
FITTED_UNTIL_MIN: Final = 5
"""Minutes after the first alert up to which an alarm tells the fit which service it was."""


@dataclass(frozen=True, slots=True)
class KindFigures:
    """One kind of incident, as of the last answer; for "none" right = it was called a false alarm."""

    kind: str
    alarms: int
    top1: float
    top3: float
    decided: float


@dataclass(frozen=True, slots=True)
class CalibrationFigures:
    """`decided` = share of answers with a cause named alone, `decided_right` = share of those that is right.

    `false_named`, `true_lost`, `short_lost`: those of `waits` as of the last answer.
    """

    alarms: int
    incidents: int
    false_named: float
    true_lost: float
    short_lost: float
    decided: float
    decided_right: float
    rules: tuple[RuleFigures, ...]
    bins: tuple[BinFigures, ...]
    kinds: tuple[KindFigures, ...]
    waits: tuple[WaitFigures, ...]
    weights: PosteriorWeights
    course_weights: CourseWeights


@dataclass(frozen=True, slots=True, eq=False)
class _Weighed:
    """A case made ready: candidates by name, what speaks for them and how far each strayed; what the trivial rules rank.

    `course`: how its alarm went, None = unknown.
    """

    case: SimulatedCase
    training: TrainingCase
    course: AlarmCourse | None
    names: tuple[str, ...]
    excess: FloatArray
    loudest: tuple[str, ...]
    alerted: tuple[str, ...]


def run(config: UnseenSeeds, out: Path | None, say: Callable[[str], None]) -> CalibrationFigures:
    """Score the probabilities of root causes; `out` takes one JSON object an answer.

    Raises:
        ConfigurationError: a scored seed is a fit seed.
    """
    fitted_on = _ready(FIT_SEEDS, say)
    weights = _refitted(fitted_on, say) if config.refit else _Weights(FITTED, NOTHING)
    seeds = range(config.first_seed, config.first_seed + config.seeds)
    scored, short = _ready(seeds, say), _ready(seeds, say, short=True)
    answers = [weights.answer(alarm) for alarm in scored]
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("".join(_line(alarm, *answer) for alarm, answer in zip(scored, answers, strict=True)), encoding="utf-8")
    ours = _ours(scored, answers)
    is_incident = np.array([alarm.case.root != "" for alarm in scored])
    strayed = [alarm.excess[share.argmax()] for alarm, (share, _) in zip(scored, answers, strict=True)]
    called = _called(scored, answers)
    sure = (ours.probability >= DECIDED) & (np.array(strayed) >= STRAYED) & ~called.called
    trivial = [
        rule_figures(name, _trivial(scored, which, _share(fitted_on, which)), is_incident, float("nan"))
        for name, which in (("loudest service", "loudest"), ("alerted first", "alerted"))
    ]
    waits = wait_figures(called, _called(short, [weights.answer(alarm) for alarm in short]), _by_wait(scored, ours, is_incident))
    return CalibrationFigures(
        alarms=len({(alarm.case.seed, alarm.case.number) for alarm in scored}),
        incidents=int(is_incident[called.waited_min == WAITS_MIN[0]].sum()),
        false_named=waits[-1].false_named,
        true_lost=waits[-1].true_lost,
        short_lost=waits[-1].short_lost,
        decided=share_of(sure),
        decided_right=share_of(ours.right[sure]),
        rules=(rule_figures("posterior", ours, is_incident, _brier_all(scored, answers)), *trivial),
        bins=bins_of(ours),
        kinds=_kinds(scored, called, ours, sure),
        waits=waits,
        weights=weights.which,
        course_weights=weights.course,
    )


@dataclass(frozen=True, slots=True)
class _Weights:
    """Weights of which service it was, and of whether anything began."""

    which: PosteriorWeights
    course: CourseWeights

    def answer(self, alarm: _Weighed) -> tuple[FloatArray, float]:
        features = alarm.training.features
        nothing = None if alarm.course is None else nothing_began(alarm.course, features, self.which, self.course)
        return posterior(features, self.which, nothing)


def _refitted(fitted_on: Sequence[_Weighed], say: Callable[[str], None]) -> _Weights:
    soon = [alarm.training for alarm in fitted_on if alarm.case.waited_min <= FITTED_UNTIL_MIN]
    known = [alarm for alarm in (*fitted_on, *_ready(FIT_SEEDS, say, short=True)) if alarm.course is not None]
    courses = [alarm.course for alarm in known if alarm.course is not None]
    return _Weights(
        PosteriorFit.of(soon).weights, fitted_course(courses, np.array([alarm.case.kind == "none" for alarm in known]))
    )


def _ready(seeds: Sequence[int], say: Callable[[str], None], short: bool = False) -> list[_Weighed]:
    weighed = []
    for case in cases_of(seeds, short):
        frame, features = weigh(case.inputs, ChangeConfig())
        excess = np.array(
            [max((evidence.excess for evidence in frame.evidence_of(name)), default=0.0) for name in frame.services]
        )
        root = frame.services.index(case.root) if case.root in frame.services else -1
        loudest = loudest_first(frame.ranker, frame.window)
        first = tuple(sorted(case.inputs.alerted, key=lambda name: (case.inputs.alerted[name], name)))
        course = alarm_course(frame, features, FITTED)
        weighed.append(_Weighed(case, TrainingCase(features, root), course, frame.services, excess, loudest, first))
    say(f"seeds {seeds[0]} to {seeds[-1]}{', incidents of minutes' if short else ''}: {len(weighed)} answers")
    return weighed


def _called(scored: Sequence[_Weighed], answers: Sequence[tuple[FloatArray, float]]) -> NamedAlarms:
    """Return which alarms are called false, as the service calls them."""
    called = [alarm.course is not None and none >= FALSE_FROM for alarm, (_, none) in zip(scored, answers, strict=True)]
    return NamedAlarms.of([alarm.case for alarm in scored], called)


def _by_wait(scored: Sequence[_Weighed], ours: RuleAnswers, is_incident: "np.typing.NDArray[np.bool_]") -> tuple[FirstCause, ...]:
    """Return ECE and top-1 of the first cause after each of `WAITS_MIN`."""
    waited_min = np.array([alarm.case.waited_min for alarm in scored])
    causes = []
    for wait_min in WAITS_MIN:
        now = waited_min == wait_min
        answers = RuleAnswers(ours.probability[now], ours.right[now], ours.within3[now])
        rule = rule_figures("", answers, is_incident[now], float("nan"))
        causes.append(FirstCause(rule.ece, rule.top1))
    return tuple(causes)


def _ours(scored: Sequence[_Weighed], answers: Sequence[tuple[FloatArray, float]]) -> RuleAnswers:
    ranked = [
        tuple(alarm.names[place] for place in np.argsort(-share, kind="stable")[:3].tolist())
        for alarm, (share, _) in zip(scored, answers, strict=True)
    ]
    return _answers_of(scored, ranked, np.array([share.max(initial=0.0) for share, _ in answers]))


def _trivial(scored: Sequence[_Weighed], which: str, probability: float) -> RuleAnswers:
    ranked = [alarm.loudest if which == "loudest" else alarm.alerted for alarm in scored]
    return _answers_of(scored, ranked, np.full(len(scored), probability))


def _share(fitted_on: Sequence[_Weighed], which: str) -> float:
    """Return the share of the fit seeds' alarms in which a trivial rule is right: the best constant probability."""
    return share_of(_trivial(fitted_on, which, 0.0).right)


def _answers_of(scored: Sequence[_Weighed], ranked: Sequence[tuple[str, ...]], probability: FloatArray) -> RuleAnswers:
    first = [bool(names) and names[0] == alarm.case.root for alarm, names in zip(scored, ranked, strict=True)]
    within = [alarm.case.root in names[:3] for alarm, names in zip(scored, ranked, strict=True)]
    return RuleAnswers(probability, np.array(first, dtype=np.float64), np.array(within, dtype=np.float64))


def _brier_all(scored: Sequence[_Weighed], answers: Sequence[tuple[FloatArray, float]]) -> float:
    errors = []
    for alarm, (share, none) in zip(scored, answers, strict=True):
        truth = np.zeros(len(share) + 1)
        truth[alarm.training.root] = 1.0  # -1, none of them, is the last
        errors.append(((np.append(share, none) - truth) ** 2).sum())
    return share_of(np.array(errors))


def _kinds(
    scored: Sequence[_Weighed], called: NamedAlarms, ours: RuleAnswers, sure: "np.typing.NDArray[np.bool_]"
) -> tuple[KindFigures, ...]:
    kinds, last = np.array([alarm.case.kind for alarm in scored]), called.waited_min == WAITS_MIN[-1]
    refused = called.called.astype(np.float64)
    figures = []
    for kind in sorted(set(kinds.tolist())):
        these = (kinds == kind) & last
        right, within = (refused, refused) if kind == "none" else (ours.right, ours.within3)
        figures.append(
            KindFigures(kind, int(these.sum()), share_of(right[these]), share_of(within[these]), share_of(sure[these]))
        )
    return tuple(figures)


def _line(alarm: _Weighed, share: FloatArray, none: float) -> str:
    order = np.argsort(-share, kind="stable")[:5].tolist()
    causes = {alarm.names[place]: round(float(share[place]), 4) for place in order}
    case = alarm.case
    about = {"seed": case.seed, "at": case.inputs.made_at.isoformat(), "waited_min": case.waited_min}
    about |= {"kind": case.kind, "root": case.root}
    return (
        json.dumps({**about, "front_only": case.front_only, "coarse": case.coarse, "causes": causes, "none": round(none, 4)})
        + "\n"
    )
