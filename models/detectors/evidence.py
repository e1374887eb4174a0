"""From what several members found strange to one calibrated confidence.

Each member's raw score becomes evidence, -ln(tail): how rare so strange a row is among calibration rows of normal time. The
confidence is a logistic map of the evidence with non-negative weights, so more evidence of any member never lowers it.

- Fitted, where labelled calibration rows are enough: a confidence of 0.9 is meant as a share, and training measures it.
- Label-free, else: the mean evidence against that of the page budget, odds = tail at the budget / tail of the row. Then 0.5 is
  the page budget and nothing more is claimed.

Sources: Platt, "Probabilistic outputs for support vector machines", 1999; Fisher, "Statistical methods for research workers",
1925, section 21.1 (adding -ln p); Kriegel, Kröger, Schubert, Zimek, "Interpreting and unifying outlier scores", SDM 2011;
Pickands, "Statistical inference using extreme order statistics", 1975 (the tail beyond the data).
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Final

import numpy as np

from aiops.errors import ModelError
from aiops.types import FloatArray
from models.vectors.calibration import sigmoid

KNOTS: Final = 256
MOST_EVIDENCE: Final = 40.0
"""Nats; beyond it rows are equally certain."""
NOUGHT: Final = 1e-290
"""Scores nearer to 0 count as 0: the slope between two of them would be beyond all numbers."""
UPPER_SHARE: Final = 0.02
LEAST_SHARE: Final = 0.1
"""Of the weight, for every member: what labels never showed must still be able to raise the confidence."""
_STEPS: Final = 60


@dataclass(frozen=True, slots=True)
class EmpiricalTail:
    """Upper tail of raw scores: -ln P(as strange or stranger) by rank, and beyond the strangest an exponential tail.

    `raw` (k,) ascending knots, `nats` (k,) ascending evidence, `rate` nats a unit of raw score beyond the last knot.
    """

    raw: FloatArray
    nats: FloatArray
    rate: float

    @classmethod
    def fit(cls, raw: FloatArray) -> "EmpiricalTail":
        """Return the tail of raw scores (n,) of rows of normal time; NaN are left out.

        Raises:
            ModelError: fewer than 20 scores are known.
        """
        ordered = np.sort(np.where(np.abs(raw) < NOUGHT, 0.0, raw)[np.isfinite(raw)])
        if ordered.size < 20:
            raise ModelError(f"{ordered.size} calibration rows have a score; a tail needs 20 or more")
        ranks = np.unique(np.geomspace(1, ordered.size, KNOTS).astype(np.int64))[::-1]
        values, first = np.unique(ordered[ordered.size - ranks], return_index=True)
        nats = -np.log(ranks / (ordered.size + 1.0))[first]
        upper = max(10, round(UPPER_SHARE * ordered.size))
        excess = float((ordered[-upper:] - ordered[-upper]).mean())
        spread = float(ordered[-1] - ordered[0])
        return cls(values, nats, 1.0 / max(excess, 1e-3 * spread, 1e-9))

    def __call__(self, raw: FloatArray) -> FloatArray:
        """Return evidence in nats, 0..`MOST_EVIDENCE`; NaN stays NaN."""
        inside = np.interp(raw, self.raw, self.nats)
        beyond = np.maximum(raw - self.raw[-1], 0.0) * self.rate
        return np.asarray(np.minimum(inside + beyond, MOST_EVIDENCE))


@dataclass(frozen=True, slots=True)
class Combination:
    """log odds = intercept + sum of weight * evidence; `fitted` = on labels, so that the confidence is meant as a share."""

    weights: FloatArray
    intercept: float
    fitted: bool

    def parts(self, evidence: FloatArray) -> FloatArray:
        """Return (n, members) what each member adds to the log odds, from evidence (n, members), NaN = abstains.

        The weight of those that abstain goes to the others in proportion. Rows on which all abstain are NaN.
        """
        known = np.isfinite(evidence)
        total = np.zeros(len(evidence))
        for member in range(self.weights.size):
            total += np.where(known[:, member], self.weights[member], 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(total > 0.0, self.weights.sum() / total, np.nan)
        return np.asarray(np.where(known, evidence, np.nan) * self.weights * scale[:, None])

    def log_odds(self, parts: FloatArray) -> FloatArray:
        """Return (n,) log odds of `parts`; NaN where every member abstains."""
        total = np.full(len(parts), self.intercept)
        for member in range(parts.shape[1]):
            total += np.where(np.isfinite(parts[:, member]), parts[:, member], 0.0)
        return np.where(np.isfinite(parts).any(axis=1), total, np.nan)

    def confidence(self, evidence: FloatArray) -> FloatArray:
        """Return (n,) in 0..1."""
        return sigmoid(self.log_odds(self.parts(evidence)))


def shares_of(parts: FloatArray) -> FloatArray:
    """Return (n, members) each member's share of the evidence, adding up to 1; NaN = abstains.

    >>> shares_of(np.array([[3.0, 1.0, np.nan]])).tolist()
    [[0.75, 0.25, nan]]
    """
    known = np.isfinite(parts)
    positive = np.where(known, np.maximum(parts, 0.0), 0.0)
    total = np.zeros(len(parts))
    for member in range(parts.shape[1]):
        total += positive[:, member]
    counted = np.maximum(known.sum(axis=1), 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(total[:, None] > 0.0, positive / total[:, None], 1.0 / counted[:, None])
    return np.where(known, share, np.nan)


def label_free(evidence: FloatArray, budget_share: float) -> Combination:
    """Return the mean of the members' evidence (n, members) of calibration rows, against the evidence that the budget allows.

    `budget_share`: of the rows that may alarm; there the confidence is 0.5.
    """
    members = evidence.shape[1]
    equal = Combination(np.full(members, 1.0 / members), 0.0, fitted=False)
    mean = equal.log_odds(equal.parts(evidence))
    known = mean[np.isfinite(mean)]
    if not known.size:
        raise ModelError("no calibration row has evidence; give rows of normal time with known features")
    return Combination(equal.weights, -float(np.quantile(known, 1.0 - budget_share)), fitted=False)


def fit_combination(evidence: FloatArray, label: FloatArray) -> Combination:
    """Return the logistic map of evidence (n, members) to labels (n,) in {0, 1}; deterministic.

    Weights are non-negative: of all subsets of members whose own fit is, the one of least loss is taken. Then every member gets
    `LEAST_SHARE` of the weight and scale and intercept are fitted anew. Rows on which a member abstains are left out.

    Raises:
        ModelError: the labels hold only one class.
    """
    known = np.isfinite(evidence).all(axis=1)
    if known.sum() < 0.5 * len(evidence):
        known = np.isfinite(evidence).any(axis=1)
    x, y = np.where(np.isfinite(evidence[known]), evidence[known], 0.0), label[known]
    if not 0 < (y > 0).sum() < y.size:
        raise ModelError(f"{int((y > 0).sum())} of {y.size} calibration rows are anomalous; a fit needs both kinds")
    members = x.shape[1]
    best, least = np.full(members, 1.0 / members), np.inf
    for size in range(1, members + 1):
        for subset in combinations(range(members), size):
            point, loss = _logistic(x[:, subset], y)
            if (point[:-1] > 0.0).all() and loss < least:
                least, best = loss, np.zeros(members)
                best[list(subset)] = point[:-1]
    share = best / best.sum()
    share = LEAST_SHARE + (1.0 - LEAST_SHARE * members) * share
    point, _ = _logistic((x @ share)[:, None], y)
    return Combination(share * max(point[0], 1e-3), float(point[1]), fitted=True)


def _logistic(x: FloatArray, y: FloatArray) -> tuple[FloatArray, float]:
    """Return (coefficients with the intercept last, mean loss): Newton with a slight ridge, targets smoothed as Platt's."""
    positives = float((y > 0).sum())
    target = np.where(y > 0, (positives + 1.0) / (positives + 2.0), 1.0 / (y.size - positives + 2.0))
    design = np.column_stack([x, np.ones(len(x))])
    point = np.zeros(design.shape[1])
    point[-1] = np.log(target.mean() / (1.0 - target.mean()))
    ridge = 1e-6 * len(x) * np.eye(design.shape[1])
    ridge[-1, -1] = 0.0
    loss = _loss(design @ point, target)
    for _ in range(_STEPS):
        p = sigmoid(design @ point)
        gradient = design.T @ (p - target) + ridge @ point
        hessian = (design * (p * (1.0 - p))[:, None]).T @ design + ridge + 1e-9 * np.eye(design.shape[1])
        step, size = np.linalg.solve(hessian, gradient), 1.0
        while size > 1e-6 and _loss(design @ (point - size * step), target) > loss:
            size /= 2.0
        point = point - size * step
        former, loss = loss, _loss(design @ point, target)
        if abs(former - loss) < 1e-10 * (1.0 + loss):
            break
    return point, loss


def _loss(value: FloatArray, target: FloatArray) -> float:
    return float((np.logaddexp(0.0, value) - target * value).mean())
