"""Sequences: a function of the last 60 ticks alone, however the rows are cut, saved and restored."""

from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.errors import StateError
from aiops.features.sequences import RING, Sequences
from data_contracts.schemas.telemetry_schemas import SEQUENCE_FEATURES, SEQUENCE_SIGNALS, SERVICE_FEATURES, SERVICE_FEATURES_TABLE

STEP_US = 60_000_000
START = int(datetime(2025, 3, 1, tzinfo=UTC).timestamp() * 1e6)


def rows(keys: list[tuple[int, int]], seed: int = 0) -> pa.RecordBatch:
    """Return rows for (tick number, service number), in order, with a few unknown values."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(keys), len(SERVICE_FEATURES)))
    values[rng.random(values.shape) < 0.1] = np.nan
    ticks = pa.array([START + tick * STEP_US for tick, _ in keys], pa.int64()).cast(pa.timestamp("us", "UTC"))
    names = pa.array([f"s{service}" for _, service in keys], pa.string())
    return pa.RecordBatch.from_arrays([ticks, ticks, names, *map(pa.array, values.T)], schema=SERVICE_FEATURES_TABLE)


keys = st.lists(st.tuples(st.integers(0, 150), st.integers(0, 25)), min_size=1, max_size=400, unique=True).map(sorted)


def by_hand(batch: pa.RecordBatch, place: int) -> np.ndarray:
    """Return the sequence of one row, from its definition."""
    ticks = batch.column("event_timestamp").cast(pa.int64()).to_numpy() // STEP_US
    names = np.array(batch.column("service").to_pylist())
    values = np.stack([batch.column(name).to_numpy(zero_copy_only=False) for name in SEQUENCE_SIGNALS], 1).astype(np.float32)
    own = (names == names[place]) & (np.arange(len(ticks)) <= place)
    result = np.full((12, len(SEQUENCE_SIGNALS)), np.nan)
    for step in range(12):
        first = ticks[place] - 59 + 5 * step
        inside = own & (ticks >= first) & (ticks < first + 5)
        if not inside.any():
            return np.full(len(SEQUENCE_FEATURES), np.nan)
        for signal in range(len(SEQUENCE_SIGNALS)):
            known = values[inside, signal][np.isfinite(values[inside, signal])]
            if known.size:
                result[step, signal] = known.astype(np.float64).mean()
    return result.reshape(-1)


@settings(max_examples=40, deadline=None)
@given(keys, st.lists(st.integers(0, 400), max_size=5))
def test_split_saved_and_restored_equals_whole(asked: list[tuple[int, int]], cuts: list[int]) -> None:
    batch = rows(asked)
    single = Sequences(STEP_US)
    whole = single.update(batch)
    split, parts = Sequences(STEP_US), []
    edges = sorted({0, len(asked), *(cut for cut in cuts if cut < len(asked))})
    for begin, end in pairwise(edges):
        parts.append(split.update(batch.slice(begin, end - begin)))
        split = Sequences.restore(STEP_US, split.snapshot())
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert {name: array.tobytes() for name, array in split.snapshot().items()} == {
        name: array.tobytes() for name, array in single.snapshot().items()
    }


def test_it_is_what_the_definition_says() -> None:
    dense = [(tick, service) for tick in range(90) for service in range(3) if service or tick % 7]
    batch = rows(dense)
    computed = Sequences(STEP_US).update(batch)
    known = np.isfinite(computed).any(axis=1)
    assert known.any()
    assert not known.all()
    for place in range(0, len(dense), 11):
        np.testing.assert_allclose(computed[place], by_hand(batch, place), rtol=1e-6)


def test_a_gap_of_a_span_silences_a_service_for_an_hour_and_nobody_else() -> None:
    present = [(tick, service) for tick in range(200) for service in range(2) if service or not 70 <= tick < 80]
    batch = rows(present)
    whole = np.asarray(np.isfinite(Sequences(STEP_US).update(batch)).any(axis=1))
    of = dict(zip(present, whole.tolist(), strict=True))
    assert of[(60, 0)]
    assert of[(69, 0)]
    assert not of[(80, 0)]
    assert not of[(130, 0)]
    assert of[(140, 0)]
    assert all(of[(tick, 1)] for tick in range(60, 200))


def test_memory_is_bounded_by_the_services_that_are_alive() -> None:
    passing = [(tick, tick // 5) for tick in range(3000)]
    made = Sequences(STEP_US)
    made.update(rows(passing))
    for begin in range(0, 3000, 50):
        made.update(rows([(3000 + begin + tick, (begin + tick) // 5) for tick in range(50)]))
    state = made.snapshot()
    assert len(state["tick"]) <= RING // 5 + 1
    assert made.room <= 1024  # one big first call made room; it never grows with time
    with pytest.raises(StateError, match="remove the checkpoint"):
        Sequences.restore(STEP_US, {**state, "tick": state["tick"][:, :5]})
