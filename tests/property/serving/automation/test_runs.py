"""Runs over all that targets and dying processes may do: nothing twice, nothing on a guess, and always an end."""

from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.automation.run import RunState, StepState
from aiops.automation.run_ledger import PlannedRun, Remainder, Switch
from aiops.automation.runbook import Verify
from aiops.automation.service_state import Verdict
from tests.testing.automation_runs import RunWorld, driven
from tests.testing.automation_world import FakeTarget, finding

DOINGS = ("ok", "refuse", "lost", "unheard", "die before", "die after", "half", "meddle", "ignore")


scripts = st.lists(st.sampled_from(DOINGS), max_size=4)
findings = st.tuples(st.sampled_from(list(Verdict)), st.booleans()).map(
    lambda drawn: finding(drawn[0], known=drawn[1] or drawn[0] is not Verdict.UNCLEAR)
)


@st.composite
def worlds(draw: st.DrawFn) -> RunWorld:
    """Draw a world."""
    count = draw(st.integers(1, 3))
    targets = {number: FakeTarget(script=draw(scripts), silent=draw(st.integers(0, 2))) for number in range(1, count + 1)}
    undoable = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    deaths = draw(st.lists(st.booleans(), max_size=12))
    return RunWorld(targets, undoable, draw(st.integers(0, 2)), draw(st.lists(findings, min_size=1, max_size=4)), deaths)


afterwards = st.sampled_from(["close", "undo", "page"])
follows = st.fixed_dictionaries({"on_better": afterwards, "on_worse": afterwards, "on_unclear": afterwards}).map(
    Verify.model_validate
)


@settings(max_examples=150)
@given(worlds(), follows)
def test_nothing_twice_and_the_log_says_the_state(world: RunWorld, verify: Verify) -> None:
    seen = list(driven(world, world.approved(verify)))
    last = seen[-1]
    assert last.run.has_ended
    for step in last.run.steps:
        target = world.targets[step.number]
        assert all(first != then for first, then in zip(target.effects, target.effects[1:], strict=False)), "applied twice"
        assert "half" not in target.effects[:-1], "acted on a guess"
        if step.state is StepState.DONE:
            assert target.truth in ("new", "other")
        elif step.state in (StepState.PENDING, StepState.UNDONE):
            assert target.truth in ("old", "other")
        elif step.state is StepState.REFUSED:
            assert target.truth in ("old", "other")
            assert "new" not in target.effects


@settings(max_examples=150)
@given(worlds(), follows)
def test_cured_is_only_what_was_done_and_found_better(world: RunWorld, verify: Verify) -> None:
    verdicts = {given.verdict for given in world.verdicts}
    last = list(driven(world, world.approved(verify)))[-1]
    if last.run.state is RunState.CURED:
        assert Verdict.BETTER in verdicts
        assert all(step.state is StepState.DONE for step in last.run.steps)
    if last.run.state is RunState.UNDONE:
        undoable = [step for step, can in zip(last.run.steps, world.undoable, strict=True) if can]
        assert all(step.state is not StepState.DONE for step in undoable)
    if last.run.state is RunState.FAILED:
        assert all(step.state in (StepState.REFUSED, StepState.PENDING, StepState.UNDONE) for step in last.run.steps)


@settings(max_examples=150)
@given(worlds())
def test_the_newest_is_taken_back_first_and_only_what_ran(world: RunWorld) -> None:
    begun: list[int] = []
    before: dict[int, StepState] = {}
    for planned in driven(world, world.approved()):
        for step in planned.run.steps:
            if step.state is StepState.UNDO_INTENDED and before.get(step.number) is not StepState.UNDO_INTENDED:
                assert before[step.number] is StepState.DONE, "taken back without having run"
                begun += [step.number] if step.number not in begun else []
            before[step.number] = step.state
    assert begun == sorted(begun, reverse=True)


@given(st.integers(0, 40), st.booleans())
def test_a_switch_that_cannot_be_read_holds_back_effects_at_any_point(moves: int, worse: bool) -> None:
    world = RunWorld({1: FakeTarget(), 2: FakeTarget()}, [True, True], 0, [finding(Verdict.WORSE if worse else Verdict.BETTER)])
    planned = run_after(world, moves)
    effects = [list(target.effects) for target in world.targets.values()]
    world.ledger.unread = True
    after = [planned, *driven(world, planned)][-1]
    assert [target.effects for target in world.targets.values()] == effects, "something was changed with the switch off"
    if after.run.has_ended:
        return
    assert after.run.state in (RunState.ACTING, RunState.UNDOING)
    assert sum(event.what.startswith("held") for event in after.run.events) == 1
    world.ledger.unread = False
    assert list(driven(world, after))[-1].run.has_ended


@given(st.integers(0, 40), st.booleans(), st.sampled_from(list(Remainder)))
def test_the_switch_ends_what_acts_as_it_says(moves: int, worse: bool, remainder: Remainder) -> None:
    world = RunWorld({1: FakeTarget(), 2: FakeTarget()}, [True, True], 0, [finding(Verdict.WORSE if worse else Verdict.BETTER)])
    planned = run_after(world, moves)
    effects = [list(target.effects) for target in world.targets.values()]
    world.ledger.turn(Switch(False, world.clock(), "alice", "", remainder))
    last = [planned, *driven(world, planned)][-1]
    assert last.run.has_ended
    if remainder is Remainder.STOP:
        assert [target.effects for target in world.targets.values()] == effects
    if remainder is Remainder.UNDO and not planned.run.has_ended and planned.run.state is not RunState.CHECKING:
        assert {target.truth for target in world.targets.values()} == {"old"}
        assert last.run.state in (RunState.UNDONE, RunState.STOPPED, RunState.UNCLEAR)


def run_after(world: RunWorld, moves: int) -> PlannedRun:
    """Return a run after so many moves, or at its end."""
    planned = world.approved()
    for number, last in enumerate(driven(world, planned)):
        planned = last
        if number == moves:
            break
    return planned
