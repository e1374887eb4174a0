"""Partial sums and states of services of before series had weights: read as those of calm series, none far out alone."""

from typing import Any

import numpy as np
import pyarrow as pa

from aiops.detection.held_points import HELD
from aiops.detection.service_partials import PartPartials, ServicePartials, partial_rows, partials_of
from aiops.detection.worst_points_by_service import TakenPoints
from aiops.features.feature_rows import TickBlocks
from aiops.features.partial_sums import ALL_FARTHEST, BEFORE_FARTHEST, PARTIAL_WIDTH
from aiops.features.service_features import FARTHEST
from aiops.features.service_ticks import ServiceTicks
from aiops.topology.graph import ServiceGraph
from data_contracts.series.series_name import SeriesName
from tests.testing.series_names import named

TICK_US = 1_760_000_040_000_000
SUMS = np.arange(2.0 * PARTIAL_WIDTH).reshape(2, PARTIAL_WIDTH)


class Names:
    """All points are of one series."""

    def name_of(self, _number: int) -> SeriesName:
        return named("cart|cpu")

    def columns_of(self, numbers: Any, known: Any) -> "list[pa.Array[Any]]":
        name = self.name_of(0)
        return [pa.array([part] * len(numbers)) for part in (name.series_id, name.metric, name.labels)]


def rows() -> pa.Table:
    """Rows of two services at one tick; the weight of each worst point is 0.5."""
    ticks, held = TickBlocks(), np.zeros(2, HELD)
    ticks.add(TICK_US, TICK_US, SUMS, np.arange(2, dtype=np.int32))
    held["severity"], held["weight"], held["finding"] = 2.0, 0.5, -1
    worst = TakenPoints(np.ones(2, np.bool_), held, Names(), {})
    partials = ServicePartials(ticks, ["cart", "web"], worst, TICK_US, "")
    return pa.Table.from_batches([partial_rows(PartPartials(1, partials))])


def of_before(whole: pa.Table) -> pa.Table:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(SUMS[:, :BEFORE_FARTHEST].reshape(-1)), BEFORE_FARTHEST)
    return whole.drop_columns(["weight"]).set_column(whole.schema.get_field_index("sums"), "sums", lists)


def test_rows_are_read_as_they_were_written() -> None:
    given = partials_of(rows()).partials
    np.testing.assert_array_equal(given.ticks.features[0], SUMS)
    assert given.worst.held["weight"].tolist() == [0.5, 0.5]


def test_rows_of_before_have_weight_1_and_nothing_alone() -> None:
    given = partials_of(of_before(rows())).partials
    np.testing.assert_array_equal(given.ticks.features[0][:, :BEFORE_FARTHEST], SUMS[:, :BEFORE_FARTHEST])
    assert given.ticks.features[0][:, ALL_FARTHEST].tolist() == [0.0, 0.0]
    assert given.worst.held["weight"].tolist() == [1.0, 1.0]


def test_a_state_of_services_of_before_goes_on() -> None:
    waiting, ticks = ServiceTicks(ServiceGraph.from_pairs(()), 2), TickBlocks()
    ticks.add(TICK_US, TICK_US, np.ones((1, PARTIAL_WIDTH)), np.zeros(1, np.int32))
    waiting.add(0, ticks, ["cart"])
    state = dict(waiting.snapshot()) | {"version": np.array([2])}
    state["sums"] = np.ascontiguousarray(state["sums"][:, :BEFORE_FARTHEST])
    restored = ServiceTicks.restore(ServiceGraph.from_pairs(()), 2, state)
    restored.close_through(0, TICK_US)
    assert restored.close_through(1, TICK_US).features([FARTHEST]).tolist() == [[0.0]]
