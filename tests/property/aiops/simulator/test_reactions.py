"""A simulation that reacts: the past stays, the same actions give the same bytes, and each incident has its cure."""

from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.errors import ConfigurationError
from aiops.simulator.effects import ERRORS, METRICS, P99
from aiops.simulator.rows import ROWS
from aiops.simulator.simulate import Simulation, simulate
from aiops.simulator.simulated_action import ACTION_KINDS, SimulatedAction, SimulatedActionKind
from aiops.simulator.simulation_config import (
    GRAY_KINDS,
    INCIDENT_KINDS,
    GrayKind,
    IncidentKind,
    ScriptedIncident,
    SimulationConfig,
)

START_MIN = 300.0
DURATION_MIN = 40.0
ROOT = "payments"
AMOUNTS: dict[SimulatedActionKind, tuple[float, ...]] = {
    "version": (1.0, 2.0, 3.0),
    "restart": (0.34, 1.0),
    "replicas": (1.0, 2.0, 6.0),
    "pool": (0.5, 2.0),
    "recycle": (0.5, 1.0),
    "free_disk": (0.3, 0.9),
    "weight": (0.0, 0.5, 1.0),
    "circuit": (0.0, 1.0),
}


def quiet(*scripted: ScriptedIncident, seed: int = 3) -> Simulation:
    """Return eight hours of eight services in which nothing but the scripted happens."""
    config = SimulationConfig(
        seed=seed,
        services=8,
        hours=8,
        incidents_per_day=0.0,
        deployments_per_day=0.0,
        decoys_per_day=0.0,
        scripted=scripted,
        traces_per_min=6.0,
    )
    return simulate(config)


def with_incident(kind: IncidentKind | GrayKind, seed: int = 3) -> Simulation:
    buildup_min = 60.0 if kind in ("memory_leak", "connection_exhaustion", "disk_fill") else None
    return quiet(ScriptedIncident(kind, START_MIN, ROOT, buildup_min, DURATION_MIN), seed=seed)


def moment(simulation: Simulation, minutes: float) -> datetime:
    return simulation.config.start + timedelta(minutes=minutes)


def act(
    simulation: Simulation, kind: SimulatedActionKind, amount: float, after_min: float = 5.0, service: str = ROOT
) -> Simulation:
    return simulation.after([SimulatedAction(moment(simulation, START_MIN + after_min), service, kind, amount)])


def harm_min(simulation: Simulation) -> float:
    """Return for how many minutes users feel the one incident."""
    (course,) = simulation.courses()
    return sum(harm.end_s - harm.start_s for harm in course.harms()) / 60


def metrics_of(simulation: Simulation, start: datetime | None = None, end: datetime | None = None) -> pa.Table:
    return pa.concat_tables([ROWS.empty_table(), *simulation.telemetry(start, end)], promote_options="default").combine_chunks()


def level(simulation: Simulation, metric: int, first_min: float, last_min: float, service: str = ROOT) -> float:
    """Return the mean of a metric over minutes after the start of the incident."""
    rows = metrics_of(simulation, moment(simulation, START_MIN + first_min), moment(simulation, START_MIN + last_min))
    own = pc.and_(pc.equal(rows["service"], service), pc.equal(rows["metric"], METRICS[metric]))
    mean = pc.mean(rows.filter(own)["value"]).as_py()
    assert isinstance(mean, float)
    return mean


@st.composite
def actions_on(draw: st.DrawFn, simulation: Simulation) -> SimulatedAction:
    kind = draw(st.sampled_from(ACTION_KINDS))
    at = simulation.config.start + timedelta(seconds=draw(st.integers(0, 8 * 3600 - 61)))
    return SimulatedAction(at, draw(st.sampled_from(simulation.services)), kind, draw(st.sampled_from(AMOUNTS[kind])))


BUSY = simulate(SimulationConfig(seed=5, services=6, hours=8, incidents_per_day=12, gray_per_day=12, traces_per_min=6.0))


@settings(max_examples=20, deadline=None)
@given(st.lists(actions_on(BUSY), min_size=1, max_size=4))
def test_what_was_before_an_action_stays_byte_for_byte(actions: list[SimulatedAction]) -> None:
    acted = BUSY.after(actions)
    first = min(action.at for action in actions)
    step = timedelta(seconds=BUSY.config.step_s)
    until = BUSY.config.start + -((BUSY.config.start - first) // step) * step
    assert metrics_of(acted, None, until).equals(metrics_of(BUSY, None, until))
    before, after = (list(simulation.requests(None, until)) for simulation in (BUSY, acted))
    assert [rows.logs for rows in before] == [rows.logs for rows in after]
    assert [rows.spans for rows in before] == [rows.spans for rows in after]


@settings(max_examples=20, deadline=None)
@given(st.lists(actions_on(BUSY), min_size=2, max_size=5), st.data())
def test_acting_in_turn_is_acting_at_once_and_the_same_each_time(actions: list[SimulatedAction], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(actions)))
    mixed = data.draw(st.permutations(actions))
    at_once, again, in_turn = BUSY.after(actions), BUSY.after(mixed), BUSY.after(actions[:cut]).after(actions[cut:])
    reference = metrics_of(at_once)
    assert metrics_of(again).equals(reference)
    assert metrics_of(in_turn).equals(reference)
    assert in_turn.incidents().equals(at_once.incidents())
    assert in_turn.actions == at_once.actions


