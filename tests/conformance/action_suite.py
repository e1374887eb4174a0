"""What every kind of action keeps to on a real target: planning changes nothing, acting compares first, undoing restores."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from aiops.automation.action import Action, ActionRequest, Outcome, PlannedStep
from aiops.errors import ContractError, StepRefused


@dataclass(frozen=True, slots=True)
class ActionCase:
    """A kind on a target that is up: `state` reads it past the action, `meddle` changes it as somebody else would.

    `settles` waits until the target has taken what it was told.
    """

    action: Action
    request: ActionRequest
    state: Callable[[], Any]
    meddle: Callable[[], None]
    settles: Callable[[PlannedStep], None] = lambda _: None


def keeps_to_the_contract(case: ActionCase) -> None:
    """Plan, act twice, and take back.

    Raises:
        AssertionError: it does not keep to it.
    """
    before = case.state()
    step = case.action.planner.plan(case.request)
    assert case.action.planner.plan(case.request) == step, "the same state gives the same step"
    assert case.state() == before, "planning changes nothing"
    assert step.target
    assert step.difference
    assert case.action.planner.probe(step) is Outcome.OLD

    runner = case.action.runner
    assert runner is not None
    runner.apply(step, "key-1")
    case.settles(step)
    assert case.action.planner.probe(step) is Outcome.NEW
    after = case.state()
    assert after != before, "acting changes it"
    with pytest.raises(StepRefused):
        runner.apply(step, "key-1")
    assert case.state() == after, "a second try changes nothing"
    if step.undo:
        runner.undo(step, "key-1-undo")
        case.settles(step)
        assert case.action.planner.probe(step) is Outcome.OLD
        assert case.state() == before, "undoing restores"
    else:
        with pytest.raises(StepRefused):
            runner.undo(step, "key-1-undo")
        assert case.state() == after


def leaves_what_others_changed(case: ActionCase) -> None:
    """Plan, let somebody else change the target, and see that neither acting nor undoing touches it.

    Raises:
        AssertionError: it does.
    """
    step = case.action.planner.plan(case.request)
    case.meddle()
    theirs = case.state()
    runner = case.action.runner
    assert runner is not None
    assert case.action.planner.probe(step) in (Outcome.OTHER, Outcome.UNKNOWN)
    for act in (runner.apply, runner.undo):
        with pytest.raises(StepRefused):
            act(step, "key-2")
        assert case.state() == theirs


def refuses_parameters(action: Action, request: ActionRequest, wrong: Mapping[str, Any]) -> str:
    """Return what is said where some parameters are others.

    Raises:
        AssertionError: they are taken.
    """
    changed = ActionRequest(request.action, request.service, {**request.parameters, **wrong})
    with pytest.raises(ContractError) as refused:
        action.planner.plan(changed)
    return str(refused.value)
