"""`aiops bench rca-calibration`: are the probabilities of root causes what they say, on simulated seeds nothing was fitted to?

Beside them the loudest service and the one alerted first, each with the share of the fit seeds in which it is right as its
probability. `refit` fits the weights of the posterior again on the fit seeds and prints them; they are committed in
`models/rca/posterior.py`.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from aiops.errors import ConfigurationError
from aiops.types import FloatArray
from models.rca.change_evidence import ChangeConfig
from models.rca.posterior import FITTED, PosteriorWeights, posterior
from models.rca.posterior_fit import PosteriorFit, TrainingCase
from models.rca.ranking import loudest_first
from models.rca.timing import STRAYED
from models.rca.weighing import weigh
from orchestration.bench.simulated.rca_cases import SimulatedCase, cases_of

FIT_SEEDS: Final = tuple(range(1, 25))
FIRST_SEED: Final = 1001
SEEDS: Final = 40
BINS: Final = 10
DECIDED: Final = 0.5


@dataclass(frozen=True, slots=True)
class CalibrationConfig:
    """Seeds that are scored, none of them a fit seed; `refit` fits the weights again and scores those."""

    seeds: int = SEEDS
    first_seed: int = FIRST_SEED
    refit: bool = False

    def __post_init__(self) -> None:
        if self.first_seed <= FIT_SEEDS[-1]:
            raise ConfigurationError(
                f"first_seed={self.first_seed}: seeds 1 to {FIT_SEEDS[-1]} are fitted to; give a greater one"
            )


@dataclass(frozen=True, slots=True)
class RuleFigures:
    """One rule. Top-1 and top-3 over the incidents; ECE and Brier of the first cause over all alarms; `brier_all` = Brier of the
    whole distribution, squared errors added up over services and "none", which the other rules do not have (NaN)."""

    rule: str
    top1: float
    top3: float
    ece: float
    brier: float
    brier_all: float


@dataclass(frozen=True, slots=True)
class BinFigures:
    """First causes with a probability in [low, low + 0.1): how many, mean probability, share that is right."""

    low: float
    alarms: int
    said: float
    right: float


@dataclass(frozen=True, slots=True)
class KindFigures:
    """One kind of incident; for "none" (a false alarm) right = "none of these" was said to be likelier than any service."""

    kind: str
    alarms: int
    top1: float
    top3: float
    decided: float


@dataclass(frozen=True, slots=True)
class CalibrationFigures:
    """`decided` = share of alarms with a cause named alone, `decided_right` = share of those that is right."""

    alarms: int
    incidents: int
    decided: float
    decided_right: float
    rules: tuple[RuleFigures, ...]
    bins: tuple[BinFigures, ...]
    kinds: tuple[KindFigures, ...]
    weights: PosteriorWeights


@dataclass(frozen=True, slots=True, eq=False)
class _Weighed:
    """A case made ready: candidates by name, what speaks for them and how far each strayed; what the trivial rules rank."""

    case: SimulatedCase
    training: TrainingCase
    names: tuple[str, ...]
    excess: FloatArray
    loudest: tuple[str, ...]
    alerted: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _RuleAnswers:
    """What a rule says of alarms: the probability of its first cause, whether that is right, and right within three (n,)."""

    probability: FloatArray
    right: FloatArray
    within3: FloatArray


def run(config: CalibrationConfig, out: Path | None, say: Callable[[str], None]) -> CalibrationFigures:
    """Score the probabilities of root causes; `out` takes one JSON object an alarm.

    Raises:
        ConfigurationError: a scored seed is a fit seed.
    """
    fitted_on = _ready(FIT_SEEDS, say)
    weights = PosteriorFit.of([alarm.training for alarm in fitted_on]).weights if config.refit else FITTED
    scored = _ready(range(config.first_seed, config.first_seed + config.seeds), say)
    answers = [posterior(alarm.training.features, weights) for alarm in scored]
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text("".join(_line(alarm, *answer) for alarm, answer in zip(scored, answers, strict=True)), encoding="utf-8")
    ours = _ours(scored, answers)
    is_incident = np.array([alarm.case.root != "" for alarm in scored])
    strayed = [alarm.excess[share.argmax()] for alarm, (share, _) in zip(scored, answers, strict=True)]
    sure = (ours.probability >= DECIDED) & (np.array(strayed) >= STRAYED)
    trivial = [
        _rule(name, _trivial(scored, which, _share(fitted_on, which)), is_incident, float("nan"))
        for name, which in (("loudest service", "loudest"), ("alerted first", "alerted"))
    ]
    return CalibrationFigures(
        alarms=len(scored),
        incidents=int(is_incident.sum()),
        decided=_mean(sure),
        decided_right=_mean(ours.right[sure]),
        rules=(_rule("posterior", ours, is_incident, _brier_all(scored, answers)), *trivial),
        bins=_bins(ours),
        kinds=_kinds(scored, answers, ours, sure),
        weights=weights,
    )


def _ready(seeds: Sequence[int], say: Callable[[str], None]) -> list[_Weighed]:
    weighed = []
    for case in cases_of(seeds):
        frame, features = weigh(case.inputs, ChangeConfig())
        excess = np.array(
            [max((evidence.excess for evidence in frame.evidence_of(name)), default=0.0) for name in frame.services]
        )
        root = frame.services.index(case.root) if case.root in frame.services else -1
        loudest = loudest_first(frame.ranker, frame.window)
        first = tuple(sorted(case.inputs.alerted, key=lambda name: (case.inputs.alerted[name], name)))
        weighed.append(_Weighed(case, TrainingCase(features, root), frame.services, excess, loudest, first))
    say(f"seeds {seeds[0]} to {seeds[-1]}: {len(weighed)} alarms")
    return weighed


def _ours(scored: Sequence[_Weighed], answers: Sequence[tuple[FloatArray, float]]) -> _RuleAnswers:
    ranked = [
        tuple(alarm.names[place] for place in np.argsort(-share, kind="stable")[:3].tolist())
        for alarm, (share, _) in zip(scored, answers, strict=True)
    ]
    return _answers_of(scored, ranked, np.array([share.max(initial=0.0) for share, _ in answers]))


def _trivial(scored: Sequence[_Weighed], which: str, probability: float) -> _RuleAnswers:
    ranked = [alarm.loudest if which == "loudest" else alarm.alerted for alarm in scored]
    return _answers_of(scored, ranked, np.full(len(scored), probability))


def _share(fitted_on: Sequence[_Weighed], which: str) -> float:
    """Return the share of the fit seeds' alarms in which a trivial rule is right: the best constant probability."""
    return _mean(_trivial(fitted_on, which, 0.0).right)


