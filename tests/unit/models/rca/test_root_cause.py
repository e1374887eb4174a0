"""Root causes: what is a service's own and not its callees' doing, and who is ranked first for it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiops.errors import ContractError
from aiops.topology.graph import ServiceGraph
from models.rca.grid import SeriesGrid
from models.rca.ranking import RootCauseRanker, Symptom, loudest_first
from models.rca.signals import NETWORK, OWN_LATENCY, evidence_of

START = datetime(2026, 3, 1, tzinfo=UTC)
CHAIN = ServiceGraph.from_pairs([("web", "cart"), ("cart", "db"), ("web", "mail")])
LATENCY = {"web": 0.10, "cart": 0.05, "db": 0.02, "mail": 0.01}
Changes = dict[tuple[str, str], float]


def telemetry(minutes: int, changes: Changes | None = None, seed: int = 0, traffic: float = 1.0) -> pa.Table:
    """Return a minute's latency, requests, errors and CPU of each service; `changes` adds to (service, metric)."""
    rng, rows = np.random.default_rng(seed), []
    for minute in range(minutes):
        for service, latency in LATENCY.items():
            baseline = {
                "latency_mean_s": latency * rng.normal(1.0, 0.02),
                "requests_per_minute": 100.0 * traffic * rng.normal(1.0, 0.02),
                "error_percent": 0.0,
                "cpu_usage": 0.3 + rng.normal(0.0, 0.01),
            }
            for metric, value in baseline.items():
                more = (changes or {}).get((service, metric), 0.0)
                rows.append((START + timedelta(minutes=minute), service, metric, value + more))
    names = ("timestamp", "service", "metric", "value")
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})


def grid(minutes: int, changes: Changes | None = None, seed: int = 0, traffic: float = 1.0) -> SeriesGrid:
    return SeriesGrid.of(telemetry(minutes, changes, seed, traffic), 60)


RANKER = RootCauseRanker.fit(grid(120), CHAIN)
SLOW_DB: Changes = {("db", "latency_mean_s"): 0.5, ("cart", "latency_mean_s"): 0.5, ("web", "latency_mean_s"): 0.5}


def ranked(changes: Changes, symptom: Symptom | None = None, traffic: float = 1.0) -> list[str]:
    return [cause.service for cause in RANKER.rank(grid(5, changes, 1, traffic), symptom=symptom)]


def test_a_grid_has_a_step_a_row_and_means_where_a_step_has_several_samples() -> None:
    rows = {
        "timestamp": [START + timedelta(seconds=second) for second in (0, 30, 61, 200)],
        "service": ["a", "a", "a", "b"],
        "metric": ["m"] * 4,
        "value": [1.0, 3.0, 5.0, 7.0],
    }
    made = SeriesGrid.of(pa.table(rows), 60)
    assert made.series == (("a", "m"), ("b", "m"))
    np.testing.assert_array_equal(made.values, [[2.0, np.nan], [5.0, np.nan], [np.nan, 7.0]])
    assert made.between(int(made.time_us[1]), int(made.time_us[2])).values.tolist()[0][0] == 5.0
    with pytest.raises(ContractError, match="step_s=0"):
        SeriesGrid.of(pa.table(rows), 0)


def test_a_callee_that_explains_its_callers_takes_the_blame() -> None:
    causes = RANKER.rank(grid(5, SLOW_DB, 1), symptom=Symptom("web", "latency"))
    assert causes[0].service == "db"
    assert causes[0].probability > 0.8
    assert causes[0].evidence[0].kind == OWN_LATENCY
    assert "usually" in causes[0].evidence[0].text()


def test_the_caller_itself_takes_the_blame_where_its_callees_are_well() -> None:
    assert ranked({("cart", "latency_mean_s"): 0.5, ("web", "latency_mean_s"): 0.5}, Symptom("web", "latency"))[0] == "cart"


def test_errors_are_explained_away_like_latency() -> None:
    failing: Changes = {("db", "error_percent"): 20.0, ("cart", "error_percent"): 20.0, ("web", "error_percent"): 20.0}
    assert ranked(failing, Symptom("web", "errors"))[0] == "db"


def test_a_resource_counts_where_no_symptom_is_known() -> None:
    assert ranked({("mail", "cpu_usage"): 0.5})[0] == "mail"


def test_what_the_symptom_cannot_reach_is_left_out() -> None:
    assert set(ranked(SLOW_DB, Symptom("cart", "latency"))) == {"cart", "db"}


