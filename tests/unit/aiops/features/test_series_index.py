"""Names of series: they come back as they were given, whole or part by part, and from a snapshot."""

import threading

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.errors import StateError
from aiops.features.series_index import SeriesIndex, hashes_of
from aiops.features.series_names import SeriesNames
from data_contracts.series.series_name import SeriesName
from data_contracts.series.text import text_of

PARTS = ("series_id", "service", "metric", "labels", "text")


def named(first: int, texts: list[str]) -> list[SeriesName]:
    return [SeriesName(first + place, text, f"m{text}", f'{{"k":"{place}"}}') for place, text in enumerate(texts)]


@given(st.lists(st.lists(st.text("aä|{\\", min_size=1, max_size=4), max_size=4), max_size=5))
def test_names_added_part_by_part_come_back_as_given(parts: list[list[str]]) -> None:
    given_names: list[SeriesName] = []
    names = SeriesNames()
    for part in parts:
        new = named(len(given_names), part)
        names.add(new)
        given_names += new
        assert list(names) == given_names == names[:]
        numbers = pa.array([*reversed(range(len(names))), None], pa.int32())
        for column in PARTS:
            expected = [getattr(name, column) for name in given_names][::-1]
            assert names.column(column, numbers).to_pylist() == [*expected, None]
    back = SeriesNames.restore(names.snapshot())
    assert list(back) == given_names
    np.testing.assert_array_equal(hashes_of(back), hashes_of(names))


def test_a_snapshot_does_not_change_with_what_comes_after() -> None:
    names = SeriesNames.of(named(0, ["a", "b"]))
    state = names.snapshot()
    kept = {name: array.copy() for name, array in state.items()}
    names.add(named(2, ["c"] * 500))
    for name, array in kept.items():
        np.testing.assert_array_equal(state[name], array)
    assert len(SeriesNames.restore(state)) == 2


def test_a_number_beyond_the_last_is_refused() -> None:
    names = SeriesNames.of(named(0, ["a"]))
    assert names[-1] == names[0]
    with pytest.raises(IndexError, match="series 1 of 1"):
        names[1]


@pytest.mark.parametrize("column", ["labels_bytes", "service_bytes", "series_id"])
def test_columns_that_do_not_fit_are_refused(column: str) -> None:
    state = dict(SeriesNames.of(named(0, ["a", "b"])).snapshot())
    state[column] = state[column][:-1]
    with pytest.raises(StateError):
        SeriesNames.restore(state)


def test_texts_that_are_no_utf_8_are_refused() -> None:
    state = dict(SeriesNames.of(named(0, ["a", "b"])).snapshot())
    state["labels_bytes"] = np.full_like(state["labels_bytes"], 0xFF)
    with pytest.raises(StateError, match="no UTF-8"):
        SeriesNames.restore(state)


def test_facts_of_series_follow_from_their_metric() -> None:
    index = SeriesIndex()
    floors = [*index.add([SeriesName(1, "cart", "cpu_utilization", "")])]
    floors += [*index.add([SeriesName(2, "web", "anything", ""), SeriesName(3, "cart", "cpu_utilization", "")])]
    assert floors[0] == floors[2] > floors[1] == 0.0
    facts = index.facts
    assert (facts.service.tolist(), facts.metric.tolist()) == ([0, 1, 0], [0, 1, 0])
    assert facts.limit[0] == 1.0
    assert np.isnan(facts.limit[1])


def test_readers_beside_the_one_that_adds_see_whole_names() -> None:
    names, ended, wrong = SeriesNames(), threading.Event(), []

    def read() -> None:
        while not ended.is_set():
            count = len(names)
            numbers = pa.array(np.arange(count, dtype=np.int32))
            columns = zip(*(names.column(part, numbers).to_pylist() for part in ("service", "labels", "text")), strict=True)
            wrong.extend(row for row in columns if row[2] != text_of(row[0], f"m{row[0]}", row[1]))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for first in range(0, 5_000, 50):
        names.add(named(first, [f"s{number}" for number in range(first, first + 50)]))
    ended.set()
    for reader in readers:
        reader.join()
    assert len(names) == 5_000
    assert not wrong
