"""Weights of an alarm's course from alarms of which it is known whether anything began: logistic regression, penalised.

Source: Hosmer, Lemeshow, "Applied Logistic Regression" (iteratively reweighted least squares); ridge on standardised values.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from aiops.errors import TrainingImpossible
from aiops.types import FloatArray
from models.rca.alarm_course import AlarmCourse, CourseWeights

PENALTY: Final = 3.0
ROUNDS: Final = 50
MOST_STEP: Final = 1e-8


def fitted_course(courses: Sequence[AlarmCourse], is_false: npt.NDArray[np.bool_]) -> CourseWeights:
    """Return the weights of the least penalised log loss; `is_false` (n,) = nothing began. Deterministic.

    Raises:
        TrainingImpossible: no alarm is false, or all are.
    """
    if is_false.all() or not is_false.any():
        raise TrainingImpossible(
            f"{int(is_false.sum())} of {is_false.size} alarms are false; both kinds are needed: give more seeds"
        )
    values = np.stack([course.vector() for course in courses])
    mean, spread = values.mean(axis=0), np.maximum(values.std(axis=0), 1e-9)
    design = np.column_stack([(values - mean) / spread, np.ones(len(values))])
    weights = _least_loss(design, is_false.astype(np.float64))
    slopes = weights[:-1] / spread
    return CourseWeights(*(round(float(weight), 3) for weight in (*slopes, weights[-1] - slopes @ mean)))


def _least_loss(design: FloatArray, truth: FloatArray) -> FloatArray:
    """Return Newton's solution (features,); the constant, the last, is not penalised."""
    penalty = np.diag([*np.full(design.shape[1] - 1, PENALTY), 0.0])
    weights: FloatArray = np.zeros(design.shape[1])
    for _ in range(ROUNDS):
        share = 1.0 / (1.0 + np.exp(-np.clip(design @ weights, -30.0, 30.0)))
        gradient = design.T @ (truth - share) - penalty @ weights
        curvature = (design * (share * (1.0 - share))[:, None]).T @ design + penalty
        step = np.linalg.solve(curvature, gradient)
        weights = weights + step
        if float(np.abs(step).max()) < MOST_STEP:
            break
    return weights
