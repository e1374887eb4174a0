"""Looks at services: what an excess is measured against, who strays anew, and that nothing known is told apart from well."""

import numpy as np

from aiops.topology.graph import ServiceGraph
from aiops.types import FloatArray
from models.rca.grid import SeriesGrid
from models.rca.ranking import BEYOND, MOST, RootCauseRanker
from models.rca.service_looks import STRAYS, LookedAt, excess_of, service_state, well_services
from models.rca.signals import best_series

SERIES = tuple((service, metric) for service in ("cart", "front") for metric in ("error_rate", "latency_p50_ms"))
MINUTE_US = 60_000_000


def grid(values: FloatArray) -> SeriesGrid:
    return SeriesGrid(np.arange(values.shape[0], dtype=np.int64) * MINUTE_US, SERIES, values)


def calm_values(steps: int) -> FloatArray:
    """Return errors of about .01 and latencies of about 20 ms."""
    spread = np.random.default_rng(1).normal(0.0, 1.0, (steps, len(SERIES)))
    return np.array([0.01, 20.0, 0.01, 20.0]) + spread * np.array([0.001, 1.0, 0.001, 1.0])


RANKER = RootCauseRanker.fit(grid(calm_values(300)), ServiceGraph.from_pairs([("front", "cart")]))


def test_calm_services_have_no_excess_and_are_well() -> None:
    window = grid(calm_values(10))
    state = service_state(window, RANKER, LookedAt(("cart", "front")))
    assert (state.error_excess, state.latency_excess, state.new_services) == (0.0, 0.0, 0)
    assert state.points == 40
    assert well_services(window, RANKER) == {"cart", "front"}


def test_an_excess_is_the_worst_mean_in_spreads_beyond_and_that_of_the_service_further_away() -> None:
    values = calm_values(10)
    values[4:7, 1] += 30.0
    values[:, 2] += 0.05
    state = service_state(grid(values), RANKER, LookedAt(("cart", "front"), steps=3))
    width = RANKER.width[SERIES[1]]
    expected = (values[4:7, 1].mean() - RANKER.baseline[SERIES[1]]) / width - BEYOND
    assert np.isclose(state.latency_excess, expected)
    assert state.error_excess == excess_of(grid(values), RANKER, "errors", 3)["front"] > 5
    assert service_state(grid(values), RANKER, LookedAt(("cart",))).error_excess == 0.0


def test_one_odd_value_counts_less_than_a_lasting_one_and_no_excess_is_without_bound() -> None:
    odd, lasting = calm_values(10), calm_values(10)
    odd[5, 1] += 30.0
    lasting[5:8, 1] += 30.0
    excess = [excess_of(grid(values), RANKER, "latency", 3)["cart"] for values in (odd, lasting)]
    assert excess[0] < 0.5 * excess[1]
    assert excess_of(grid(lasting * 1e6), RANKER, "latency", 3)["cart"] == MOST


def test_what_is_less_than_straying_is_no_excess() -> None:
    values = calm_values(10)
    width = RANKER.width[SERIES[0]]
    for spreads, expected in ((BEYOND + STRAYS - 0.1, 0.0), (BEYOND + STRAYS + 0.1, STRAYS + 0.1)):
        values[:, 0] = RANKER.baseline[SERIES[0]] + spreads * width
        assert np.isclose(excess_of(grid(values), RANKER, "errors", 5)["cart"], expected)


def test_services_that_were_well_and_stray_are_new_ones() -> None:
    values = calm_values(10)
    values[:, 3] += 30.0
    look = service_state(grid(values), RANKER, LookedAt(("cart",), frozenset({"front", "cart"}), 2))
    assert (look.new_services, look.alerts_firing) == (1, 2)
    assert well_services(grid(values), RANKER) == {"cart"}
    assert service_state(grid(values), RANKER, LookedAt(("cart",), frozenset({"cart"}))).new_services == 0


def test_without_telemetry_nothing_is_known() -> None:
    nothing = grid(np.full((5, len(SERIES)), np.nan))
    state = service_state(nothing, RANKER, LookedAt(("cart",)))
    assert state.points == 0
    assert state.error_excess == 0.0


def test_what_is_measured_is_looked_at_before_what_a_few_sampled_requests_say() -> None:
    series = (*SERIES, ("cart", "span.server.latency_mean_s"), ("mail", "span.server.latency_mean_s"))
    looked_at = {series[number] for number in best_series(SeriesGrid(np.arange(1), series, np.ones((1, 6))), "latency").values()}
    assert looked_at == {("cart", "latency_p50_ms"), ("front", "latency_p50_ms"), ("mail", "span.server.latency_mean_s")}
