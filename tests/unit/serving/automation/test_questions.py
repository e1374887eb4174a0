"""Runs that ask a human: they wait for the answer, go on with it, and take back what they did where there is none."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from aiops.automation.action import Action, ActionRequest, Outcome, PlannedStep, Risk
from aiops.automation.run import Answer, Approval, RunState, StepState
from aiops.automation.run_ledger import PlannedRun, Remainder, Switch
from aiops.automation.runbook_text import FaultyRunbook, read_runbook
from aiops.automation.service_state import Verdict
from aiops.automation.urgency import Urgency, urgencies
from aiops.errors import ContractError
from serving.automation.actions.human_question import HumanQuestion
from serving.automation.actions.once_action import once_action
from serving.automation.runner.run_executor import Advance, ExecutorParts, RunExecutor
from tests.testing.automation_runs import RunWorld
from tests.testing.automation_world import FakeActions, FakeTarget, FixedLooks, finding, plan_of, step_of
from tests.testing.runbook_texts import ROLL_BACK

FORM = {
    "question": "Is the batch done?",
    "fields": [
        {"name": "reason"},
        {"name": "rows", "type": "number"},
        {"name": "go", "type": "yes_no"},
        {"name": "where", "type": "choice", "choices": ["shop", "web"]},
    ],
}
GOOD = {"reason": "it {is}", "rows": "12.5", "go": "yes", "where": "shop"}
WAIT = timedelta(minutes=30)


class Noted:
    """An action that keeps what it was told to say."""

    kind, risk = "notify", Risk.LOW

    def __init__(self) -> None:
        self.texts: list[str] = []

    def plan(self, request: ActionRequest) -> PlannedStep:
        raise NotImplementedError

    def probe(self, step: PlannedStep, key: str = "") -> Outcome:
        return Outcome.NEW if self.texts else Outcome.OLD

    def apply(self, step: PlannedStep, key: str) -> None:
        self.texts.append(str(step.parameters["text"]))

    def undo(self, step: PlannedStep, key: str) -> None:
        raise NotImplementedError


class AnsweredRun:
    """A run of three steps: it acts, asks, and says the answer."""

    def __init__(self, verdict: Verdict = Verdict.BETTER) -> None:
        self.world = RunWorld({1: FakeTarget()}, [True], 0, [finding(verdict)])
        self.noted = Noted()
        asked = once_action(HumanQuestion()).planner.plan(ActionRequest("human.ask", "cart", FORM))
        said = replace(step_of(3, False, 0), action="notify", parameters={"text": "because {answer.reason}"}, target="message")
        steps = [step_of(1, True, 0), replace(asked, number=2, timeout_s=WAIT.total_seconds()), said]
        ledger = self.world.ledger
        planned = ledger.propose(plan_of(steps, None))
        approval = Approval("alice", self.world.clock(), planned.plan.fingerprint)
        self.planned = ledger.approve(planned.plan.plan_id, approval, "operator")

    def executor(self) -> RunExecutor:
        """Return a process that has just begun."""
        actions: Mapping[str, Action] = {
            "fake": FakeActions(self.world.targets).action,
            "human.ask": once_action(HumanQuestion()),
            "notify": Action(self.noted, self.noted),
        }
        world = self.world
        return RunExecutor(
            ExecutorParts(
                world.ledger,
                actions,
                world.plans,
                FixedLooks(),
                lambda verify, looks: world.verdicts[0],
                world.clock,
                world.calls,
            )
        )

    def go_on(self) -> PlannedRun:
        """Let fresh processes do what is to be done now, one move each."""
        run_id = self.planned.run.run_id
        for _ in range(100):
            advance: Advance = self.executor().advance(self.world.ledger.get(run_id))
            if not advance.changed:
                return advance.planned
        raise AssertionError("it goes on for ever")

    def to_the_end(self) -> PlannedRun:
        for _ in range(50):
            planned = self.go_on()
            if planned.run.has_ended:
                return planned
            self.world.clock.now += timedelta(minutes=1)
        raise AssertionError("it does not end")

    def answer(self, **more: object) -> PlannedRun:
        values = {"by": "ann", "at": self.world.clock(), "values": GOOD, **more}
        return self.world.ledger.answer(self.planned.run.run_id, Answer(**values))  # type: ignore[arg-type]


def states(planned: PlannedRun) -> list[StepState]:
    return [step.state for step in planned.run.steps]


def test_a_run_waits_for_its_answer_and_says_it() -> None:
    answered_run = AnsweredRun()
    waiting = answered_run.go_on()
    assert states(waiting) == [StepState.DONE, StepState.INTENDED, StepState.PENDING]
    (asked,) = [(event, urgency) for event, urgency in urgencies(waiting) if event.what.startswith("asks: ")]
    assert asked[1] is Urgency.PAGE
    assert f"aiops runs answer {waiting.run.run_id}" in asked[0].what
    answered_run.world.clock.now += timedelta(minutes=20)
    assert answered_run.go_on() == waiting, "nothing is written while it waits"
    answered = answered_run.answer()
    assert (answered.run.events[-1].by, answered.run.steps[1].answers) == ("ann", GOOD)
    assert "rows=12.5" in answered.run.events[-1].what
    ended = answered_run.to_the_end()
    assert ended.run.state is RunState.CURED
    assert answered_run.noted.texts == ["because it {is}"]


@pytest.mark.parametrize("late", [False, True])
def test_without_an_answer_what_ran_is_taken_back(late: bool) -> None:
    answered_run = AnsweredRun()
    answered_run.go_on()
    if late:
        answered_run.world.clock.now += WAIT
        with pytest.raises(ContractError, match="could be answered until"):
            answered_run.answer()
    else:
        answered_run.answer(declined=True, values={}, note="not now")
    ended = answered_run.to_the_end()
    assert ended.run.state is RunState.FAILED
    assert states(ended) == [StepState.UNDONE, StepState.REFUSED, StepState.PENDING]
    assert ended.run.steps[1].note == ("not answered in time" if late else "declined by ann: not now")
    assert answered_run.world.targets[1].truth == "old"
    with pytest.raises(ContractError, match="asks nothing now"):
        answered_run.answer()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rows": "many"}, "answers.rows='many': must be a number"),
        ({"rows": "nan"}, "must be a number"),
        ({"go": "maybe"}, "must be yes or no"),
        ({"where": "db"}, "give one of: shop, web"),
        ({"reason": "a\nb"}, "printable characters in one line"),
        ({"reason": "x" * 501}, "1 to 500"),
        ({"colour": "red"}, "no such field; it has: reason, rows, go, where"),
    ],
)
def test_answers_fit_their_fields(wrong: dict[str, str], words: str) -> None:
    answered_run = AnsweredRun()
    waiting = answered_run.go_on()
    with pytest.raises(ContractError) as refused:
        answered_run.answer(values={**GOOD, **wrong})
    assert words in str(refused.value)
    with pytest.raises(ContractError, match=r"answers\.where is missing"):
        answered_run.answer(values={name: GOOD[name] for name in ("reason", "rows", "go")})
    assert answered_run.world.ledger.get(waiting.run.run_id) == waiting


@pytest.mark.parametrize(("remainder", "truth"), [(Remainder.UNDO, "old"), (Remainder.STOP, "new")])
def test_the_switch_is_heard_while_a_run_waits(remainder: Remainder, truth: str) -> None:
    answered_run = AnsweredRun(Verdict.UNCLEAR)
    answered_run.go_on()
    answered_run.world.ledger.turn(Switch(False, answered_run.world.clock(), "ann", remainder=remainder))
    assert answered_run.go_on().run.state is RunState.STOPPED
    assert answered_run.world.targets[1].truth == truth
    with pytest.raises(ContractError, match="asks nothing now"):
        answered_run.answer()


def test_a_form_that_cannot_be_used_is_refused() -> None:
    planner = once_action(HumanQuestion()).planner
    for fields, words in (
        ([{"name": "a", "type": "choice"}], "choices and type choice go together"),
        ([{"name": "a"}, {"name": "a"}], "one is there twice"),
        ([{"name": "A b"}], r"with\.fields\.0\.name"),
    ):
        with pytest.raises(ContractError, match=words):
            planner.plan(ActionRequest("human.ask", "cart", {"question": "Well?", "fields": fields}))


ASKS_AND_SAYS = """\
do:
  - {action: human.ask, with: {question: "Well?", fields: [{name: reason}]}, timeout: 30m}
  - {action: notify, with: {incident: "{incident}", text: "because {answer.reason}"}}
"""


def test_answers_stand_only_where_an_earlier_step_asks_and_a_kind_takes_them() -> None:
    head, _, tail = ROLL_BACK.partition("do:\n")
    after = tail[tail.index("\n", tail.index("timeout")) + 1 :] if "timeout" in tail else tail
    text = head + ASKS_AND_SAYS + after
    assert len(read_runbook(text, "rb.yaml").runbook.steps) == 2
    for old, new, words in (
        ("{answer.reason}", "{answer.colour}", "no earlier step asks for it; asked for: reason"),
        ("action: notify", "action: http.call", "http.call is approved for its very values; only dagster.job and notify"),
        ("Well?", "{answer.reason}", "human.ask is approved for its very values"),
    ):
        with pytest.raises(FaultyRunbook) as refused:
            read_runbook(text.replace(old, new), "rb.yaml")
        assert words in str(refused.value)
