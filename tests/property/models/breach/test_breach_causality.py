"""A forecast at a row knows rows up to it only, whatever comes after, and whatever the clock of the series does."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.breach.breach_features import breach_features, reference_of


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    cut=st.integers(1, 899),
    step_s=st.sampled_from([60.0, 300.0, 3_600.0]),
    disorder=st.booleans(),
)
def test_rows_after_t_change_nothing_up_to_t(seed: int, cut: int, step_s: float, disorder: bool) -> None:
    random = np.random.default_rng(seed)
    value = np.round(random.standard_t(2, 900), 1)
    time_s = step_s * np.arange(900.0)
    if disorder:
        time_s += random.normal(0.0, 3.0 * step_s, 900)
    reference = reference_of(random.standard_t(2, 300), 3.0, 12)
    whole = breach_features(value, time_s, reference, 12)
    later, later_s = value.copy(), time_s.copy()
    later[cut:] = random.standard_t(1, 900 - cut) * 10.0
    later_s[cut:] += random.uniform(0.0, 1e6)
    np.testing.assert_array_equal(breach_features(later, later_s, reference, 12)[:cut], whole[:cut])
    np.testing.assert_array_equal(breach_features(value[:cut], time_s[:cut], reference, 12), whole[:cut])
