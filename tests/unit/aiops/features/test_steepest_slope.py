"""The steepest slope of a service is the same in whatever order its series come."""

import itertools
import math

import pytest

from aiops.features.partial_sums import is_steeper


@pytest.mark.parametrize("slopes", [(0.5, -0.5, 0.1), (-2.0, 1.0, 2.0), (0.0, -0.0, 0.0), (-1.0, -1.0, 0.5)])
def test_order_does_not_matter(slopes: tuple[float, ...]) -> None:
    answers = set()
    for order in itertools.permutations(slopes):
        steepest = math.nan
        for slope in order:
            steepest = slope if is_steeper(slope, steepest) else steepest
        answers.add(steepest)
    assert answers == {max(slopes, key=lambda slope: (abs(slope), slope))}
