"""The partition of a series: of its id alone, within bounds, and about as many series in each."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from data_contracts.series.key import SeriesKey, series_ids
from data_contracts.series.series_partition import series_partition

IDS = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(IDS, max_size=20), st.integers(1, 64))
def test_it_is_the_upper_half_of_the_id_modulo_the_partitions(ids: list[int], partitions: int) -> None:
    numbers = series_partition(np.array(ids, np.int64), partitions)

    assert numbers.dtype == np.int64
    assert numbers.tolist() == [((series_id % 2**64) >> 33) % partitions for series_id in ids]


@given(arrays(np.int64, st.integers(0, 50), elements=IDS), st.integers(1, 8))
def test_a_series_is_alone_where_it_is_among_others(ids: "np.ndarray[tuple[int], np.dtype[np.int64]]", partitions: int) -> None:
    among_others = series_partition(ids[::2], partitions)

    assert among_others.tolist() == [int(series_partition(ids[at : at + 1], partitions)[0]) for at in range(0, len(ids), 2)]


@pytest.mark.parametrize("partitions", [2, 3, 7])
def test_the_series_of_one_service_are_spread_evenly(partitions: int) -> None:
    ids = series_ids([SeriesKey("default", "web", "m", (("pod", str(pod)),)) for pod in range(10_000)])

    counts = np.bincount(series_partition(ids, partitions), minlength=partitions)

    assert counts.min() > 0.9 * 10_000 / partitions


def test_no_partition_is_refused() -> None:
    with pytest.raises(ValueError, match="AIOPS_BROKER__PARTITIONS"):
        series_partition(np.array([1]), 0)
