"""Calibration of margins to probabilities: Platt's logistic map, fitted on its own slice, stored as two numbers.

Source: Platt, "Probabilistic outputs for support vector machines", 1999; fitted as in Lin, Lin, Weng, "A note on Platt's
probabilistic outputs", 2007 (Newton steps with back-tracking, smoothed targets).
"""

from dataclasses import dataclass

import numpy as np

from aiops.errors import TrainingImpossible
from aiops.types import FloatArray

STEPS = 100


@dataclass(frozen=True, slots=True)
class Platt:
    """p = 1 / (1 + exp(-(slope * margin + intercept))); slope > 0 keeps the order of the margins."""

    slope: float
    intercept: float

    def __call__(self, margin: FloatArray) -> FloatArray:
        """Return probabilities in 0..1; NaN stays NaN."""
        return sigmoid(self.slope * margin + self.intercept)


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
