"""From evidence to probabilities: one conditional logit over the candidates and "none of these".

The log odds of a service are a weighted sum of what speaks for it, plus its prior; the services and "none of these" share one
exponential normalisation. Weights are fitted on simulated incidents (`aiops bench rca-calibration --refit`) by penalised maximum
likelihood; being a proper score, that calibrates the probabilities. Source: McFadden (1974), "Conditional logit analysis".
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Final, Self

import numpy as np

from aiops.types import FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class CauseFeatures:
    """What speaks for each candidate (n,), higher = more likely the cause.

    `magnitude`: the ranker's score. `early`: -log(1 + steps after the first onset). `unexplained`: -share that callees explain.
    `lead`: correlation with the symptom at a lag at which it leads. `changed`: log odds of its changes. `covers`: share of the
    alerted services that call it. `near`: -log(1 + hops to the symptom). `prior`: log odds from past verdicts.
    """

    magnitude: FloatArray
    early: FloatArray
    unexplained: FloatArray
    lead: FloatArray
    changed: FloatArray
    covers: FloatArray
    near: FloatArray
    prior: FloatArray

    def matrix(self) -> FloatArray:
        """Return (n, weights) what is weighted; the prior is not."""
        return np.stack([self.magnitude, self.early, self.unexplained, self.lead, self.changed, self.covers, self.near], axis=1)


@dataclass(frozen=True, slots=True)
class PosteriorWeights:
    """Weights of `CauseFeatures`, none below 0, and `none`, the log odds of "none of these"."""

    magnitude: float = 1.0
    early: float = 0.0
    unexplained: float = 0.0
    lead: float = 0.0
    changed: float = 1.0
    covers: float = 0.0
    near: float = 0.0
    none: float = 1.0

    def vector(self) -> FloatArray:
        """Return the weights in the order of `CauseFeatures.matrix`."""
        return np.array(astuple(self)[:-1])


FITTED: Final = PosteriorWeights()


def posterior(features: CauseFeatures, weights: PosteriorWeights = FITTED) -> tuple[FloatArray, float]:
    """Return the probability (n,) of each candidate and of "none of these"; all together 1."""
    odds = features.matrix() @ weights.vector() + features.prior
    peak = max(weights.none, float(odds.max(initial=-np.inf)))
    share, none = np.exp(odds - peak), float(np.exp(weights.none - peak))
    total = float(share.sum()) + none
    return share / total, none / total


@dataclass(frozen=True, slots=True, eq=False)
class TrainingCase:
    """One incident of which the cause is known: `root` = its place among the candidates, -1 = none of them."""

    features: CauseFeatures
    root: int


@dataclass(frozen=True, slots=True)
class FitConfig:
    """`penalty` pulls each weight to `start`, in squared distance a case of `per_cases`; `rounds` of gradient descent."""

    start: PosteriorWeights = PosteriorWeights()
    penalty: float = 0.02
    rounds: int = 400


@dataclass(frozen=True, slots=True)
class PosteriorFit:
    """Weights and the mean log loss (nats) that they leave."""

    weights: PosteriorWeights
    log_loss: float

    @classmethod
    def of(cls, cases: Sequence[TrainingCase], config: FitConfig | None = None) -> Self:
        """Return the weights of the least penalised log loss, none of evidence below 0. Deterministic."""
        chosen = config or FitConfig()
        start = np.append(chosen.start.vector(), chosen.start.none)
        designs = [_design(case.features) for case in cases]
        roots = [case.root if case.root >= 0 else len(design[0]) - 1 for case, design in zip(cases, designs, strict=True)]
        at, step, value, gradient = start, 0.1, np.inf, np.zeros_like(start)
        for _ in range(chosen.rounds):
            trial = at - step * gradient
            trial[:-1] = np.maximum(0.0, trial[:-1])
            loss, slope = _loss(trial, designs, roots)
            away = trial - start
            loss, slope = loss + chosen.penalty * float(away @ away), slope + 2 * chosen.penalty * away
            if loss <= value:
                at, value, gradient, step = trial, loss, slope, min(1.0, step * 1.2)
            else:
                step *= 0.5
        return cls(PosteriorWeights(*(round(float(one), 3) for one in at)), _loss(at, designs, roots)[0])


def _design(features: CauseFeatures) -> tuple[FloatArray, FloatArray]:
    """Return (n + 1, weights + 1) features with a last row for "none of these", and what is added unweighted."""
    matrix = features.matrix()
    design = np.zeros((len(matrix) + 1, matrix.shape[1] + 1))
    design[:-1, :-1] = matrix
    design[-1, -1] = 1.0
    return design, np.append(features.prior, 0.0)


def _loss(
    weights: FloatArray, designs: Sequence[tuple[FloatArray, FloatArray]], roots: Sequence[int]
) -> tuple[float, FloatArray]:
    """Return the mean log loss and its gradient."""
    loss, gradient = 0.0, np.zeros_like(weights)
    for (design, fixed), root in zip(designs, roots, strict=True):
        odds = design @ weights + fixed
        odds -= odds.max()
        share = np.exp(odds)
        share /= share.sum()
        loss -= float(np.log(max(share[root], 1e-300)))
        gradient += share @ design - design[root]
    return loss / len(designs), gradient / len(designs)
