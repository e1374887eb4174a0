"""Names of series by id: whatever the order and the cut of definitions, the first of each id is found and no other."""

from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.stream.scored_points import NAMES, NamesById

DEFINITIONS = st.lists(
    st.lists(st.tuples(st.integers(-3, 12), st.sampled_from("abc"), st.sampled_from("mn"), st.text(max_size=3)))
)


def table(rows: list[Any]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [[], [], [], []]
    cells: dict[str, Any] = {"series_id": pa.array(columns[0], pa.int64())}
    cells |= {name: pa.array(column, pa.string()) for name, column in zip(NAMES, columns[1:], strict=True)}
    return pa.table(cells)


@settings(deadline=None)
@given(DEFINITIONS, st.lists(st.integers(-5, 14)))
def test_the_first_definition_of_an_id_counts(batches: list[list[Any]], wanted: list[int]) -> None:
    names, first = NamesById(), dict[int, tuple[str, ...]]()
    for batch in batches:
        names.learn(table(batch))
        for series_id, *texts in batch:
            first.setdefault(series_id, tuple(texts))
    assert len(names) == len(first)
    rows = names.rows_of(np.array(wanted, np.int64))
    assert [row >= 0 for row in rows] == [series_id in first for series_id in wanted]
    known = [series_id for series_id in wanted if series_id in first]
    if known:
        answers = names.names(rows[rows >= 0]).to_pylist()
        assert [tuple(answer[name] for name in NAMES) for answer in answers] == [first[series_id] for series_id in known]
