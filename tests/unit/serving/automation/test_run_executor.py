"""Single runs: what is done, what is not, and who has to know of it."""

import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from aiops.automation.action import Outcome
from aiops.automation.run import RunState, StepState
from aiops.automation.run_ledger import PlannedRun, Remainder, RunChange, Switch
from aiops.automation.runbook import Verify
from aiops.automation.service_state import Verdict
from aiops.automation.step_tries import Call
from aiops.automation.urgency import Urgency, urgencies
from serving.automation.runner.bounded_calls import ThreadedCalls, probed
from tests.testing.automation_runs import RunWorld, driven
from tests.testing.automation_world import NOON, TIMEOUT_S, FakeActions, FakeTarget, finding, plan_of, step_of
from tests.testing.deadlines import within


def world_of(*scripts: Sequence[str], verdict: Verdict = Verdict.BETTER, undo: bool = True, retries: int = 0) -> RunWorld:
    targets = {number: FakeTarget(script=list(script)) for number, script in enumerate(scripts, 1)}
    return RunWorld(targets, [undo] * len(scripts), retries, [finding(verdict)])


def ended(world: RunWorld, verify: Verify | None = None) -> PlannedRun:
    return list(driven(world, world.approved(verify)))[-1]


def truths(world: RunWorld) -> list[str]:
    return [target.truth for target in world.targets.values()]


def loudest(planned: PlannedRun) -> Urgency:
    return max(urgency for _, urgency in urgencies(planned))


def test_a_run_that_helps_is_cured() -> None:
    world = world_of([], [])
    planned = ended(world)
    assert (planned.run.state, truths(world), loudest(planned)) == (RunState.CURED, ["new", "new"], Urgency.NOTICE)


def test_an_intent_is_stored_before_its_effect() -> None:
    world = world_of([])
    seen = [(run.run.steps[0].state, world.targets[1].effects) for run in driven(world, world.approved())]
    assert StepState.INTENDED in [state for state, _ in seen]
    dying = world_of(["die before"])
    planned = ended(dying)
    assert dying.targets[1].effects == []
    assert planned.run.steps[0].state is StepState.REFUSED


def test_worse_is_undone_and_pages() -> None:
    world = world_of([], [], verdict=Verdict.WORSE)
    world.verdicts = [finding(Verdict.WORSE), finding(Verdict.UNCLEAR)]
    planned = ended(world)
    assert (planned.run.state, truths(world), loudest(planned)) == (RunState.UNDONE, ["old", "old"], Urgency.PAGE)


def test_harm_is_acted_on_before_the_window_is_over() -> None:
    world = world_of([], verdict=Verdict.WORSE)
    early = next(run for run in driven(world, world.approved()) if run.run.state is RunState.UNDOING)
    assert (early.run.changed_at - NOON).total_seconds() < Verify().settle + Verify().window


def test_unclear_is_no_success_and_pages() -> None:
    planned = ended(world_of([], verdict=Verdict.UNCLEAR))
    assert (planned.run.state, loudest(planned)) == (RunState.UNCLEAR, Urgency.PAGE)


def test_what_ran_before_a_refused_step_is_taken_back() -> None:
    world = world_of([], ["refuse"])
    planned = ended(world)
    assert (planned.run.state, truths(world)) == (RunState.FAILED, ["old", "old"])
    assert [step.state for step in planned.run.steps] == [StepState.UNDONE, StepState.REFUSED]


def test_what_others_have_changed_is_not_touched_and_is_the_loudest_page() -> None:
    world = world_of([], verdict=Verdict.WORSE)
    for planned in driven(world, world.approved()):
        if planned.run.state is RunState.UNDOING:
            world.targets[1].truth = "other"
    assert (planned.run.state, truths(world), loudest(planned)) == (RunState.UNDO_FAILED, ["other"], Urgency.ALARM)


def test_an_unknown_outcome_is_waited_for_then_read() -> None:
    world = world_of(["unheard"])
    assert ended(world).run.state is RunState.CURED
    assert world.targets[1].effects == ["new"]


