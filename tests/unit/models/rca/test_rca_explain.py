"""An explained incident: the right service first, its evidence in words, the doubt where there is some."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from aiops.errors import ContractError
from aiops.incidents.root_cause import ChangeEvent
from aiops.topology.graph import ServiceGraph
from models.rca.explain import ExplainConfig, explain
from models.rca.grid import SeriesGrid
from models.rca.ranking import Symptom
from tests.testing.fakes_incidents import ALERTED, CALM_MIN, SHOP, SLOW_CATALOGUE, Strays, at, shop_grid, shop_inputs

GRID = shop_grid(SLOW_CATALOGUE)
INPUTS = replace(shop_inputs(GRID, ALERTED), symptom=Symptom("checkout", "latency"))


def test_the_service_that_nobody_was_alerted_for_is_named_with_metric_time_path_and_change() -> None:
    deployed = ChangeEvent("c1", at(CALM_MIN + 8), "catalogue", "deployment", "v42")
    report = explain(replace(INPUTS, changes=(deployed,), changes_recorded=True))
    first = report.causes[0]
    assert (report.decided, first.service, report.symptom) == (True, "catalogue", "checkout")
    assert first.path == ("catalogue", "cart", "checkout")
    assert first.onset == at(CALM_MIN + 10)
    assert first.changes == (deployed,)
    assert first.sentence == (
        f"catalogue: {first.evidence[0].text}, since 15:10, two minutes before the symptom at checkout; "
        "path catalogue → cart → checkout; deployed at 15:08 (v42)"
    )
    assert first.evidence[0].text.startswith("latency p99 8")
    assert "usually 40 ms" in first.evidence[0].text
    assert first.sentence in report.statement
    assert report.would_decide == ()


def test_probabilities_and_none_make_one() -> None:
    report = explain(INPUTS)
    assert {cause.service for cause in report.causes} == set(SHOP.services) - {"web", "mail"}
    assert sum(cause.probability for cause in report.causes) + report.none_probability == pytest.approx(1.0)


def test_without_a_symptom_all_connected_services_are_candidates() -> None:
    report = explain(shop_inputs(GRID, ALERTED))
    assert {cause.service for cause in report.causes} == set(SHOP.services)
    assert report.causes[0].service == "catalogue"
    assert len(explain(shop_inputs(GRID, ALERTED), ExplainConfig(most_causes=2)).causes) == 2


def test_a_change_just_before_raises_its_service_and_an_early_one_does_not() -> None:
    def odds(minute: int | None) -> float:
        changes = () if minute is None else (ChangeEvent("c", at(CALM_MIN + minute), "catalogue", "config"),)
        report = explain(replace(shop_inputs(GRID, ALERTED), changes=changes, changes_recorded=True))
        shares = {cause.service: cause.probability for cause in report.causes}
        return shares["catalogue"] / shares["cart"]

    assert odds(9) > 2.0 * odds(None)
    assert odds(-170) == pytest.approx(odds(None))


def test_a_change_after_the_report_is_not_read() -> None:
    late = ChangeEvent("c", INPUTS.made_at + timedelta(seconds=30), "cart", "deployment")
    known = replace(INPUTS, changes_recorded=True)
    assert explain(replace(known, changes=(late,))) == explain(known)


def test_past_verdicts_move_the_odds() -> None:
    plain, taught = explain(INPUTS), explain(replace(INPUTS, priors={"cart": 3.0}))

    def odds(report: object) -> float:
        shares = {cause.service: cause.probability for cause in report.causes}  # type: ignore[attr-defined]
        return float(np.log(shares["cart"] / shares["catalogue"]))

    assert odds(taught) - odds(plain) == pytest.approx(3.0)


def test_calm_telemetry_is_undecided_and_says_what_would_help() -> None:
    report = explain(shop_inputs(shop_grid({}), ALERTED))
    assert not report.decided
    assert report.statement.startswith("Undecided")
    assert any("no deployment events are known" in question for question in report.would_decide)


def test_a_service_without_an_onset_is_not_named_alone_however_probable() -> None:
    strays = {("catalogue", "cpu_utilization"): (CALM_MIN + 11, 0.02), ("catalogue", "error_rate"): (CALM_MIN + 11, 0.0012)}
    report = explain(shop_inputs(shop_grid(strays), {"catalogue": 13}))
    first = report.causes[0]
    assert first.probability > 0.7
    assert max(evidence.excess for evidence in first.evidence) > ExplainConfig().least_excess
    assert (first.onset, report.decided) == (None, False)
    assert report.statement.startswith("Undecided: ")


def test_two_that_began_together_want_a_finer_step() -> None:
    both = {(name, "latency_p99_ms"): (CALM_MIN + 12, 500.0) for name in ("cart", "mail")}
    report = explain(shop_inputs(shop_grid(both), {"cart": 13, "mail": 13}), ExplainConfig(least_probability=0.95))
    assert any("both began at 15:12: telemetry at a finer step than 60 s" in question for question in report.would_decide)


def test_a_callee_without_telemetry_is_named_as_what_is_missing() -> None:
    graph = ServiceGraph.from_pairs([("web", "cart"), ("cart", "dark-db")])
    grid = shop_grid({("cart", "latency_p99_ms"): (CALM_MIN + 12, 500.0)}, graph=ServiceGraph.from_pairs([("web", "cart")]))
    report = explain(shop_inputs(grid, {"cart": 13}, graph), ExplainConfig(least_probability=0.999))
    assert "nothing is measured of dark-db, which cart calls" in report.would_decide
    assert "dark-db: nothing is measured of it; path dark-db → cart" in [cause.sentence for cause in report.causes]


def test_alerts_of_services_that_the_graph_does_not_connect() -> None:
    grid = shop_grid({}, graph=ServiceGraph.from_pairs([("a", "b")], ["c"]))
    apart = explain(shop_inputs(grid, {"a": 13, "c": 13}, ServiceGraph.from_pairs([("a", "b")], ["c"])))
    assert any("does not connect" in question for question in apart.would_decide)
    unknown = explain(shop_inputs(grid, {"a": 13, "stranger": 13}, ServiceGraph.from_pairs([("a", "b")])))
    assert any("does not know stranger" in question for question in unknown.would_decide)
    assert "stranger" in [cause.service for cause in unknown.causes]


def test_an_empty_window_is_undecided_and_an_empty_calm_time_is_refused() -> None:
    empty = GRID.between(0, 1)
    report = explain(replace(INPUTS, window=empty))
    assert not report.decided
    assert report.window_start == report.made_at
    with pytest.raises(ContractError, match="calm time"):
        explain(replace(INPUTS, calm=empty))


def test_series_without_a_value_accuse_nobody() -> None:
    values = GRID.values.copy()
    dark = [number for number, (service, _) in enumerate(GRID.series) if service == "catalogue"]
    values[:, dark] = np.nan
    report = explain(shop_inputs(SeriesGrid(GRID.time_us, GRID.series, values), ALERTED))
    assert report.causes[0].service == "cart"
    assert all(np.isfinite(cause.probability) for cause in report.causes)


def test_calls_in_a_circle_end() -> None:
    circle = ServiceGraph.from_pairs([("web", "cart"), ("cart", "mail"), ("mail", "web"), ("mail", "cart")])
    failing: Strays = {("mail", "error_rate"): (CALM_MIN + 10, 0.5), ("mail", "cpu_utilization"): (CALM_MIN + 10, 0.4)}
    report = explain(shop_inputs(shop_grid(failing, graph=circle), {"web": 13}, circle))
    assert report.causes[0].service == "mail"
    assert report.causes[0].path == ("mail", "cart", "web")


def test_more_traffic_that_no_caller_sends_is_where_it_began() -> None:
    busy: Strays = {(name, "requests_per_second"): (CALM_MIN + 10, 100.0) for name in ("cart", "catalogue")}
    slow: Strays = {("catalogue", "latency_p99_ms"): (CALM_MIN + 11, 60.0), ("cart", "latency_p99_ms"): (CALM_MIN + 11, 80.0)}
    report = explain(shop_inputs(shop_grid({**busy, **slow}), {"cart": 12}))
    first = report.causes[0]
    assert first.service == "cart"
    assert any(
        evidence.kind == "traffic surge" and evidence.text.startswith("requests per second 15") for evidence in first.evidence
    )
    catalogue = next(cause for cause in report.causes if cause.service == "catalogue")
    assert all(evidence.score < 0.5 for evidence in catalogue.evidence if evidence.kind == "traffic surge")
