"""Calibration of margins to probabilities: Platt's logistic map, fitted on its own slice, stored as two or three numbers.

Where part of what happens does not show in the margin at all, no logistic curve is right: the many rows without any sign of it
flatten the slope for the few with one. A floor, the chance of that part, leaves the curve to the rest (`fit_floored`).

Source: Platt, "Probabilistic outputs for support vector machines", 1999; fitted as in Lin, Lin, Weng, "A note on Platt's
probabilistic outputs", 2007 (Newton steps with back-tracking, smoothed targets). The floor: "guessing" in item response theory,
Birnbaum 1968, fitted by expectation-maximisation (Dempster, Laird, Rubin 1977).
"""

from dataclasses import dataclass

import numpy as np

from aiops.errors import TrainingImpossible
from aiops.types import FloatArray

STEPS = 100
ROUNDS = 50
SETTLED = 1e-3
"""Relative change of the floor below which it is found."""


@dataclass(frozen=True, slots=True)
class Platt:
    """p = floor + (1 - floor) / (1 + exp(-(slope * margin + intercept))); slope > 0 keeps the order of the margins."""

    slope: float
    intercept: float
    floor: float = 0.0

    def __call__(self, margin: FloatArray) -> FloatArray:
        """Return probabilities in 0..1; NaN stays NaN."""
        return self.floor + (1.0 - self.floor) * sigmoid(self.slope * margin + self.intercept)


def sigmoid(value: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-value)) without overflow.

    >>> sigmoid(np.array([-1e9, 0.0, 1e9])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(value))
    return np.asarray(np.where(value >= 0, 1.0, small) / (1.0 + small))


def fit_platt(margin: FloatArray, label: FloatArray, weight: FloatArray | None = None) -> Platt:
    """Return the logistic map of margins (n,) to labels (n,) in {0, 1}; deterministic, at most 100 Newton steps.

    A slope that would turn the order around (a calibration slice that contradicts training) is replaced by a constant
    probability's slope of 1e-3: the ranking stays, the confidence goes.

    Raises:
        TrainingImpossible: the labels hold only one class.
    """
    positives, negatives = float((label > 0).sum()), float((label <= 0).sum())
    if not positives or not negatives:
        raise TrainingImpossible(
            f"calibration needs both classes; it has {positives:.0f} positive and {negatives:.0f} negative rows"
        )
    weights = np.ones_like(margin) if weight is None else weight
    target = np.where(label > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    slope, intercept = _newton(margin, target, weights, fixed_slope=None)
    if slope < 1e-3:
        slope, intercept = _newton(margin, target, weights, fixed_slope=1e-3)
    return Platt(slope, intercept)


def fit_floored(margin: FloatArray, label: FloatArray) -> Platt:
    """Return the logistic map above a floor of margins (n,) to labels (n,) in {0, 1}; the plain one where that is as likely.

    A label 1 has one of two causes: one that the margin cannot show, with the floor's chance, or one that it does. Each round
    shares the labels out between them and fits both anew; deterministic, at most `ROUNDS` of them.

    Raises:
        TrainingImpossible: the labels hold only one class.
    """
    plain = fit_platt(margin, label)
    positive, weights = label > 0, np.ones_like(margin)
    count = float(positive.sum())
    floored = Platt(plain.slope, plain.intercept, 0.3 * count / label.size)
    for _ in range(ROUNDS):
        shown = sigmoid(floored.slope * margin + floored.intercept)
        chance = floored.floor + (1.0 - floored.floor) * shown
        target = np.where(positive, (count + 1) / (count + 2) * shown / chance, 1 / (label.size - count + 2))
        floor = float((floored.floor / chance[positive]).sum()) / label.size
        slope, intercept = _newton(margin, target, weights, fixed_slope=None)
        settled = abs(floor - floored.floor) <= SETTLED * floored.floor
        floored = Platt(slope, intercept, floor)
        if settled:
            break
    better = floored.slope >= 1e-3 and log_loss(label, floored(margin)) < log_loss(label, plain(margin))
    return floored if better else plain


def log_loss(label: FloatArray, probability: FloatArray) -> float:
    """Return the mean negative log likelihood of labels in {0, 1}; probabilities are kept 1e-12 from 0 and 1."""
    p = np.clip(probability, 1e-12, 1.0 - 1e-12)
    return float(-np.where(label > 0, np.log(p), np.log1p(-p)).mean())


def _newton(margin: FloatArray, target: FloatArray, weight: FloatArray, fixed_slope: float | None) -> tuple[float, float]:
    prior = float(np.average(target, weights=weight))
    point = np.array([0.0 if fixed_slope is None else fixed_slope, np.log(prior / (1 - prior))])
    loss = _loss(point, margin, target, weight)
    for _ in range(STEPS):
        p = sigmoid(point[0] * margin + point[1])
        error, curve = weight * (p - target), weight * p * (1 - p)
        gradient = np.array([(error * margin).sum(), error.sum()])
        hessian = np.array([[(curve * margin**2).sum(), (curve * margin).sum()], [(curve * margin).sum(), curve.sum()]])
        hessian += np.eye(2) * 1e-12 * (1 + np.trace(hessian))
        step = np.array([0.0, gradient[1] / hessian[1, 1]]) if fixed_slope is not None else np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-10:
            trial = point - size * step
            trial_loss = _loss(trial, margin, target, weight)
            if trial_loss <= loss - 1e-4 * size * float(gradient @ step):
                break
            size /= 2
        else:
            break
        improvement, loss, point = loss - trial_loss, trial_loss, trial
        if improvement < 1e-10 * (1 + abs(loss)):
            break
    return float(point[0]), float(point[1])


def _loss(point: FloatArray, margin: FloatArray, target: FloatArray, weight: FloatArray) -> float:
    value = point[0] * margin + point[1]
    return float((weight * (np.logaddexp(0.0, value) - target * value)).sum())
