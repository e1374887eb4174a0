"""The figure of an explained incident: same bytes each time, one row a service of the path, onset and change in it."""

from dataclasses import replace

from aiops.incidents.root_cause import ChangeEvent
from models.rca.evidence_figure import baseline_bounds, evidence_figure
from models.rca.explain import explain
from models.rca.grid import SeriesGrid
from models.rca.ranking import RootCauseRanker, Symptom
from tests.testing.fakes_incidents import ALERTED, CALM_MIN, SHOP, SLOW_CATALOGUE, at, shop_grid, shop_inputs

GRID = shop_grid(SLOW_CATALOGUE)


def test_the_evidence_is_drawn_along_the_path_and_the_same_each_time() -> None:
    inputs = replace(shop_inputs(GRID, ALERTED), symptom=Symptom("checkout", "latency"), changes_recorded=True)
    changed = replace(inputs, changes=(ChangeEvent("c", at(CALM_MIN + 8), "catalogue", "deployment"),))
    report = explain(changed)
    recent = GRID.between(int(GRID.time_us[CALM_MIN - 20]), int(GRID.time_us[-1]) + 1)
    bounds = baseline_bounds(RootCauseRanker.fit(inputs.calm, SHOP))
    drawn = evidence_figure(report, recent, bounds)
    assert drawn == evidence_figure(report, recent, bounds)
    text = drawn.decode()
    rows = [text.index(f">{service}: latency p99") for service in ("catalogue", "cart", "checkout")]
    assert rows == sorted(rows)
    for label in ("strays from here", "usual", ">deployment<", "catalogue → cart → checkout", "UTC"):
        assert label in text
    assert evidence_figure(explain(inputs), recent, {}) != drawn


def test_without_a_cause_or_telemetry_the_figure_says_so() -> None:
    report = explain(shop_inputs(GRID, ALERTED))
    assert (
        "No telemetry of a likely cause" in evidence_figure(report, SeriesGrid(GRID.time_us, (), GRID.values[:, :0]), {}).decode()
    )
    assert "No cause was found" in evidence_figure(replace(report, causes=()), GRID, {}).decode()
