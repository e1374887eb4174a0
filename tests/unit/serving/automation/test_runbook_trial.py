"""Trials of runbooks on fakes: each case comes to what the runbook's own conditions and terms make of it."""

import re
from pathlib import Path

import pytest

from aiops.automation.fact_names import FACTS_OF, Scope
from aiops.automation.runbook import RunbookTest
from aiops.automation.runbook_text import read_runbook
from aiops.automation.trial.example_incident import EXAMPLE, example_facts
from serving.automation.actions.parameter_rules import kinds_of
from serving.automation.runbook_folder import LIBRARY, RunbookFolder
from serving.automation.trial.runbook_trial import TrialResult, tried
from serving.automation.trial.trial_kinds import trial_kinds
from tests.testing.runbook_texts import ROLL_BACK

ROOT = Path(__file__).parents[4]
IN_LIBRARY = RunbookFolder(LIBRARY, kinds_of()).read()
CASES = ("cured", "worse", "changed", "killed")


def trial(text: str, case: str, **facts: object) -> TrialResult:
    test = RunbookTest.model_validate({"name": "x", "case": case, "facts": {n.replace("__", "."): v for n, v in facts.items()}})
    return tried(read_runbook(text, "x.yaml", kinds_of()), test, trial_kinds())


@pytest.mark.parametrize("runbook", IN_LIBRARY.runbooks, ids=lambda runbook: runbook.name)
def test_each_runbook_of_the_library_brings_tests_that_pass(runbook: object) -> None:
    assert {test.case for test in runbook.runbook.tests} >= set(CASES)  # type: ignore[attr-defined]
    results = [tried(runbook, test, trial_kinds()) for test in runbook.runbook.tests]  # type: ignore[arg-type, attr-defined]
    assert [result for result in results if not result.passed] == []


def test_the_library_is_without_faults() -> None:
    assert IN_LIBRARY.faults == ()


@pytest.mark.parametrize(
    ("case", "came"),
    [
        *(("cured", "cured"), ("worse", "undone"), ("changed", "refused")),
        *(("killed", "cured"), ("unclear", "paged"), ("no-match", "planned")),
    ],
)
def test_each_case_comes_to_its_end(case: str, came: str) -> None:
    assert trial(ROLL_BACK, case).came == came


def test_an_incident_that_does_not_fit_gives_no_plan_and_says_why() -> None:
    result = trial(ROLL_BACK, "cured", change__kind="config")
    assert result.came == "no-plan"
    assert result.story == ('change.kind == "deployment" is false (change.kind = "config")',)


def test_a_need_that_does_not_hold_refuses() -> None:
    result = trial(ROLL_BACK, "cured", service__reach=60)
    assert (result.came, result.story) == ("refused", ("service.reach < 50: too many callers",))


def test_the_conditions_of_the_runbook_itself_are_judged_by() -> None:
    never = ROLL_BACK + "  better: after.points > 1000\n"
    assert trial(never, "cured").came == "paged"
    always = ROLL_BACK + "  worse: after.points > 0\n"
    assert trial(always, "cured").came == "paged", "it stays worse after it was taken back"


def test_what_cannot_be_undone_is_not() -> None:
    kill = ROLL_BACK.replace("kubernetes.rollback", "process.restart").replace(
        '{deployment: "{service}", namespace: shop}', '{endpoint: "http://127.0.0.1:1/x"}'
    )
    runbook = read_runbook(kill, "x.yaml")
    result = tried(runbook, RunbookTest(name="x", case="worse", expect="undone"), trial_kinds())
    assert (result.came, result.passed) == ("paged", False)


def test_several_steps_are_taken_back_the_newest_first() -> None:
    two = ROLL_BACK.replace(
        "verify:", '  - action: kubernetes.scale\n    with: {workload: "{service}", namespace: x, replicas: 3}\nverify:'
    )
    result = trial(two, "worse")
    assert result.came == "undone"
    undone = [line for line in result.story if "takes back step" in line]
    assert [line.split()[3] for line in undone] == ["2:", "1:"]


def test_a_step_after_a_kill_is_read_and_not_repeated() -> None:
    story = trial(ROLL_BACK, "killed").story
    assert sum(line.startswith("step 1: kubernetes.rollback") for line in story) == 1


def test_the_tests_of_the_documentation_pass_on_its_runbook() -> None:
    page = (ROOT / "docs" / "how-to" / "runbooks.md").read_text(encoding="utf-8")
    blocks = {block.partition(":")[0]: block for block in re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)}
    runbook = read_runbook(blocks["runbook"].partition("tests:")[0] + blocks["tests"], "page", kinds_of())
    results = [tried(runbook, test, trial_kinds()) for test in runbook.runbook.tests]
    assert [result.passed for result in results] == [True, True, True], results
    asks = read_runbook(
        re.sub(r"^do:.*?^limits:", blocks["do"] + "limits:", blocks["runbook"], flags=re.M | re.S), "page", kinds_of()
    )
    assert [step.action for step in asks.runbook.steps] == ["human.ask", "notify"]


def test_the_example_says_every_fact_of_a_match_with_its_type() -> None:
    declared = {fact.name: str(fact.type) for fact in FACTS_OF[Scope.MATCH]}
    assert EXAMPLE.keys() == declared.keys()
    kinds = {str: "string", float: "double", int: "int", bool: "bool", tuple: "list(string)"}
    assert {name: kinds[type(value)] for name, value in EXAMPLE.items()} == declared


def test_facts_of_a_test_replace_those_of_the_example() -> None:
    facts = example_facts({"change.exists": False, "cause.age_s": 5, "cause.rising": ["a"], "incident.storm": None})
    assert (facts["change.exists"], facts["cause.age_s"], facts["cause.rising"]) == (False, 5.0, ("a",))
    assert not any(name.startswith("change.") and name != "change.exists" for name in facts)
    assert "incident.storm" not in facts
