"""Series of lines are appended once each, whatever is killed when: equal to an undisturbed run; a naive stage's are not."""

from pathlib import Path

import pytest

from tests.testing.signal_world import (
    NAIVE,
    KillPlan,
    SignalOutcome,
    SignalWorld,
    drain,
    outcome_of,
    signal_batches,
    wait_settled,
)

BATCHES = signal_batches(400)


def undisturbed(home: Path) -> SignalOutcome:
    with SignalWorld(home) as world:
        world.send(BATCHES)
        stage = world.start()
        wait_settled(world)
        assert drain(stage) == 0, world.log()
        return outcome_of(world)


def disturbed(home: Path, plan: KillPlan) -> SignalOutcome:
    with SignalWorld(home) as world:
        world.send_and_kill(BATCHES, plan)
        wait_settled(world)
        assert drain(world.stages[-1]) == 0, world.log()
        return outcome_of(world)


def naively_disturbed(home: Path, plan: KillPlan) -> SignalOutcome:
    with SignalWorld(home) as world:
        world.send_and_kill(BATCHES, plan, NAIVE)
        return outcome_of(world)


@pytest.mark.slow
def test_kills_change_nothing_and_the_control_shows_that_the_test_can_fail(tmp_path: Path) -> None:
    expected = undisturbed(tmp_path / "reference")
    assert len(expected.points) > 500
    assert expected.doubled == 0
    assert expected.letters
    assert disturbed(tmp_path / "killed", KillPlan(3, 5, 2)) == expected
    assert naively_disturbed(tmp_path / "naive", KillPlan(3, 3)).doubled > 0