def test_a_try_that_surely_changed_nothing_is_repeated_only_after_its_time() -> None:
    world = world_of(["lost"], retries=1)
    seen = list(driven(world, world.approved()))
    again = next(run for run in seen if run.run.steps[0].tries == 2)
    first = next(run for run in seen if run.run.steps[0].tries == 1)
    assert again.run.changed_at - first.run.changed_at >= timedelta(seconds=TIMEOUT_S)
    assert seen[-1].run.state is RunState.CURED


@pytest.mark.parametrize("doing", ["half", "ignore"])
def test_what_nobody_can_say_is_paged_and_left_alone(doing: str) -> None:
    world = world_of([doing], retries=2)
    planned = ended(world)
    assert (planned.run.state, planned.run.steps[0].tries, loudest(planned)) == (RunState.UNCLEAR, 1, Urgency.PAGE)


def test_a_stale_plan_is_refused_and_what_it_would_be_now_waits() -> None:
    world = world_of([])
    planned = world.approved()
    changed = replace(step_of(1), before={"value": "older"})
    world.plans.anew_as = plan_of([changed], made_at=NOON + timedelta(seconds=1))
    last = list(driven(world, planned))[-1]
    assert (last.run.state, truths(world)) == (RunState.REFUSED, ["old"])
    assert [run.run.state for run in world.ledger.open_runs()] == [RunState.WAITING]


def test_a_plan_that_waits_is_escalated_once_and_expires() -> None:
    world = world_of([])
    planned = world.ledger.propose(plan_of([step_of(1)]))
    last = list(driven(world, planned))[-1]
    assert last.run.state is RunState.EXPIRED
    assert [urgency for _, urgency in urgencies(last)] == [Urgency.NOTICE, Urgency.PAGE, Urgency.NOTICE]


def test_an_old_approval_does_not_begin() -> None:
    world = world_of([])
    planned = world.approved()
    world.clock.pass_s(901)
    assert list(driven(world, planned))[-1].run.state is RunState.EXPIRED


def test_a_run_that_is_stopped_while_it_acts_pages() -> None:
    world = world_of([], [])
    planned = next(run for run in driven(world, world.approved()) if run.run.steps[0].state is StepState.DONE)
    world.ledger.turn(Switch(False, world.clock(), "alice", "", Remainder.STOP))
    last = list(driven(world, planned))[-1]
    assert (last.run.state, loudest(last), truths(world)) == (RunState.STOPPED, Urgency.PAGE, ["new", "old"])


def test_what_is_approved_is_stopped_by_the_switch() -> None:
    world = world_of([])
    planned = world.approved()
    world.ledger.turn(Switch(False, world.clock(), "alice"))
    last = list(driven(world, planned))[-1]
    assert (last.run.state, loudest(last), truths(world)) == (RunState.STOPPED, Urgency.NOTICE, ["old"])


def test_another_process_that_changed_the_run_is_followed() -> None:
    world = world_of([])
    planned = world.approved()
    world.ledger.change(planned, RunChange(RunState.STOPPED, world.clock(), (), "no", "alice"))
    advance = world.executor().advance(planned)
    assert (advance.planned.run.state, truths(world)) == (RunState.STOPPED, ["old"])


def test_a_call_that_hangs_is_left_behind_and_said_to_hang() -> None:
    release = threading.Event()

    def work() -> None:
        release.wait(within(30))

    call = ThreadedCalls().begin(work)
    assert call.result(0.01).call is Call.HANGING
    release.set()
    assert call.result(within(10)).call is Call.RETURNED


def test_a_probe_that_hangs_is_unknown() -> None:
    release = threading.Event()

    class Silent(FakeActions):
        def probe(self, step: object, key: str = "") -> Outcome:
            release.wait(within(30))
            return Outcome.NEW

    assert probed(ThreadedCalls(), Silent({}), step_of(1), patience_s=0.01) is Outcome.UNKNOWN
    release.set()


def test_a_hanging_call_is_not_repeated() -> None:
    world = world_of([], retries=3)
    release = threading.Event()
    world.calls = ThreadedCalls()
    world.targets[1].held = release
    planned = ended(world)
    release.set()
    assert (planned.run.state, planned.run.steps[0].tries) == (RunState.UNCLEAR, 1)
