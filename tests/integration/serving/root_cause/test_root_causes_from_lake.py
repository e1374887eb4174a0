"""The analyst on a small lake: the true root first, nothing from after the moment asked about, other incidents not calm."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from aiops.incidents.alert import Severity
from aiops.incidents.incident import AlertEntry, Incident, IncidentState, worst_since
from aiops.incidents.root_cause import ChangeEvent
from aiops.incidents.root_cause_question import RootCauseQuestion, alerted_in, masks_of
from aiops.settings.tree import Settings
from aiops.simulator.simulation_config import ScriptedIncident, SimulationConfig
from aiops.topology.graph import ServiceGraph
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.ingest.pull.simulate import SimulatedSource
from serving.lake.opening import open_lake
from serving.lake.port import Lake
from serving.root_cause.incident_telemetry import IncidentTelemetry, TelemetryConfig, near, without
from serving.root_cause.lake_explainer import AnalystConfig, RootCauseAnalyst
from serving.tables.changes import changes_are_recorded, write_changes
from serving.tables.graph_store import GraphStore
from tests.testing.series_names import lake_rows
from tests.testing.slow_database import BEGAN, CALLS, LATENCY, MINUTE, START, rows


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = open_lake(tmp_path / "lake").for_tenant(DEFAULT_TENANT)
    lake.write("telemetry", rows(START, 180), "calm")
    lake.write("telemetry", rows(START + timedelta(hours=3), 60, 0.0, 5), "recent")
    lake.write("telemetry", rows(BEGAN, 5, 0.5, 1), "trouble")
    return lake


def analyst(lake: Lake, **config: float) -> RootCauseAnalyst:
    graph = ServiceGraph.from_pairs(CALLS)
    return RootCauseAnalyst(lake, lambda _: graph, AnalystConfig(TelemetryConfig(60, **config)))  # type: ignore[arg-type]


def question(at: datetime = BEGAN + 4 * MINUTE) -> RootCauseQuestion:
    return RootCauseQuestion({"web": BEGAN + MINUTE, "cart": BEGAN + 2 * MINUTE}, at)


def test_the_root_is_named_although_it_never_alerted(lake: Lake) -> None:
    report = analyst(lake).answer(question())
    assert report.causes[0].service == "db"
    assert report.decided
    assert report.symptom == "web"
    assert report.causes[0].path == ("db", "cart", "web")
    assert report.window_end == BEGAN + 4 * MINUTE
    assert report.causes[0].onset == BEGAN


def test_what_came_later_changes_nothing(lake: Lake) -> None:
    early = question(BEGAN + 2 * MINUTE)
    before = analyst(lake).answer(early)
    lake.write("telemetry", rows(BEGAN + 3 * MINUTE, 60, 9.0, 2), "later")
    write_changes(lake, [ChangeEvent.of(BEGAN - timedelta(days=1), "mail", "config")])
    report = analyst(lake).answer(early)
    write_changes(lake, [ChangeEvent.of(BEGAN + 3 * MINUTE, "cart", "deployment")])
    assert analyst(lake).answer(early) == report
    assert [cause.service for cause in report.causes] == [cause.service for cause in before.causes]
    assert report.window_end == before.window_end == BEGAN + 2 * MINUTE


def test_a_first_change_that_came_later_does_not_mean_that_changes_were_recorded(lake: Lake) -> None:
    before = analyst(lake).answer(question())
    for later in (5 * MINUTE, timedelta(days=1)):
        write_changes(lake, [ChangeEvent.of(BEGAN + later, "cart", "deployment")])
        assert analyst(lake).answer(question()) == before
    assert [changes_are_recorded(lake, BEGAN + later * MINUTE) for later in (4, 5, 1440)] == [False, True, True]


def test_the_drawing_shows_nothing_from_after_the_analysis(lake: Lake) -> None:
    early = question(BEGAN + 2 * MINUTE)
    report = analyst(lake).answer(early)
    drawn = analyst(lake).figure(None, report)
    lake.write("telemetry", rows(BEGAN + 3 * MINUTE, 60, 9.0, 2), "later")
    assert analyst(lake).figure(None, report) == drawn


def test_a_change_just_before_is_shown(lake: Lake) -> None:
    write_changes(lake, [ChangeEvent.of(BEGAN - 2 * MINUTE, "db", "deployment", "release 12")])
    assert [change.what for change in analyst(lake).answer(question()).causes[0].changes] == ["release 12"]


def test_the_baseline_is_fitted_once_and_other_incidents_are_no_part_of_it(lake: Lake) -> None:
    asked = analyst(lake)
    first = asked.answer(question())
    lake.write("telemetry", rows(START, 180, 5.0, 3), "calm")  # would change everything if it were read again
    assert asked.answer(question()) == first
    for ends in (BEGAN, BEGAN + timedelta(hours=9)):  # an incident that goes on after the calm time is the same to it
        assert asked.answer(replace(question(), masked=((BEGAN - 10 * MINUTE, ends),))) == first
    assert analyst(lake).answer(question()) != first
    lake.write("telemetry", rows(START, 180), "calm")
    lake.write("telemetry", rows(START + timedelta(hours=1), 90, 0.5, 4), "another")
    marred = analyst(lake).answer(question()).causes[0]
    other = (START + timedelta(hours=1), START + timedelta(hours=2.5))
    masked = analyst(lake).answer(replace(question(), masked=(other,))).causes[0]
    assert masked.service == "db"
    assert masked.evidence[0].excess > 3 * max((evidence.excess for evidence in marred.evidence), default=1.0)


def test_calm_steps_inside_other_incidents_go_unless_too_few_would_stay(lake: Lake) -> None:
    grid = IncidentTelemetry(lake, TelemetryConfig(60)).calm(BEGAN, ["web"])
    assert grid.time_us.size == 240
    assert without(grid, [(START, START + 59 * MINUTE)]).time_us.size == 180
    assert without(grid, [(START, BEGAN)]) is grid
    long, short = (START, START + 199 * MINUTE), (START + 200 * MINUTE, START + 230 * MINUTE)
    assert without(grid, [short, long]).time_us.size == 40, "the great one goes, and the small one where too little is left"
    assert without(grid, [(START, BEGAN), short]).time_us.size == 209, "one that covers all of it hides no other"


def test_missing_telemetry_is_stated(tmp_path: Path, lake: Lake) -> None:
    empty = analyst(open_lake(tmp_path / "empty").for_tenant(DEFAULT_TENANT)).answer(question())
    assert (empty.decided, empty.causes) == (False, ())
    assert "no telemetry of cart, web between 2026-03-02 03:51:00Z and 2026-03-02 04:04:00Z" in empty.statement
    stranger = analyst(lake).answer(RootCauseQuestion({"nobody": BEGAN}, BEGAN + MINUTE))
    assert "no telemetry of nobody" in stranger.statement
    fresh = open_lake(tmp_path / "fresh").for_tenant(DEFAULT_TENANT)
    fresh.write("telemetry", rows(BEGAN - 8 * MINUTE, 12, 0.5), "a")
    assert "there is no baseline" in analyst(fresh).answer(question()).statement
    late = analyst(lake).answer(question(BEGAN + 30 * MINUTE))
    assert late.window_end == BEGAN + 4 * MINUTE
    assert late.would_decide[-1] == "telemetry after 2026-03-02 04:04:00Z, which was not in the lake yet (1560 s are missing)"


def test_memory_is_bounded_by_the_newest_calm_hours(lake: Lake) -> None:
    grid = IncidentTelemetry(lake, TelemetryConfig(60, most_cells=2 * 60 * 16)).calm(BEGAN, list(LATENCY))
    assert (grid.time_us.size, int(grid.time_us[-1])) == (120, int((BEGAN - MINUTE).timestamp() * 1e6))
    graph = ServiceGraph.from_pairs(CALLS, ["alone"])
    assert near(graph, ("mail", "new"), 3) == ("mail", "new", "web")
    assert set(near(graph, ("db",), 10)) == set(LATENCY)


def entry(service: str, minute: int) -> AlertEntry:
    seen = BEGAN + minute * MINUTE
    return AlertEntry(service, service, "slow", Severity.WARNING, seen, seen)


def incident(*alerts: AlertEntry) -> Incident:
    services = tuple(dict.fromkeys(alert.service for alert in alerts))
    opened, last = BEGAN + 5 * MINUTE, BEGAN + 9 * MINUTE
    return Incident(
        "INC-1", IncidentState.OPEN, Severity.WARNING, opened, last, services[0], services, alerts, len(alerts), timeline=()
    )


def test_an_incident_is_asked_about_as_it_was_known(lake: Lake) -> None:
    opened = incident(entry("web", 3), entry("cart", 2), entry("web", 1), entry("mail", 6))
    assert alerted_in(opened, BEGAN + 4 * MINUTE) == {"web": BEGAN + MINUTE, "cart": BEGAN + 2 * MINUTE}
    assert masks_of([opened, replace(opened, incident_id="INC-2")], "INC-2") == ((BEGAN + MINUTE, BEGAN + 9 * MINUTE),)
    report = analyst(lake).explain(opened, BEGAN + 4 * MINUTE, {"mail": 0.5})
    assert (report.causes[0].service, report.made_at) == ("db", BEGAN + 4 * MINUTE)


def test_trouble_long_after_the_first_warning_is_looked_at_when_it_was_worst(lake: Lake) -> None:
    """A forecast alerts `mail` three hours before db really begins to be slow."""
    warned = RootCauseQuestion({"mail": BEGAN - 180 * MINUTE, "web": BEGAN + MINUTE}, BEGAN + 4 * MINUTE)
    assert analyst(lake).answer(warned).window_end < BEGAN
    report = analyst(lake).answer(replace(warned, worst_at=BEGAN + MINUTE))
    assert (report.causes[0].service, report.window_end) == ("db", BEGAN + 4 * MINUTE)
    critical = replace(entry("web", 1), severity=Severity.CRITICAL)
    opened = incident(replace(entry("mail", 0), first_seen=BEGAN - 180 * MINUTE), critical)
    assert worst_since(opened) == worst_since(opened, BEGAN + 4 * MINUTE) == BEGAN + MINUTE
    assert worst_since(opened, BEGAN) == BEGAN - 180 * MINUTE
    assert analyst(lake).explain(opened, BEGAN + 4 * MINUTE, {}).causes[0].service == "db"


def test_a_simulated_incident_is_traced_to_its_service(tmp_path: Path) -> None:
    script = (ScriptedIncident("slow_dependency", start_min=420.0),)
    source = SimulatedSource(SimulationConfig(seed=5, services=8, hours=8, incidents_per_day=0.0, scripted=script))
    settings = Settings(home=tmp_path)
    lake = open_lake(settings).for_tenant(DEFAULT_TENANT)
    for number, table in enumerate(source.batches()):
        known = lake_rows(table.append_column("available_at", table["timestamp"]))
        lake.write("telemetry", known, f"part-{number}")
    GraphStore(lake).observe(source.edges(), source.simulation.config.start, "table")
    truth = source.incidents().to_pylist()[0]
    root, began = truth["service"], truth["starts_at"]
    graph = ServiceGraph.from_edges(source.edges())
    alerted = dict.fromkeys(graph.callers(root), began + 2 * MINUTE) or {root: began + 2 * MINUTE}
    report = RootCauseAnalyst.of(settings, DEFAULT_TENANT).answer(RootCauseQuestion(alerted, began + 4 * MINUTE))
    assert report.causes[0].service == root, report.statement