def _answers_of(scored: Sequence[_Weighed], ranked: Sequence[tuple[str, ...]], probability: FloatArray) -> _RuleAnswers:
    first = [bool(names) and names[0] == alarm.case.root for alarm, names in zip(scored, ranked, strict=True)]
    within = [alarm.case.root in names[:3] for alarm, names in zip(scored, ranked, strict=True)]
    return _RuleAnswers(probability, np.array(first, dtype=np.float64), np.array(within, dtype=np.float64))


def _rule(name: str, answers: _RuleAnswers, is_incident: "np.typing.NDArray[np.bool_]", brier_all: float) -> RuleFigures:
    error = sum(bin_figures.alarms * abs(bin_figures.said - bin_figures.right) for bin_figures in _bins(answers)) / max(
        1, answers.probability.size
    )
    return RuleFigures(
        name,
        _mean(answers.right[is_incident]),
        _mean(answers.within3[is_incident]),
        round(error, 4),
        _mean((answers.probability - answers.right) ** 2),
        brier_all,
    )


def _bins(answers: _RuleAnswers) -> tuple[BinFigures, ...]:
    place = np.minimum((answers.probability * BINS).astype(np.int64), BINS - 1)
    return tuple(
        BinFigures(
            bin_number / BINS,
            int((place == bin_number).sum()),
            _mean(answers.probability[place == bin_number]),
            _mean(answers.right[place == bin_number]),
        )
        for bin_number in np.unique(place).tolist()
    )


def _brier_all(scored: Sequence[_Weighed], answers: Sequence[tuple[FloatArray, float]]) -> float:
    errors = []
    for alarm, (share, none) in zip(scored, answers, strict=True):
        truth = np.zeros(len(share) + 1)
        truth[alarm.training.root] = 1.0  # -1, none of them, is the last
        errors.append(((np.append(share, none) - truth) ** 2).sum())
    return _mean(np.array(errors))


def _kinds(
    scored: Sequence[_Weighed],
    answers: Sequence[tuple[FloatArray, float]],
    ours: _RuleAnswers,
    sure: "np.typing.NDArray[np.bool_]",
) -> tuple[KindFigures, ...]:
    kinds = np.array([alarm.case.kind for alarm in scored])
    refused = np.array([none > share.max(initial=0.0) for share, none in answers], dtype=np.float64)
    figures = []
    for kind in sorted(set(kinds.tolist())):
        these = kinds == kind
        right, within = (refused, refused) if kind == "none" else (ours.right, ours.within3)
        figures.append(KindFigures(kind, int(these.sum()), _mean(right[these]), _mean(within[these]), _mean(sure[these])))
    return tuple(figures)


def _line(alarm: _Weighed, share: FloatArray, none: float) -> str:
    order = np.argsort(-share, kind="stable")[:5].tolist()
    causes = {alarm.names[place]: round(float(share[place]), 4) for place in order}
    case = alarm.case
    about = {"seed": case.seed, "at": case.inputs.made_at.isoformat(), "kind": case.kind, "root": case.root}
    return (
        json.dumps({**about, "front_only": case.front_only, "coarse": case.coarse, "causes": causes, "none": round(none, 4)})
        + "\n"
    )


def _mean(values: "np.typing.NDArray[np.float64] | np.typing.NDArray[np.bool_]") -> float:
    return round(float(values.mean()), 4) if values.size else float("nan")
