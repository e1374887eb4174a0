"""Properties of the simulator: the same bytes for the same config, however it is cut; truth that the data bears out."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.simulator.effects import CPU, DISK, ERRORS, METRICS, P50, P99, TRAFFIC
from aiops.simulator.impact import RESOURCE
from aiops.simulator.noise import BLOCK_STEPS
from aiops.simulator.rows import ROWS
from aiops.simulator.services import Topology, build_topology, downstream, upstream
from aiops.simulator.simulate import Simulation, simulate
from aiops.simulator.simulation_config import (
    BUILDUP_KINDS,
    DRIFT_KINDS,
    INCIDENT_KINDS,
    BuildupKind,
    DriftKind,
    DriftSpec,
    IncidentKind,
    ScriptedIncident,
    SimulationConfig,
)
from aiops.types import FloatArray, IntArray
from data_contracts.schemas.metrics import CATALOGUE

SEEDS = st.integers(0, 2**64 - 1)


def quiet(
    seed: int, hours: float, scripted: tuple[ScriptedIncident, ...] = (), drift: DriftSpec | None = None
) -> SimulationConfig:
    return SimulationConfig(
        seed=seed,
        services=8,
        hours=hours,
        incidents_per_day=0.0,
        deployments_per_day=0.0,
        decoys_per_day=0.0,
        gap_share=0.0,
        scripted=scripted,
        drift=drift,
    )


def whole(simulation: Simulation) -> pa.Table:
    return pa.concat_tables(list(simulation.telemetry()), promote_options="default").combine_chunks()


def cube(simulation: Simulation) -> FloatArray:
    """Return (metrics, services, steps) of a simulation without gaps and dirt."""
    values = whole(simulation)["value"].to_numpy()
    return values.reshape(-1, len(simulation.services), len(METRICS)).transpose(2, 1, 0)


def file_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def reached(topology: Topology, root: int, is_surge: bool) -> set[int]:
    """Return root and all that calls it (or, for a surge, all that it calls), by plain search."""
    services, waiting = {root}, [root]
    while waiting:
        here = waiting.pop()
        pairs = ((edge.caller, edge.callee) if is_surge else (edge.callee, edge.caller) for edge in topology.edges)
        for near, far in pairs:
            if near == here and far not in services:
                services.add(far)
                waiting.append(far)
    return services


@settings(max_examples=10, deadline=None)
@given(
    seed=SEEDS,
    services=st.integers(3, 50),
    chunk_h=st.sampled_from([0.1, 0.7, 3.0, 8.5, 100.0]),
    dirty=st.sampled_from([0.0, 0.02]),
)
def test_same_config_gives_the_same_bytes_and_chunks_change_nothing(
    seed: int, services: int, chunk_h: float, dirty: float
) -> None:
    def made(length_h: float) -> pa.Table:
        config = SimulationConfig(seed=seed, services=services, hours=10, chunk_h=length_h, gap_share=0.01, dirty_share=dirty)
        return whole(simulate(config))

    reference = made(6.0)
    assert file_bytes(made(6.0)) == file_bytes(reference)
    assert file_bytes(made(chunk_h)) == file_bytes(reference)


@settings(max_examples=15, deadline=None)
@given(
    seed=SEEDS,
    first=st.integers(0, 1300),
    length=st.integers(0, 1300),
    step_s=st.sampled_from([1, 20, 60, 300]),
    odd_us=st.sampled_from([0, 1, 999_999]),
)
def test_any_part_equals_the_part_of_the_whole(seed: int, first: int, length: int, step_s: int, odd_us: int) -> None:
    config = SimulationConfig(seed=seed, services=3, hours=1300 * step_s / 3600, step_s=step_s, gap_share=0.05)
    simulation = simulate(config)
    start = config.start + timedelta(seconds=first * step_s, microseconds=odd_us)
    end = start + timedelta(seconds=length * step_s)
    part = pa.concat_tables([ROWS.empty_table(), *simulation.telemetry(start, end)], promote_options="default")
    everything = whole(simulation)
    times = everything["timestamp"]
    kept = pc.and_(pc.greater_equal(times, pa.scalar(start, times.type)), pc.less(times, pa.scalar(end, times.type)))
    assert part.combine_chunks().equals(everything.filter(kept).combine_chunks())


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_other_seed_gives_other_values(seed: int) -> None:
    first, other = (whole(simulate(quiet(which, 1))) for which in (seed, (seed + 1) % 2**64))
    assert np.mean(first["value"].to_numpy() == other["value"].to_numpy()) < 0.01


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, magnitude=st.sampled_from([-0.9, 3.0, 10.0]), kind=st.sampled_from(DRIFT_KINDS))
def test_values_are_finite_and_within_their_ranges_in_order(seed: int, magnitude: float, kind: DriftKind) -> None:
    drift = DriftSpec(kind, 2.0, magnitude=magnitude, share=1.0, ramp_min=0.0)
    config = SimulationConfig(
        seed=seed, services=6, hours=30, incidents_per_day=10, decoys_per_day=50, drift=drift, gap_share=0.02
    )
    simulation = simulate(config)
    table = whole(simulation)
    for name in METRICS:
        values = table.filter(pc.equal(table["metric"], pa.scalar(name)))["value"].to_numpy()
        assert np.isfinite(values).all()
        assert values.min() >= CATALOGUE[name].low
        assert values.max() <= CATALOGUE[name].high
    times = table["timestamp"].cast(pa.int64()).to_numpy()
    services, metrics = (np.array(table[name].cast(pa.string()).to_pylist()) for name in ("service", "metric"))
    assert (np.lexsort((metrics, services, times)) == np.arange(table.num_rows)).all()
    assert set(services) == set(simulation.services)
    assert set(metrics) == set(CATALOGUE)


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, gap_share=st.sampled_from([0.0, 0.03, 0.3]), dirty_share=st.sampled_from([0.0, 0.01, 0.2]))
def test_gaps_and_dirt_are_as_many_as_configured(seed: int, gap_share: float, dirty_share: float) -> None:
    config = SimulationConfig(seed=seed, services=10, hours=48, gap_share=gap_share, dirty_share=dirty_share)
    simulation = simulate(config)
    counts = simulation.dirty_rows()
    each: IntArray = counts["rows"].to_numpy()
    extra = int(each.sum())
    possible = config.steps * 10 * len(METRICS)
    good = whole(simulation).num_rows - extra
    assert good == possible if gap_share == 0 else abs(1 - good / possible - gap_share) < 0.35 * gap_share
    assert abs(extra / good - dirty_share) <= 6 * np.sqrt(dirty_share / good)
    if dirty_share:
        assert each.min() > 0


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, services=st.integers(3, 50), applications=st.integers(1, 16))
def test_graph_is_acyclic_and_has_as_many_components_as_applications(seed: int, services: int, applications: int) -> None:
    applications = min(applications, services // 3)
    topology = build_topology(seed, services, applications)
    assert len(set(topology.services)) == services
    place = {service: position for position, service in enumerate(topology.order)}
    assert sorted(place) == list(range(services))
    assert all(place[edge.caller] < place[edge.callee] for edge in topology.edges)
    assert len({(edge.caller, edge.callee) for edge in topology.edges}) == len(topology.edges)
    component = list(range(services))
    for _ in range(services):
        for edge in topology.edges:
            component[edge.caller] = component[edge.callee] = min(component[edge.caller], component[edge.callee])
    assert len(set(component)) == applications


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, services=st.integers(3, 50), data=st.data())
def test_reach_follows_edges_only_and_fades(seed: int, services: int, data: st.DataObject) -> None:
    topology = build_topology(seed, services)
    root = data.draw(st.integers(0, services - 1))
    for is_surge, reach in ((False, upstream(topology, root)), (True, downstream(topology, root))):
        affected: IntArray = np.flatnonzero(reach.strength)
        assert set(affected.tolist()) <= reached(topology, root, is_surge)
        assert reach.strength[root] == 1.0
        assert reach.delay_s[root] == 0.0
        others = affected[affected != root]
        assert (reach.strength[others] < 1.0).all()
        assert (reach.delay_s[others] >= 60).all()


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(INCIDENT_KINDS), root=st.integers(0, 7))
def test_an_incident_changes_root_and_reachable_services_only_and_only_in_its_time(
    seed: int, kind: IncidentKind, root: int
) -> None:
    calm = simulate(quiet(seed, 10))
    scripted = ScriptedIncident(kind, 240.0, calm.services[root], duration_min=30)
    hit = simulate(quiet(seed, 10, (scripted,)))
    changed = cube(calm) != cube(hit)
    incident = hit.plan.incidents[0]
    allowed = reached(hit.plan.topology, root, kind == "traffic_surge")
    assert set(np.flatnonzero(changed.any(axis=(0, 2))).tolist()) <= allowed
    assert changed[:, root].any()
    assert not changed[:, :, : incident.onset_s // 60].any()
    reach = downstream if kind == "traffic_surge" else upstream
    for service, delay_s in enumerate(reach(hit.plan.topology, root).delay_s):
        if service != root:
            assert not changed[:, service, : int((incident.starts_s + delay_s) // 60)].any()


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(INCIDENT_KINDS), root=st.integers(0, 7))
def test_the_root_shows_every_incident_within_minutes(seed: int, kind: IncidentKind, root: int) -> None:
    names = build_topology(seed, 8).services
    values = cube(simulate(quiet(seed, 10, (ScriptedIncident(kind, 300.0, names[root], duration_min=30),))))[:, root]
    best = 0.0
    for metric in (ERRORS, P50, P99):
        before, after = values[metric, 120:240], values[metric, 303:307]
        spread = 1.4826 * np.median(np.abs(before - np.median(before)))
        best = max(best, float(np.median(after) - np.median(before)) / spread)
    assert best > 6.0


@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(BUILDUP_KINDS), root=st.integers(0, 7), buildup_min=st.integers(30, 120))
def test_buildups_rise_from_onset_to_their_limit_and_reset(seed: int, kind: BuildupKind, root: int, buildup_min: int) -> None:
    names = build_topology(seed, 8).services
    scripted = ScriptedIncident(kind, 300.0, names[root], buildup_min=buildup_min, duration_min=30)
    values = cube(simulate(quiet(seed, 10, (scripted,))))[RESOURCE[kind], root]
    onset = 300 - buildup_min
    half, normal = onset + buildup_min // 2, np.median(values[onset - 30 : onset])
    assert np.median(values[301:329]) > 0.92
    assert normal + 0.08 < np.median(values[half : half + 8]) < 0.97
    assert np.median(values[335:365]) < normal + 0.15


@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, kind=st.sampled_from(DRIFT_KINDS))
def test_drift_begins_when_and_where_the_truth_says_and_stays(seed: int, kind: DriftKind) -> None:
    drift = DriftSpec(kind, 24.0, magnitude=1.0, share=0.5, ramp_min=60.0)
    calm, drifted = simulate(quiet(seed, 96)), simulate(quiet(seed, 96, drift=drift))
    changed = cube(calm) != cube(drifted)
    truth = drifted.drift().to_pylist()
    assert len(truth) == 4
    for row in truth:
        assert row["starts_at"] == drifted.config.start + timedelta(hours=24)
        assert row["complete_at"] - row["starts_at"] == timedelta(hours=1)
    services = {row["service"] for row in truth}
    assert services == {drifted.services[number] for number in np.flatnonzero(changed.any(axis=(0, 2)))}
    assert not changed[:, :, : 24 * 60].any()
    hit = [drifted.services.index(name) for name in services]
    assert changed[P50, hit, 26 * 60 :].mean() > 0.9


@pytest.mark.parametrize("kind", DRIFT_KINDS)
def test_drift_does_what_its_kind_says(kind: DriftKind) -> None:
    drift = DriftSpec(kind, 24.0, magnitude=1.0, share=1.0, ramp_min=0.0)
    calm, drifted = cube(simulate(quiet(3, 72))), cube(simulate(quiet(3, 72, drift=drift)))
    after = slice(24 * 60, None)
    latency = np.median(np.log(drifted[P50, :, after] / calm[P50, :, after]))
    rough = [np.std(np.diff(values[CPU, :, after])) for values in (calm, drifted)]
    hourly = [np.log(values[TRAFFIC, 0, after]).reshape(48, 60).mean(axis=1)[:24] for values in (calm, drifted)]
    moved_h = (int(np.argmax(hourly[1])) - int(np.argmax(hourly[0]))) % 24
    expected = {"level": (True, False, False), "spread": (False, True, False), "season": (False, False, True)}
    assert (abs(latency - np.log(2)) < 0.15, rough[1] > 1.7 * rough[0], 4 <= moved_h <= 8) == expected[kind]


def test_blocks_of_the_grid_join_without_a_seam() -> None:
    config = SimulationConfig(seed=9, services=50, hours=120, incidents_per_day=0, decoys_per_day=0, gap_share=0)
    steps = np.abs(np.diff(cube(simulate(config))[DISK], axis=-1))
    seams = steps[:, BLOCK_STEPS - 1 :: BLOCK_STEPS]
    assert seams.size == 50 * 14
    assert abs(np.median(seams) / np.median(steps) - 1) < 0.2
