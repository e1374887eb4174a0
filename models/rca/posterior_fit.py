"""Weights of the posterior from incidents of which the cause is known, by penalised maximum likelihood.

The log loss is a proper score: where the model can tell, its least value calibrates the probabilities.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields
from typing import Self

import numpy as np

from aiops.errors import TrainingImpossible
from aiops.types import FloatArray, IntArray
from models.rca.posterior import CauseFeatures, PosteriorWeights


@dataclass(frozen=True, slots=True, eq=False)
class TrainingCase:
    """One incident of which the cause is known: `root` = its place among the candidates, -1 = none of them."""

    features: CauseFeatures
    root: int


@dataclass(frozen=True, slots=True)
class FitConfig:
    """`penalty` pulls the weights to `start` by their squared distance; `rounds` of projected gradient descent.

    `kept`: names of weights that stay as they are in `start`.
    """

    start: PosteriorWeights = field(default_factory=PosteriorWeights)
    penalty: float = 0.001
    rounds: int = 1500
    kept: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PosteriorFit:
    """Weights and the mean log loss (nats) that they leave."""

    weights: PosteriorWeights
    log_loss: float

    @classmethod
    def of(cls, cases: Sequence[TrainingCase], config: FitConfig | None = None) -> Self:
        """Return the weights of the least penalised log loss, none of evidence below 0. Deterministic.

        Raises:
            TrainingImpossible: there is no case.
        """
        if not cases:
            raise TrainingImpossible("0 incidents with a known cause; weights need some: give more seeds")
        chosen, padded = config or FitConfig(), _Padded.of(cases)
        start = np.array(astuple(chosen.start))
        moves = np.array([name.name not in chosen.kept for name in fields(PosteriorWeights)])
        at, step, value, gradient = start, 0.1, np.inf, np.zeros_like(start)
        for _ in range(chosen.rounds):
            trial = at - step * gradient
            trial[:-2], trial[-1] = np.maximum(0.0, trial[:-2]), max(0.0, trial[-1])
            loss, slope = padded.loss(trial)
            away = trial - start
            loss, slope = loss + chosen.penalty * float(away @ away), moves * (slope + 2 * chosen.penalty * away)
            if loss <= value:
                at, value, gradient, step = trial, loss, slope, step * 1.1
            else:
                step *= 0.5
        return cls(PosteriorWeights(*(round(float(weight), 3) for weight in at)), padded.loss(at)[0])


@dataclass(frozen=True, slots=True, eq=False)
class _Padded:
    """Cases side by side: features (cases, candidates, weights), what is added (cases, candidates; -inf = no candidate), the
    strongest evidence (cases,)."""

    features: FloatArray
    fixed: FloatArray
    loudest: FloatArray
    root: IntArray

    @classmethod
    def of(cls, cases: Sequence[TrainingCase]) -> "_Padded":
        matrices = [case.features.matrix() for case in cases]
        most = max(1, *(len(matrix) for matrix in matrices))
        features = np.zeros((len(cases), most, matrices[0].shape[1]))
        fixed = np.full((len(cases), most), -np.inf)
        for number, (case, matrix) in enumerate(zip(cases, matrices, strict=True)):
            features[number, : len(matrix)], fixed[number, : len(matrix)] = matrix, case.features.prior
        loudest = np.array([case.features.strongest for case in cases])
        return cls(features, fixed, loudest, np.array([case.root for case in cases], dtype=np.int64))

    def loss(self, weights: FloatArray) -> tuple[float, FloatArray]:
        """Return the mean log loss and its gradient."""
        odds = self.features @ weights[:-2] + self.fixed
        peak = odds.max(axis=1)
        share = np.exp(odds - peak[:, None])
        total = peak + np.log(share.sum(axis=1))
        share /= share.sum(axis=1, keepdims=True)
        level = weights[-2] - weights[-1] * self.loudest
        none, has_root = 1.0 / (1.0 + np.exp(-level)), self.root >= 0
        rows, root = np.arange(len(odds)), np.maximum(self.root, 0)
        losses = np.where(has_root, np.logaddexp(0.0, level) - odds[rows, root] + total, np.logaddexp(0.0, -level))
        mean = np.einsum("cn,cnk->ck", share, self.features)
        by_level = np.where(has_root, none, none - 1.0)
        which = np.where(has_root[:, None], mean - self.features[rows, root], 0.0)
        gradient = np.column_stack([which, by_level, -by_level * self.loudest])
        return float(losses.mean()), gradient.mean(axis=0)
