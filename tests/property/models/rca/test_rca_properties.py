"""Root causes do not depend on names, order, units or what comes later; calls are learned with few false ones."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.errors import ConfigurationError
from aiops.incidents.root_cause import RootCauseReport
from aiops.topology.graph import ServiceGraph
from models.rca.explain import explain
from models.rca.granger import GrangerConfig, granger_edges
from models.rca.grid import SeriesGrid
from tests.testing.fakes_incidents import CALM_MIN, SHOP, Strays, at, shop_grid, shop_inputs

SERVICES = SHOP.services
METRICS = ("latency_p99_ms", "error_rate", "cpu_utilization")
SIZE = {"latency_p99_ms": 300.0, "error_rate": 0.2, "cpu_utilization": 0.4}
STRAYS = st.dictionaries(
    st.tuples(st.sampled_from(SERVICES), st.sampled_from(METRICS)),
    st.integers(CALM_MIN + 2, CALM_MIN + 14),
    min_size=1,
    max_size=5,
)
FEW = settings(max_examples=15, deadline=None)


def made(chosen: dict[tuple[str, str], int]) -> Strays:
    return {(service, metric): (since, SIZE[metric]) for (service, metric), since in chosen.items()}


def shares(report: RootCauseReport) -> dict[str, float]:
    return {cause.service: cause.probability for cause in report.causes}


@FEW
@given(STRAYS, st.permutations(SERVICES), st.randoms(use_true_random=False))
def test_names_and_order_change_nothing(chosen: dict[tuple[str, str], int], other: list[str], random: object) -> None:
    grid = shop_grid(made(chosen))
    named = dict(zip(SERVICES, other, strict=True))
    columns = list(range(len(grid.series)))
    random.shuffle(columns)  # type: ignore[attr-defined]
    series = tuple((named[grid.series[number][0]], grid.series[number][1]) for number in columns)
    pairs = [(named[caller], named[callee]) for caller in SERVICES for callee in SHOP.callees(caller)]
    renamed = SeriesGrid(grid.time_us, series, grid.values[:, columns])
    plain = shares(explain(shop_inputs(grid, {"web": 12, "cart": 13})))
    graph = ServiceGraph.from_pairs(reversed(pairs))
    moved = shares(explain(shop_inputs(renamed, {named["web"]: 12, named["cart"]: 13}, graph)))
    assert {named[service]: share for service, share in plain.items()} == pytest.approx(moved, abs=1e-9)


@FEW
@given(STRAYS, st.sampled_from([1e-3, 1e3]))
def test_units_change_nothing(chosen: dict[tuple[str, str], int], factor: float) -> None:
    grid = shop_grid(made(chosen))
    scale = np.array([factor if metric == "latency_p99_ms" else 1.0 for _, metric in grid.series])
    scaled = SeriesGrid(grid.time_us, grid.series, grid.values * scale)
    alerted = {"web": 12}
    assert shares(explain(shop_inputs(grid, alerted))) == pytest.approx(shares(explain(shop_inputs(scaled, alerted))), rel=1e-6)


@FEW
@given(STRAYS, st.integers(8, 14))
def test_nothing_after_the_report_is_read(chosen: dict[tuple[str, str], int], minute: int) -> None:
    grid = shop_grid(made(chosen))
    known = replace(shop_inputs(grid, {"web": 5}), made_at=at(CALM_MIN + minute))
    later = grid.values.copy()
    later[CALM_MIN + minute + 1 :] = 1e6
    changed = replace(shop_inputs(SeriesGrid(grid.time_us, grid.series, later), {"web": 5}), made_at=known.made_at)
    assert explain(known) == explain(changed)


@FEW
@given(STRAYS, st.sampled_from(SERVICES), st.floats(0.05, 0.3))
def test_more_evidence_never_lowers_the_rank(chosen: dict[tuple[str, str], int], service: str, more: float) -> None:
    since = CALM_MIN + 6

    def rank(level: float) -> int:
        strays = {**made(chosen), (service, "cpu_utilization"): (since, level)}
        without = {pair: stray for pair, stray in strays.items() if pair[0] != service or pair[1] == "cpu_utilization"}
        return list(shares(explain(shop_inputs(shop_grid(without), {"web": 12})))).index(service)

    assert rank(0.1 + more) <= rank(0.1)


def latencies(columns: dict[str, "np.typing.NDArray[np.float64]"], traffic: bool = False) -> SeriesGrid:
    steps = len(next(iter(columns.values())))
    metric = "requests_per_second" if traffic else "latency_p50_ms"
    names = tuple((service, metric) for service in columns)
    return SeriesGrid(np.arange(steps, dtype=np.int64) * 60_000_000, names, np.stack(list(columns.values()), axis=1))


def smooth(rng: np.random.Generator, steps: int, count: int) -> dict[str, "np.typing.NDArray[np.float64]"]:
    """Return series that remember 0.8 of their last step."""
    noise, smoothed = rng.normal(size=(steps, count)), np.zeros((steps, count))
    for step in range(1, steps):
        smoothed[step] = 0.8 * smoothed[step - 1] + noise[step]
    return {f"s{number:02}": smoothed[:, number] for number in range(count)}


NO_CALLS = ServiceGraph.from_pairs([])


def test_learned_calls_are_true_ones_and_few_are_false() -> None:
    false, true_calls, real = [], 0, 0
    for seed in range(12):
        columns = smooth(np.random.default_rng(seed), 300, 8)
        true = {(f"s{number + 1:02}", f"s{number:02}") for number in range(0, 8, 2)}
        for caller, callee in true:
            columns[caller] = columns[caller] + 0.6 * np.roll(columns[callee], 2)
        edges = granger_edges(latencies(columns), NO_CALLS)
        learned = {(edge.caller, edge.callee) for edge in edges}
        assert all(edge.lag_steps == 2 and edge.weight > 0.95 for edge in edges if (edge.caller, edge.callee) in true)
        false.append(len(learned - true) / max(1, len(learned)))
        true_calls, real = true_calls + len(learned & true), real + len(true)
    assert true_calls / real > 0.9
    assert np.mean(false) <= 0.1


@pytest.mark.parametrize("kind", ["white", "smooth", "walk", "day"])
def test_series_that_have_nothing_to_do_with_each_other_teach_nothing(kind: str) -> None:
    learned = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        columns = smooth(rng, 300, 7) if kind == "smooth" else {f"s{number}": rng.normal(size=300) for number in range(7)}
        if kind == "walk":
            columns = {name: np.cumsum(column) for name, column in columns.items()}
        if kind == "day":
            hours = np.arange(300) / 60.0
            columns = {name: column + 3 * np.sin(hours + 0.2 * place) for place, (name, column) in enumerate(columns.items())}
        learned += len(granger_edges(latencies(columns), NO_CALLS))
    assert learned <= 2


@pytest.mark.parametrize("measured", [True, False])
def test_a_common_cause_teaches_nothing(measured: bool) -> None:
    learned = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        shared = smooth(rng, 310, 1)["s00"]
        columns = {f"s{number}": shared[10 - number % 4 : 310 - number % 4] + 0.7 * rng.normal(size=300) for number in range(8)}
        grid = latencies(columns)
        if measured:
            traffic = latencies({name: shared[10:] + 0.3 * rng.normal(size=300) for name in columns}, traffic=True)
            grid = SeriesGrid(grid.time_us, grid.series + traffic.series, np.hstack([grid.values, traffic.values]))
        learned += len(granger_edges(grid, NO_CALLS))
    assert learned <= 2


def test_known_calls_and_what_they_carry_are_not_learned_again() -> None:
    columns = smooth(np.random.default_rng(4), 400, 5)
    columns["s01"] = columns["s01"] + 0.8 * np.roll(columns["s00"], 1)
    columns["s02"] = columns["s02"] + 0.8 * np.roll(columns["s01"], 1)
    known = ServiceGraph.from_pairs([("s01", "s00"), ("s02", "s01")])
    assert granger_edges(latencies(columns), known) == ()
    assert ("s01", "s00") in {(edge.caller, edge.callee) for edge in granger_edges(latencies(columns), NO_CALLS)}


def test_too_little_or_still_telemetry_teaches_nothing_and_a_bad_setting_is_refused() -> None:
    assert granger_edges(latencies(smooth(np.random.default_rng(0), 60, 4)), NO_CALLS) == ()
    assert granger_edges(latencies({"a": np.ones(300), "b": np.full(300, np.nan)}), NO_CALLS) == ()
    with pytest.raises(ConfigurationError, match="lags=0"):
        GrangerConfig(lags=0)
    with pytest.raises(ConfigurationError, match="false_discoveries=1"):
        GrangerConfig(false_discoveries=1.0)