def test_an_action_changes_what_comes_after_it() -> None:
    acted = BUSY.after([SimulatedAction(moment(BUSY, 200), BUSY.services[0], "restart", 1.0)])
    assert not metrics_of(acted, moment(BUSY, 200)).equals(metrics_of(BUSY, moment(BUSY, 200)))


@settings(max_examples=10, deadline=None)
@given(st.lists(actions_on(BUSY), min_size=1, max_size=3), st.integers(0, 400), st.integers(1, 200))
def test_any_part_after_actions_equals_that_part_of_the_whole(actions: list[SimulatedAction], first: int, length: int) -> None:
    acted = BUSY.after(actions)
    start, end = moment(BUSY, first), moment(BUSY, first + length)
    everything = metrics_of(acted)
    times = everything["timestamp"]
    kept = pc.and_(pc.greater_equal(times, pa.scalar(start, times.type)), pc.less(times, pa.scalar(end, times.type)))
    assert metrics_of(acted, start, end).equals(everything.filter(kept).combine_chunks())


CURES: list[tuple[IncidentKind | GrayKind, SimulatedActionKind, float]] = [
    ("bad_deployment", "version", 1.0),
    ("memory_leak", "restart", 0.34),
    ("memory_leak", "version", 1.0),
    ("connection_exhaustion", "recycle", 1.0),
    ("connection_exhaustion", "pool", 2.0),
    ("connection_exhaustion", "restart", 0.34),
    ("disk_fill", "free_disk", 0.9),
    ("slow_dependency", "weight", 0.0),
    ("slow_dependency", "circuit", 1.0),
    ("traffic_surge", "replicas", 9.0),
    ("wrong_parameter", "version", 1.0),
    ("handled_exception", "version", 1.0),
    ("skipped_step", "version", 1.0),
    ("stopped_job", "restart", 0.34),
    ("slow_network", "weight", 0.0),
]
USELESS: list[tuple[IncidentKind | GrayKind, SimulatedActionKind, float]] = [
    ("bad_deployment", "restart", 0.34),
    ("bad_deployment", "replicas", 6.0),
    ("memory_leak", "free_disk", 0.9),
    ("disk_fill", "restart", 1.0),
    ("disk_fill", "version", 1.0),
    ("slow_dependency", "restart", 0.34),
    ("slow_dependency", "replicas", 6.0),
    ("connection_exhaustion", "replicas", 6.0),
    ("traffic_surge", "restart", 0.34),
    ("wrong_parameter", "restart", 0.34),
    ("slow_network", "restart", 0.34),
]


def lowered(simulation: Simulation, amount: float) -> float:
    """Return the version that a rollback by `amount` leads to."""
    return float(simulation.standing(ROOT, moment(simulation, START_MIN + 5)).version - amount)


def done(kind: IncidentKind | GrayKind, action: SimulatedActionKind, amount: float) -> tuple[Simulation, Simulation]:
    """Return the incident without and with an action five minutes after its start."""
    untouched = with_released_root(kind) if action == "version" else with_incident(kind)
    amount = lowered(untouched, amount) if action == "version" else amount
    return untouched, act(untouched, action, amount)


def with_released_root(kind: IncidentKind | GrayKind) -> Simulation:
    """Return the incident on a service that has an earlier version."""
    first = ScriptedIncident("bad_deployment", 60.0, ROOT, None, 10.0)
    plain = with_incident(kind)
    return simulate(replace(plain.config, scripted=(*plain.config.scripted, first)))


@pytest.mark.parametrize(("kind", "action", "amount"), CURES)
def test_the_right_action_ends_an_incident_early(
    kind: IncidentKind | GrayKind, action: SimulatedActionKind, amount: float
) -> None:
    untouched, acted = done(kind, action, amount)
    ends = [simulation.incidents()["ends_at"].to_pylist()[-1] for simulation in (untouched, acted)]
    assert ends[0] == moment(untouched, START_MIN + DURATION_MIN)
    assert ends[1] <= moment(untouched, START_MIN + 9)
    if kind in INCIDENT_KINDS:
        assert level(acted, P99, 15, 35) < 0.8 * level(untouched, P99, 15, 35)
        assert level(acted, ERRORS, 15, 35) < 0.3 * level(untouched, ERRORS, 15, 35)


