"""Points as arrays: the same results as batches, and names asked for new series only."""

from collections.abc import Sequence

import numpy as np
import pytest

from aiops.errors import ContractError
from aiops.features.engine import EngineConfig, FeatureEngine
from aiops.features.series_index import name_hashes
from aiops.features.series_points import SeriesPoints
from aiops.topology.graph import ServiceGraph
from aiops.types import IntArray
from data_contracts.series.series_name import SeriesName
from tests.testing.series_names import named

NAMES = [named(text) for text in ("web|latency_p99_ms", "web|error_rate", 'cart|queue_length{pod="a"}')]
GRAPH = ServiceGraph.from_pairs([])
START = 1_760_000_000_000_000


class Asked:
    """Names by row, and the rows that were asked for."""

    def __init__(self, number: IntArray) -> None:
        self._number = number
        self.rows: list[int] = []

    def __call__(self, rows: IntArray) -> Sequence[SeriesName]:
        self.rows += rows.tolist()
        return [NAMES[number] for number in self._number[rows]]


def points(number: IntArray, first_minute: int = 0) -> tuple[SeriesPoints, Asked]:
    """Return a point a minute of the series in `number`, round by round."""
    asked = Asked(number)
    time_us = START + 60_000_000 * (first_minute + np.arange(number.size) // len(NAMES))
    ids = np.array([name.series_id for name in NAMES], np.int64)
    return SeriesPoints(time_us, ids[number], name_hashes(NAMES)[number], np.linspace(0.0, 0.5, number.size), asked), asked


def test_names_are_asked_for_once_a_series_in_order_of_arrival() -> None:
    engine = FeatureEngine(EngineConfig(), GRAPH)
    batch, asked = points(np.array([2, 0, 2, 0]))
    engine.update_arrays(batch)
    assert asked.rows == [0, 1]
    batch, asked = points(np.array([0, 1, 2, 1]), 5)
    output = engine.update_arrays(batch)
    assert asked.rows == [1]
    assert list(engine.series) == [NAMES[2], NAMES[0], NAMES[1]]
    assert list(engine.services) == ["cart", "web"]
    assert engine.services_of(output.slot).tolist() == [1, 1, 0, 1]


def test_some_of_the_points_keep_their_names() -> None:
    batch, _ = points(np.array([2, 0, 1, 0]))
    kept = batch.taken(np.array([False, True, True, False]))
    assert kept.series_id.tolist() == [NAMES[0].series_id, NAMES[1].series_id]
    assert list(kept.names(np.array([1, 0]))) == [NAMES[1], NAMES[0]]
    assert batch.taken(np.ones(4, bool)) is batch


def test_columns_of_other_lengths_are_refused() -> None:
    batch, _ = points(np.array([0, 1]))
    with pytest.raises(ContractError, match="one time, id, hash and value a point"):
        SeriesPoints(batch.time_us, batch.series_id, batch.name_hash, batch.value[:1], batch.names)
    with pytest.raises(ContractError, match="one time a row"):
        FeatureEngine(EngineConfig(), GRAPH).update_arrays(batch, np.zeros(1, np.int64))
