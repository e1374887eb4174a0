"""The table of series against a dictionary: any hashes, in any order, forgotten at any time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serving.ingest.receive.series_table import Homes, SeriesTable
from serving.ingest.receive.slot_kernels import REFUSED, UNKNOWN

HASHES = st.integers(0, 40)


def homes(count: int) -> Homes:
    zeros = np.zeros(count, np.int64)
    return Homes(zeros, zeros, zeros, zeros)


def as_hashes(numbers: list[int]) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    """Return hashes of which many meet in one place of the table."""
    return np.array([number << 40 | number % 3 for number in numbers], np.uint64)


@given(st.lists(st.one_of(st.lists(HASHES, min_size=1, unique=True), st.integers(0, 5)), max_size=12))
def test_a_table_knows_what_a_dictionary_knows(steps: list[list[int] | int]) -> None:
    table, known, seen = SeriesTable(), dict[int, int](), dict[int, int]()
    for now, step in enumerate(steps, 1):
        if isinstance(step, int):
            gone = [series for series, at in seen.items() if at < now - step]
            assert table.forget(now - step) == len(gone)
            for series in gone:
                del seen[series]
            known = {number: series for number, series in known.items() if series in seen}
            continue
        hashes = as_hashes(step)
        rows, read = table.look_up(hashes, now)
        unknown = np.flatnonzero(rows.slot == UNKNOWN)
        assert set(unknown.tolist()) <= set(read.tolist())
        assert {step[row] for row in unknown.tolist()} == set(step) - set(known)
        ids = np.array([number // 2 + 1 for number in step], np.int64)
        slots = table.slots.series_id[np.maximum(rows.slot, 0)]
        assert all(slots[row] == ids[row] for row in range(len(step)) if row not in set(unknown.tolist()))
        if len(unknown):
            table.define(hashes[unknown], ids[unknown], homes(len(unknown)), now)
        known.update((number, number // 2 + 1) for number in step)
        seen.update((number // 2 + 1, now) for number in step)
        assert len(table) == len(seen)


def test_a_table_grows_and_keeps_all() -> None:
    table, count = SeriesTable(), 20_000
    hashes = np.random.default_rng(1).integers(1, 2**63, count).astype(np.uint64)
    ids = np.arange(count) + 5
    for first in range(0, count, 700):
        part = slice(first, first + 700)
        table.define(hashes[part], ids[part], homes(len(ids[part])), 1)
    rows, _ = table.look_up(hashes, 2)
    assert (len(table), int((rows.slot == UNKNOWN).sum())) == (count, 0)
    assert (table.slots.series_id[rows.slot] == ids).all()
    assert (table.slots_of_ids(ids) == rows.slot).all()
    assert table.slots_of_ids(np.array([-1])).tolist() == [UNKNOWN]


def test_refused_series_are_bounded_and_forgotten() -> None:
    table = SeriesTable()
    hashes = np.arange(1, 11).astype(np.uint64) << np.uint64(30)
    table.refuse(hashes, np.full(10, 20), most=6)
    rows, unknown = table.look_up(hashes, 1)
    assert (table.refused, len(unknown)) == (6, 4)
    assert (rows.slot[:6] == REFUSED - 20).all()
    table.forget(0)
    assert len(table.look_up(hashes, 1)[1]) == 10