@pytest.mark.parametrize(("kind", "action", "amount"), USELESS)
def test_another_action_does_not(kind: IncidentKind | GrayKind, action: SimulatedActionKind, amount: float) -> None:
    untouched, acted = done(kind, action, amount)
    assert acted.incidents()["ends_at"].to_pylist()[-1] == untouched.incidents()["ends_at"].to_pylist()[-1]
    if kind in INCIDENT_KINDS:
        assert level(acted, P99, 8, 20) > 0.85 * level(untouched, P99, 8, 20)


@pytest.mark.parametrize(
    ("kind", "action", "amount"),
    [("traffic_surge", "restart", 0.34), ("connection_exhaustion", "replicas", 6.0), ("slow_dependency", "replicas", 9.0)],
)
def test_the_wrong_action_makes_it_worse(kind: IncidentKind, action: SimulatedActionKind, amount: float) -> None:
    untouched, acted = done(kind, action, amount)
    assert level(acted, ERRORS, 8, 14) > 1.1 * level(untouched, ERRORS, 8, 14)


def test_a_leak_begins_anew_and_is_full_again_unless_its_cause_is_gone() -> None:
    long = quiet(ScriptedIncident("memory_leak", START_MIN, ROOT, 30.0, 100.0))
    acted = act(long, "restart", 1.0)
    (course,) = acted.courses()
    first, second = course.harms()
    assert first.end_s / 60 == pytest.approx(START_MIN + 5.5)
    assert second.start_s - first.end_s == 30 * 60
    short = act(with_incident("memory_leak"), "restart", 1.0)
    assert len(short.courses()[0].harms()) == 1


def test_an_action_during_the_build_up_keeps_an_incident_from_harming() -> None:
    prevented = act(with_incident("memory_leak"), "restart", 0.34, after_min=-10)
    assert prevented.incidents().num_rows == 0
    late = act(with_incident("memory_leak"), "restart", 0.34, after_min=DURATION_MIN + 5)
    assert late.incidents().equals(with_incident("memory_leak").incidents())


def test_undoing_the_cure_brings_the_incident_back() -> None:
    cured = act(with_incident("bad_deployment"), "version", 1.0)
    relapsed = act(cured, "version", 2.0, after_min=15)
    assert len(relapsed.courses()[0].harms()) == 2
    assert harm_min(cured) < harm_min(relapsed) < harm_min(with_incident("bad_deployment"))


def test_each_action_on_a_healthy_service_is_felt_little_and_shows_in_how_it_stands() -> None:
    calm = quiet()
    for kind, amounts in AMOUNTS.items():
        acted = act(calm, kind, amounts[-1])
        at = moment(calm, START_MIN + 5)
        assert acted.incidents().num_rows == 0
        assert level(acted, P99, 0, 30) < 1.25 * level(calm, P99, 0, 30)
        restored = kind in ("weight",)  # 1 is how it stands already
        assert (acted.standing(ROOT, at) == calm.standing(ROOT, at)) == restored
        assert acted.standing(ROOT, at - timedelta(seconds=1)) == calm.standing(ROOT, at)


def test_releases_and_rollbacks_count_versions() -> None:
    simulation = with_incident("bad_deployment")
    assert simulation.standing(ROOT, moment(simulation, START_MIN - 1)).version == 1
    assert simulation.standing(ROOT, moment(simulation, START_MIN)).version == 2
    rolled = act(simulation, "version", 1.0)
    assert rolled.standing(ROOT, moment(simulation, START_MIN + 5)).version == 1


@pytest.mark.parametrize(
    ("action", "words"),
    [
        (lambda at: SimulatedAction(at, ROOT, "fire", 1.0), ("kind='fire'", "be one of")),
        (lambda at: SimulatedAction(at, ROOT, "restart", 0.0), ("amount=0.0", "0.01 to 1")),
        (lambda at: SimulatedAction(at, ROOT, "replicas", 2.5), ("amount=2.5", "replicas")),
        (lambda at: SimulatedAction(at.replace(tzinfo=None), ROOT, "restart", 1.0), ("at=", "aware")),
        (lambda at: quiet().after([SimulatedAction(at, "nobody", "restart", 1.0)]), ("service='nobody'", "payments")),
        (lambda at: quiet().after([SimulatedAction(at + timedelta(days=9), ROOT, "restart", 1.0)]), ("at=", "8 h")),
    ],
)
def test_what_cannot_be_is_refused_with_field_value_and_rule(action: object, words: tuple[str, ...]) -> None:
    assert callable(action)
    with pytest.raises(ConfigurationError) as refused:
        action(quiet().config.start)
    assert all(word in str(refused.value) for word in words)


def test_every_gray_kind_has_a_cure() -> None:
    assert {kind for kind, _, _ in CURES} == {*INCIDENT_KINDS, *GRAY_KINDS}