@pytest.mark.parametrize("traffic", [3.0, 20.0])
def test_more_traffic_alone_accuses_nobody_more_than_the_root(traffic: float) -> None:
    assert ranked(SLOW_DB, Symptom("web", "latency"), traffic)[0] == "db"


def test_without_evidence_nobody_is_probable() -> None:
    causes = RANKER.rank(grid(5, None, 1))
    assert max(cause.probability for cause in causes) < 0.4


def test_a_series_that_strayed_as_far_just_before_says_nothing_new() -> None:
    changes: Changes = {("mail", "cpu_usage"): 0.5, ("cart", "cpu_usage"): 0.4}
    before = grid(3, {("mail", "cpu_usage"): 0.5}, 2)
    assert RANKER.rank(grid(5, changes, 1), before)[0].service == "cart"
    assert RANKER.rank(grid(5, changes, 1))[0].service == "mail"


def test_a_callee_never_called_while_all_was_well_explains_nothing() -> None:
    calls = ServiceGraph.from_pairs([("web", "cart"), ("cart", "db"), ("web", "mail"), ("cart", "wrong-table")])
    ranker = RootCauseRanker.fit(grid(120), calls)
    failing = telemetry(5, {("cart", "error_percent"): 50.0, ("web", "error_percent"): 50.0}, 1)
    rows = [("wrong-table", metric, value) for metric, value in (("requests_per_minute", 50.0), ("error_percent", 100.0))]
    wrong = pa.table(
        {
            "timestamp": pa.array(
                [START + timedelta(minutes=minute) for minute in range(5) for _ in rows], failing["timestamp"].type
            ),
            **{name: [row[place] for _ in range(5) for row in rows] for place, name in enumerate(("service", "metric", "value"))},
        }
    )
    window = SeriesGrid.of(pa.concat_tables([failing, wrong]), 60)
    assert ranker.rank(window, symptom=Symptom("web", "errors"))[0].service == "cart"


def call_rows(minutes: int, near: float, far: float) -> pa.Table:
    rows = []
    for minute in range(minutes):
        at = START + timedelta(minutes=minute)
        wobble = 1.0 + 0.01 * (minute % 5)
        rows += [
            (at, "web", 'call_source_latency_s{callee="cart"}', near * wobble),
            (at, "web", 'call_destination_latency_s{callee="cart"}', far * wobble),
            (at, "cart", 'call_source_latency_s{callee="db"}', 0.02 * wobble),
            (at, "cart", 'call_destination_latency_s{callee="db"}', 0.02 * wobble),
        ]
    names = ("timestamp", "service", "metric", "value")
    return pa.table({name: [row[place] for row in rows] for place, name in enumerate(names)})


def test_calls_measured_at_both_ends_tell_the_network_from_the_callee() -> None:
    calm = SeriesGrid.of(call_rows(60, 0.05, 0.05), 60)
    ranker = RootCauseRanker.fit(calm, CHAIN)
    network = ranker.rank(SeriesGrid.of(call_rows(5, 0.50, 0.05), 60))[0]
    assert (network.service, network.evidence[0].kind) == ("cart", NETWORK)
    own = ranker.rank(SeriesGrid.of(call_rows(5, 0.50, 0.50), 60))[0]
    assert (own.service, own.evidence[0].kind) == ("cart", OWN_LATENCY)
    waits = evidence_of(calm, CHAIN, {})
    kinds = {(series.service, series.kind): column for column, series in enumerate(waits.series)}
    np.testing.assert_allclose(np.median(waits.values[:, kinds["cart", OWN_LATENCY]]), 0.03, rtol=0.05)


def test_a_ranker_needs_calm_time() -> None:
    with pytest.raises(ContractError, match="0 steps"):
        RootCauseRanker.fit(grid(1).between(0, 1), CHAIN)


def test_the_baseline_names_the_loudest_service() -> None:
    assert loudest_first(RANKER, grid(5, {("mail", "latency_mean_s"): 9.0}, 1))[0] == "mail"


@given(seed=st.integers(0, 2**16), offset=st.floats(0.05, 5.0))
def test_rows_in_any_order_give_the_same_ranking_and_probabilities_add_up(seed: int, offset: float) -> None:
    rows = telemetry(4, {("db", "latency_mean_s"): offset, ("cart", "latency_mean_s"): offset}, 3)
    shuffled = rows.take(pa.array(np.random.default_rng(seed).permutation(rows.num_rows)))
    first, second = RANKER.rank(SeriesGrid.of(rows, 60)), RANKER.rank(SeriesGrid.of(shuffled, 60))
    assert first == second
    assert 0.0 < sum(cause.probability for cause in first) < 1.0
