"""Actions on a simulated application: planning only reads, applying and undoing are compare-and-swap, a probe tells states."""

from datetime import timedelta

import pytest

from aiops.automation.action import ActionRequest, Outcome, PlainMapping
from aiops.errors import ContractError, StepRefused
from aiops.simulator.simulate import simulate
from aiops.simulator.simulated_action import ACTION_KINDS
from aiops.simulator.simulation_config import ScriptedIncident, SimulationConfig
from orchestration.simulated_actions.acted_world import ActedWorld
from orchestration.simulated_actions.simulated_actions import simulated_actions
from orchestration.simulated_actions.simulated_kinds import KINDS
from tests.testing.clocks import MovedClock

SERVICE = "payments"
PARAMETERS: dict[str, PlainMapping] = {
    "kubernetes.scale": {"factor": 2.0},
    "haproxy.weight": {"weight": 10},
    "simulated.pool": {"factor": 1.5},
}


def world() -> tuple[ActedWorld, MovedClock]:
    """Return a world at a time when a bad deployment of the service has just begun."""
    scripted = (ScriptedIncident("bad_deployment", 60.0, SERVICE, None, 60.0),)
    config = SimulationConfig(
        services=8, hours=4, incidents_per_day=0, deployments_per_day=0, decoys_per_day=0, scripted=scripted
    )
    clock = MovedClock(config.start + timedelta(minutes=65))
    return ActedWorld(simulate(config), clock), clock


def request(kind: str) -> ActionRequest:
    return ActionRequest(kind, SERVICE, PARAMETERS.get(kind, {}))


def test_every_reaction_has_a_kind() -> None:
    assert {kind.reaction for kind in KINDS.values()} == set(ACTION_KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_planning_changes_nothing_and_applying_brings_the_planned_state(kind: str) -> None:
    acted, clock = world()
    action = simulated_actions(acted)[kind]
    untouched = acted.simulation
    step = action.planner.plan(request(kind))
    assert action.planner.plan(request(kind)) == step
    assert acted.simulation is untouched
    assert action.planner.probe(step) is Outcome.OLD
    assert action.runner is not None
    action.runner.apply(step, "key")
    clock.now += timedelta(minutes=1)
    assert action.planner.probe(step) is Outcome.NEW
    assert len(acted.simulation.actions) == 1


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_undo_brings_the_state_back_or_is_refused(kind: str) -> None:
    acted, clock = world()
    action = simulated_actions(acted)[kind]
    assert action.runner is not None
    step = action.planner.plan(request(kind))
    action.runner.apply(step, "key")
    clock.now += timedelta(minutes=8)
    if not step.undo:
        with pytest.raises(StepRefused, match="cannot be taken back"):
            action.runner.undo(step, "key-undo")
        assert action.planner.probe(step) is Outcome.NEW
        return
    action.runner.undo(step, "key-undo")
    assert action.planner.probe(step) is Outcome.OLD


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_target_that_somebody_else_changed_is_not_touched(kind: str) -> None:
    acted, clock = world()
    action = simulated_actions(acted)[kind]
    assert action.runner is not None
    step = action.planner.plan(request(kind))
    action.runner.apply(step, "key")
    clock.now += timedelta(minutes=1)
    before = acted.simulation.actions
    with pytest.raises(StepRefused, match="somebody else"):
        action.runner.apply(step, "another")
    assert acted.simulation.actions == before


def test_a_rollback_ends_the_bad_deployment_and_its_undo_brings_it_back() -> None:
    acted, clock = world()
    action = simulated_actions(acted)["kubernetes.rollback"]
    assert action.runner is not None
    planned_end = acted.simulation.incidents()["ends_at"].to_pylist()[0]
    step = action.planner.plan(request("kubernetes.rollback"))
    assert (step.before, step.after) == ({"version": 2, "replicas": 3}, {"version": 1, "replicas": 3})
    action.runner.apply(step, "key")
    assert acted.simulation.incidents()["ends_at"].to_pylist()[0] < planned_end - timedelta(minutes=40)
    clock.now += timedelta(minutes=10)
    action.runner.undo(step, "key-undo")
    assert acted.simulation.incidents()["ends_at"].to_pylist()[0] == planned_end


def test_a_restart_planned_before_somebody_scaled_is_not_carried_out() -> None:
    acted, clock = world()
    actions = simulated_actions(acted)
    restart, scale = actions["kubernetes.restart"], actions["kubernetes.scale"]
    step = restart.planner.plan(request("kubernetes.restart"))
    assert scale.runner is not None
    scale.runner.apply(scale.planner.plan(request("kubernetes.scale")), "key")
    clock.now += timedelta(minutes=1)
    assert restart.planner.probe(step) is Outcome.OTHER


@pytest.mark.parametrize(
    ("kind", "service", "parameters", "words"),
    [
        ("kubernetes.rollback", "cart", {}, "no earlier version"),
        ("kubernetes.scale", SERVICE, {}, "one of them"),
        ("kubernetes.scale", SERVICE, {"replicas": 500}, "1 to 100"),
        ("kubernetes.scale", SERVICE, {"replicas": "many"}, "must be a number"),
        ("kubernetes.scale", SERVICE, {"replicas": 3}, "nothing to do"),
        ("haproxy.weight", SERVICE, {"weight": 101}, "0 to 100"),
        ("simulated.pool", SERVICE, {"factor": 99}, ".1 to 10"),
        ("kubernetes.restart", "nobody", {}, "does not exist"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_words(kind: str, service: str, parameters: PlainMapping, words: str) -> None:
    with pytest.raises(ContractError, match=words):
        simulated_actions(world()[0])[kind].planner.plan(ActionRequest(kind, service, parameters))
