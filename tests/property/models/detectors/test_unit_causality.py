"""Scores of units: none depends on a later row, and a stream cut between any two times gives what the whole gives."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from aiops.types import FloatArray, SeriesBatch
from models.detectors.unit_normal import UnitConfig
from models.detectors.unit_surprise import UnitSurprise
from tests.testing.unit_tables import DAY_ROWS, STEP_S, batch_of_unit, daily

TRAIN_ROWS = 4 * DAY_ROWS
WHOLE = daily(5, metrics=4)
MODEL = UnitSurprise.fit(batch_of_unit(WHOLE[:TRAIN_ROWS]), UnitConfig(step_s=STEP_S, days=3))
ROWS = len(WHOLE) - TRAIN_ROWS


def odd(seed: int) -> FloatArray:
    """Return a test part with shifts, spikes and holes."""
    rng = np.random.default_rng(seed)
    values = WHOLE[TRAIN_ROWS:].copy()
    for _ in range(4):
        begin = int(rng.integers(0, ROWS - 20))
        values[begin : begin + int(rng.integers(1, 20)), int(rng.integers(0, 4)) :] *= rng.choice([0.0, 1.2, 5.0, np.nan])
    return values


@given(st.integers(0, 2**32 - 1), st.integers(1, ROWS - 1))
def test_what_comes_later_changes_no_score(seed: int, cut: int) -> None:
    values = odd(seed)
    whole = MODEL.score(batch_of_unit(values, TRAIN_ROWS))
    changed = values.copy()
    changed[cut:] = np.random.default_rng(seed).normal(size=changed[cut:].shape) * 1e3
    after = MODEL.score(batch_of_unit(changed, TRAIN_ROWS))
    np.testing.assert_array_equal(after[: cut * 4], whole[: cut * 4])


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, ROWS), max_size=4))
def test_a_stream_cut_between_times_gives_the_whole(seed: int, cuts: list[int]) -> None:
    values = odd(seed)
    stream, parts = MODEL.stream(), []
    edges = [0, *sorted(cuts), ROWS]
    for begin, end in pairwise(edges):
        parts.append(stream.score(batch_of_unit(values[begin:end], TRAIN_ROWS + begin)))
        stream = MODEL.stream({name: array.copy() for name, array in stream.snapshot().items()})
    np.testing.assert_array_equal(np.concatenate(parts), MODEL.score(batch_of_unit(values, TRAIN_ROWS)))


JUMPS = st.lists(st.sampled_from([-2, 0, 1, 1, 1, 5, 11, 12, 13, 400, 900, 5000]), min_size=1, max_size=30)
"""Steps between points of 5 min: behind, at once, on, to the edge of an hour and beyond, beyond a day and beyond what is kept."""


def leaping(jumps: list[int]) -> tuple[SeriesBatch, list[int]]:
    """Return rows that lie some steps apart, and the places where a new time of the stream begins."""
    at = np.cumsum([0, *jumps])
    rows = [batch_of_unit(WHOLE[number % 100 + TRAIN_ROWS :][:1], TRAIN_ROWS + int(row)).table for number, row in enumerate(at)]
    table = pa.Table.from_batches(rows).unify_dictionaries().combine_chunks()
    return SeriesBatch(table.to_batches()[0]), [4 * place for place, jump in enumerate(jumps, 1) if jump]


@given(JUMPS, st.data())
def test_leaps_of_the_clock_are_the_same_however_a_stream_is_cut(jumps: list[int], data: st.DataObject) -> None:
    batch, places = leaping(jumps)
    cuts = data.draw(st.lists(st.sampled_from(places), max_size=5)) if places else []
    stream, parts = MODEL.stream(), []
    for begin, end in pairwise([0, *sorted(cuts), len(batch)]):
        parts.append(stream.score(SeriesBatch(batch.table.slice(begin, end - begin))))
        stream = MODEL.stream({name: array.copy() for name, array in stream.snapshot().items()})
    whole = MODEL.score(batch)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    for place in places:
        np.testing.assert_array_equal(MODEL.score(SeriesBatch(batch.table.slice(0, place))), whole[:place])
