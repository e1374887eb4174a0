"""Series of lines are appended once each, whatever is killed when: equal to an undisturbed run; a naive stage's are not."""

import threading
from pathlib import Path

import pytest

from aiops.settings.signal_settings import SignalSettings
from serving.signal_minutes.signal_process import SignalProcess
from serving.stream import streams
from tests.testing.deadlines import within
from tests.testing.minute_double import makers
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
from tests.testing.stream_harness import wait_until

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


def test_switched_off_it_is_ready_and_takes_nothing(tmp_path: Path) -> None:
    stop = threading.Event()
    with SignalWorld(tmp_path / "home") as world:
        world.send(BATCHES[:20])
        signals = SignalSettings(minutes=False, metrics_port=0)
        process = SignalProcess(world.settings.model_copy(update={"signals": signals}), makers(), stop)
        running = threading.Thread(target=process.run)
        running.start()
        assert wait_until(lambda: process.is_ready, within(20))
        stop.set()
        running.join(within(20))
        assert not running.is_alive()
        assert not world.remote.hash_all(streams.offset("signals", 0)), "it owned no partition"


@pytest.mark.slow
def test_kills_change_nothing_and_the_control_shows_that_the_test_can_fail(tmp_path: Path) -> None:
    expected = undisturbed(tmp_path / "reference")
    assert len(expected.points) > 500
    assert expected.doubled == 0
    assert any(metric == "request.change_ratio" for _, _, _, metric, *_ in expected.points), "requests are among them"
    assert expected.letters
    assert disturbed(tmp_path / "killed", KillPlan(3, 5, 2)) == expected
    assert naively_disturbed(tmp_path / "naive", KillPlan(3, 3)).doubled > 0
