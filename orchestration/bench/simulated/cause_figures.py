"""How good the first causes of a rule are: hits, and whether the probabilities said are what they say."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.types import FloatArray
from orchestration.bench.simulated.false_alarms import share_of

BINS: Final = 10


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


@dataclass(frozen=True, slots=True, eq=False)
class RuleAnswers:
    """What a rule says of alarms: the probability of its first cause, whether that is right, and right within three (n,)."""

    probability: FloatArray
    right: FloatArray
    within3: FloatArray


def rule_figures(name: str, answers: RuleAnswers, is_incident: npt.NDArray[np.bool_], brier_all: float) -> RuleFigures:
    """Return what a rule is worth; `brier_all` is given where it has a whole distribution."""
    error = sum(bin_figures.alarms * abs(bin_figures.said - bin_figures.right) for bin_figures in bins_of(answers)) / max(
        1, answers.probability.size
    )
    return RuleFigures(
        name,
        share_of(answers.right[is_incident]),
        share_of(answers.within3[is_incident]),
        round(error, 4),
        share_of((answers.probability - answers.right) ** 2),
        brier_all,
    )


def bins_of(answers: RuleAnswers) -> tuple[BinFigures, ...]:
    """Return what was said and what was right, by tenths of probability."""
    place = np.minimum((answers.probability * BINS).astype(np.int64), BINS - 1)
    return tuple(
        BinFigures(
            bin_number / BINS,
            int((place == bin_number).sum()),
            share_of(answers.probability[place == bin_number]),
            share_of(answers.right[place == bin_number]),
        )
        for bin_number in np.unique(place).tolist()
    )
