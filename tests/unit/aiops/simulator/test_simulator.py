"""The simulator and its source: what is refused, what the truth tables say, what bad rows look like."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from aiops.errors import ConfigurationError, SourceError
from aiops.ports import TelemetrySource
from aiops.simulator.noise import BLOCK_STEPS, Grid, autocorrelated
from aiops.simulator.services import service_names
from aiops.simulator.simulate import Simulation, simulate
from aiops.simulator.simulation_config import BUILDUP_KINDS, DIRTY_KINDS, DirtyKind, DriftSpec, ScriptedIncident, SimulationConfig
from data_contracts.schemas.metrics import CATALOGUE
from data_contracts.schemas.telemetry_schemas import EDGES, INCIDENTS, TELEMETRY
from data_contracts.schemas.truth_schemas import DEPLOYMENTS, DIRTY_TRUTH, DRIFT_TRUTH
from data_contracts.telemetry.validate import validate
from serving.ingest.pull.simulate import SimulatedSource, open_simulate
from serving.ingest.pull.source_options import SourceOptions
from tests.conformance.source_suite import check_source

SMALL = SimulationConfig(services=3, hours=4)
LONG = SimulationConfig(services=12, hours=24 * 60)


def whole(simulation: Simulation) -> pa.Table:
    return pa.concat_tables(list(simulation.telemetry()), promote_options="default")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"services": 2}, ("services=2", "3 to 50")),
        ({"services": 51}, ("services=51", "3 to 50")),
        ({"seed": -1}, ("seed=-1", "0 or more")),
        ({"start": datetime(2025, 1, 1)}, ("start=", "aware")),  # noqa: DTZ001 - refused because it is naive
        ({"hours": 0.0}, ("hours=0.0", "at least one step")),
        ({"hours": float("nan")}, ("hours=nan",)),
        ({"step_s": 0}, ("step_s=0", "1 to 3600")),
        ({"incidents_per_day": 13.0}, ("incidents_per_day=13.0", "0 to 12")),
        ({"buildup_share": 1.1}, ("buildup_share=1.1",)),
        ({"spacing_min": 0.0}, ("spacing_min=0.0", "5 or more")),
        ({"deployments_per_day": -1.0}, ("deployments_per_day=-1.0",)),
        ({"decoys_per_day": float("inf")}, ("decoys_per_day=inf",)),
        ({"gap_share": 0.95}, ("gap_share=0.95", "0 to 0.9")),
        ({"dirty_share": -0.1}, ("dirty_share=-0.1",)),
        ({"dirty_kinds": ()}, ("dirty_kinds=()", "one or more")),
        ({"dirty_kinds": ("rust",)}, ("dirty_kinds=('rust',)",)),
        ({"applications": 2}, ("applications=2", "each needs 3 services")),
        ({"chunk_h": 0.0}, ("chunk_h=0.0",)),
        ({"scripted": (ScriptedIncident("disk_fill", 240.0),)}, ("scripted.start_min=240.0", "before the end")),
        ({"drift": DriftSpec("level", 4.0)}, ("drift.start_h=4.0", "before the end")),
    ],
)
def test_config_names_field_value_and_rule(change: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        replace(SMALL, **change)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: ScriptedIncident("fire", 5.0), "scripted.kind='fire'"),  # type: ignore[arg-type]
        (lambda: ScriptedIncident("disk_fill", -1.0), "scripted.start_min=-1.0"),
        (lambda: ScriptedIncident("traffic_surge", 5.0, buildup_min=10), "strikes at once"),
        (lambda: ScriptedIncident("disk_fill", 5.0, duration_min=0), "scripted.duration_min=0"),
        (lambda: DriftSpec("mood", 1.0), "drift.kind='mood'"),  # type: ignore[arg-type]
        (lambda: DriftSpec("level", 1.0, magnitude=0.0), "drift.magnitude=0.0"),
        (lambda: DriftSpec("level", 1.0, share=0.0), "drift.share=0.0"),
        (lambda: DriftSpec("level", 1.0, ramp_min=-1.0), "drift.ramp_min=-1.0"),
    ],
)
def test_parts_of_the_config_are_checked(make: Any, word: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert word in str(caught.value)


def test_start_in_another_zone_is_the_same_moment() -> None:
    moved = replace(SMALL, start=SMALL.start.astimezone(timezone(timedelta(hours=5))))
    assert moved == SMALL
    assert moved.start.tzinfo is UTC


def test_scripted_incident_needs_a_known_service_and_no_overlap() -> None:
    with pytest.raises(ConfigurationError, match=r"'mainframe' does not exist. Use one of checkout, gateway"):
        simulate(replace(SMALL, scripted=(ScriptedIncident("disk_fill", 60, "mainframe"),)))
    twice = (
        ScriptedIncident("slow_dependency", 60, "gateway", duration_min=30),
        ScriptedIncident("slow_dependency", 80, "gateway"),
    )
    with pytest.raises(ConfigurationError, match="gateway at 60 and 80 min overlap"):
        simulate(replace(SMALL, scripted=twice))


def test_telemetry_casts_to_the_contract_and_is_accepted_whole() -> None:
    table = whole(simulate(SMALL))
    required = pa.schema(list(TELEMETRY)[:4])
    assert table.cast(required).num_rows == table.num_rows
    assert set(table["service"].unique().to_pylist()) == set(service_names(3))
    assert set(table["metric"].unique().to_pylist()) == set(CATALOGUE)
    assert validate(table, simulate(SMALL).end).rejected.num_rows == 0


@pytest.mark.parametrize(("step_s", "hours", "steps"), [(60, 1.0, 60), (7, 0.01, 6), (3600, 1.5, 2), (10, 0.1, 36)])
def test_ticks_lie_before_the_end(step_s: int, hours: float, steps: int) -> None:
    config = replace(SMALL, step_s=step_s, hours=hours, chunk_h=24, gap_share=0.0)
    times = whole(simulate(config))["timestamp"].unique()
    assert len(times) == config.steps == steps
    assert pc.min(times).as_py() == config.start
    assert pc.max(times).as_py() < config.start + timedelta(hours=hours)


@pytest.mark.parametrize("kind", DIRTY_KINDS)
def test_bad_rows_are_bad_in_the_way_of_their_kind_and_counted(kind: DirtyKind) -> None:
    simulation = simulate(replace(SMALL, dirty_share=0.05, dirty_kinds=(kind,)))
    clean = whole(simulate(SMALL))
    table = whole(simulation)
    counts = dict(zip(*(simulation.dirty_rows()[name].to_pylist() for name in ("kind", "rows")), strict=True))
    assert counts == {name: table.num_rows - clean.num_rows if name == kind else 0 for name in DIRTY_KINDS}
    checked = validate(table, simulation.end)
    assert checked.rejected.num_rows == counts[kind] > 100
    reasons = {
        "nan": {"missing_value", "non_finite"},
        "infinite": {"non_finite"},
        "out_of_range": {"out_of_range"},
        "future_timestamp": {"future_timestamp"},
        "duplicate": {"duplicate"},
        "empty_name": {"name"},
    }
    assert set(checked.rejected["reason"].to_pylist()) <= reasons[kind]
    assert np.array_equal(checked.accepted["value"].to_numpy(), clean["value"].to_numpy())


def test_dirty_rows_of_a_window_are_those_that_it_delivers() -> None:
    config = replace(SMALL, dirty_share=0.1)
    simulation = simulate(config)
    start, end = config.start + timedelta(minutes=17), config.start + timedelta(minutes=99, seconds=1)
    delivered = sum(table.num_rows for table in simulation.telemetry(start, end))
    good = sum(table.num_rows for table in simulate(SMALL).telemetry(start, end))
    assert pc.sum(simulation.dirty_rows(start, end)["rows"]).as_py() == delivered - good > 0


def test_incidents_keep_their_distance_and_come_as_often_as_asked() -> None:
    simulation = simulate(LONG)
    table = simulation.incidents()
    assert table.schema.equals(INCIDENTS)
    rows = table.to_pylist()
    assert 0.8 < len(rows) / (4 * 60) < 1.2
    assert 0.55 < np.mean([row["kind"] in BUILDUP_KINDS for row in rows]) < 0.75
    assert len({row["incident_id"] for row in rows}) == len(rows)
    for before, after in pairwise(rows):
        assert after["onset_at"] - before["ends_at"] >= timedelta(minutes=44)
    for row in rows:
        minutes = (row["starts_at"] - row["onset_at"]) / timedelta(minutes=1)
        assert 30 <= minutes <= 120 if row["kind"] in BUILDUP_KINDS else minutes == 0
        assert timedelta(minutes=9) < row["ends_at"] - row["starts_at"] < timedelta(minutes=41)
        assert row["known_at"] > row["ends_at"]
        assert row["ends_at"] < simulation.end


def test_random_incidents_make_way_for_scripted_ones() -> None:
    scripted = tuple(ScriptedIncident("disk_fill", 1440.0 * day + 700, buildup_min=60, duration_min=20) for day in range(50))
    simulation = simulate(replace(LONG, scripted=scripted, incidents_per_day=8))
    assert len(simulation.incidents()) > 250
    planned = simulation.plan.incidents
    assert sum(incident.starts_s % 86400 == 42_000 and incident.kind == "disk_fill" for incident in planned) >= 50
    assert all(after.onset_s >= before.ends_s for before, after in pairwise(planned))


def test_decoys_stay_away_from_incidents_of_their_service() -> None:
    plan = simulate(LONG).plan
    assert len(plan.decoys) > 100
    assert {decoy.kind for decoy in plan.decoys} == {"buildup", "spike", "bump"}
    for decoy in plan.decoys:
        for incident in plan.incidents:
            assert incident.service != decoy.service or decoy.ends_s < incident.onset_s or decoy.starts_s > incident.ends_s


def test_deployments_and_their_truth() -> None:
    simulation = simulate(LONG)
    table = simulation.deployments()
    assert table.schema.equals(DEPLOYMENTS)
    harmful = table.filter(table["harmful"])
    bad = simulation.incidents().filter(pc.equal(simulation.incidents()["kind"], pa.scalar("bad_deployment")))
    assert harmful["service"].equals(bad["service"])
    assert harmful["deployed_at"].equals(bad["starts_at"])
    assert 0.7 < (table.num_rows - harmful.num_rows) / (2 * 60) < 1.3


def test_edges_and_empty_truth_have_their_schemas() -> None:
    simulation = simulate(SMALL)
    assert simulation.edges().schema.equals(EDGES)
    assert simulation.edges().num_rows >= 2
    assert simulation.drift().equals(DRIFT_TRUTH.empty_table())
    assert simulation.dirty_rows().schema.equals(DIRTY_TRUTH)
    assert pc.sum(simulation.dirty_rows()["rows"]).as_py() == 0


def test_noise_has_unit_spread_and_remembers_minutes() -> None:
    grid = Grid(seed=5, metrics=8, services=20, step_s=60)
    noise = autocorrelated(grid.white(0), grid.white(1), 60)
    assert noise.shape == (8, 20, BLOCK_STEPS)
    assert abs(noise.std() - 1) < 0.05
    neighbours = np.mean(noise[..., 1:] * noise[..., :-1])
    assert abs(neighbours - np.exp(-60 / 300)) < 0.05
    assert abs(np.mean(noise[..., 60:] * noise[..., :-60])) < 0.05


def test_values_follow_the_day_and_the_week() -> None:
    config = replace(SMALL, hours=24 * 14, incidents_per_day=0, decoys_per_day=0, gap_share=0)
    table = whole(simulate(config))
    for metric, least in (("requests_per_second", 1.5), ("cpu_utilization", 1.15), ("latency_p50_ms", 1.05)):
        values = table.filter(pc.equal(table["metric"], pa.scalar(metric)))["value"].to_numpy().reshape(14, 24, 60, 3)
        hourly = np.median(values, axis=(0, 2))
        assert (hourly.max(axis=0) / hourly.min(axis=0) > least).all()
    traffic = table.filter(pc.equal(table["metric"], pa.scalar("requests_per_second")))["value"].to_numpy().reshape(2, 7, -1, 3)
    daily = traffic.mean(axis=(0, 2))
    assert (daily[5:].mean(axis=0) < daily[:5].mean(axis=0)).all()


def test_source_passes_the_suite_of_all_sources() -> None:
    config = replace(SMALL, dirty_share=0.01, dirty_kinds=("nan", "duplicate"), chunk_h=0.7)
    source: TelemetrySource = SimulatedSource(config, history_share=0.5)
    assert check_source(source) == whole(simulate(config)).num_rows


def test_options_become_a_simulation_with_drift_in_the_replay() -> None:
    source = open_simulate(SourceOptions(seed=3, services=5, hours=48, incidents_per_day=3, drift=True, history_share=0.75))
    simulation, split = source.simulation, source.split()
    assert (simulation.config.seed, len(simulation.services), simulation.config.incidents_per_day) == (3, 5, 3)
    assert split.history_end == simulation.config.start + timedelta(hours=36)
    starts = {row["starts_at"] for row in simulation.drift().to_pylist()}
    assert len(starts) == 1
    assert split.replay_start < starts.pop() < split.replay_end
    assert pc.sum(simulation.dirty_rows()["rows"]).as_py() > 0
    assert open_simulate(SourceOptions(hours=4)).simulation.drift().num_rows == 0


def test_source_names_what_it_cannot_read() -> None:
    source = SimulatedSource(SMALL)
    with pytest.raises(SourceError, match="no time zone"):
        list(source.batches(start=datetime(2025, 3, 3)))  # noqa: DTZ001 - refused because it is naive
    with pytest.raises(ConfigurationError, match="history_share"):
        SimulatedSource(SMALL, history_share=1.0)
    with pytest.raises(SourceError, match="one tick"):
        SimulatedSource(replace(SMALL, hours=1 / 60)).split()
