"""Names of series: what many have in common is held once, and packed once."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aiops.features.engine_snapshot import PackedNames
from aiops.features.series_index import SeriesIndex
from data_contracts.series.series_name import SeriesName


def test_series_share_the_texts_of_their_service_and_metric() -> None:
    index = SeriesIndex()
    given = [
        SeriesName(number, "".join(["ca", "rt"]), "".join(["cpu", "_utilization"]), f'{{"core":"{number}"}}') for number in (1, 2)
    ]
    assert given[0].service is not given[1].service
    index.add(given)
    first, second = index.names
    assert index.names == given
    assert first.service is second.service
    assert first.metric is second.metric


@given(st.lists(st.lists(st.text(max_size=4), max_size=4), max_size=5))
def test_names_packed_part_by_part_are_those_packed_at_once(parts: list[list[str]]) -> None:
    names: list[SeriesName] = []
    by_parts = PackedNames()
    for part in parts:
        names += [SeriesName(len(names) + number, text, f"m{text}", text * 2) for number, text in enumerate(part)]
        packed, whole = by_parts.of(names), PackedNames().of(names)
        assert packed.keys() == whole.keys()
        for name, array in whole.items():
            np.testing.assert_array_equal(packed[name], array)
            assert packed[name].dtype == array.dtype
