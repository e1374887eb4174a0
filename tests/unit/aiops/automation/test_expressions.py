"""Expressions: what is misnamed or of the wrong type is refused in its place; what is not known does not hold."""

import pytest

from aiops.automation.condition_parts import failed_parts
from aiops.automation.expressions import Answer, ExpressionError, condition
from aiops.automation.fact_names import FACTS_OF, Scope
from aiops.automation.fact_values import match_facts
from aiops.automation.runbook import Verify
from tests.testing.explained_incidents import view


@pytest.mark.parametrize(
    ("text", "line", "column", "said"),
    [
        ("cause.probabilty > 0.5", 1, 1, "did you mean cause.probability"),
        ("true &&\n  incident.colour == 'red'", 2, 3, "incident.colour is no fact that match may name"),
        ("service.replicas > 1", 1, 1, "only in needs"),
        ("cause.probability > 1", 1, 19, "compared with 1.0"),
        ("incident.service_count > 1.0", 1, 24, "an int with 1"),
        ("incident.severity == 1", 1, 19, "(string, int)"),
        ("incident.severity", 1, 1, "must be true or false"),
        ("cause.decided &&", 1, 17, "Syntax error"),
        ("dyn(cause.decided)", 1, 1, "of type dyn"),
        ("(" * 500 + "true" + ")" * 500, 1, 1, "recursion"),
    ],
)
def test_a_fault_is_said_with_its_place(text: str, line: int, column: int, said: str) -> None:
    with pytest.raises(ExpressionError) as refused:
        condition(text, Scope.MATCH)
    fault = refused.value.faults[0]
    assert (fault.line, fault.column) == (line, column)
    assert said in fault.message


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(ExpressionError) as refused:
        condition("cause.a > 1.0 || cause.b > 1.0", Scope.MATCH)
    assert [fault.column for fault in refused.value.faults] == [1, 18]


@pytest.mark.parametrize("scope", list(Scope))
def test_every_declared_name_can_be_named(scope: Scope) -> None:
    for fact in FACTS_OF[scope]:
        assert condition(f"{fact.name} == {fact.name}", scope).names == (fact.name,)


def test_what_is_absent_is_unknown_and_not_true() -> None:
    absent = condition("!(change.age_s < 600.0)", Scope.MATCH)
    assert absent.answer({}) == Answer(False, "change.age_s is not known")
    guarded = condition("change.exists && change.age_s < 600.0", Scope.MATCH)
    assert guarded.answer({"change.exists": False}) == Answer(False)
    assert guarded.answer({"change.exists": True, "change.age_s": 5.0}) == Answer(True)


def test_an_expression_that_never_ends_has_no_answer() -> None:
    numbers = f"[{','.join(['0'] * 200)}]"
    endless = condition(f"{numbers}.all(x, {numbers}.all(y, {numbers}.all(z, true)))", Scope.MATCH)
    answer = endless.answer({})
    assert not answer.holds
    assert "cannot be evaluated" in answer.unknown


def test_the_terms_of_verification_that_hold_by_default_are_valid() -> None:
    assert condition(Verify().better, Scope.VERIFY).answer({}).unknown
    assert condition(Verify().worse, Scope.VERIFY).names[0] == "after.error_excess"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("cause.decided && cause.probability > 0.95", ["cause.probability > 0.95"]),
        ("(cause.decided && change.kind == 'config') && incident.storm", ["change.kind == 'config'", "incident.storm"]),
        ("incident.storm || (change.kind == 'a' || cause.service == '&& ||')", None),
        ("incident.storm ? true : cause.service == 'x'", ["incident.storm ? true : cause.service == 'x'"]),
        ("cause.decided && change.exists", []),
        ("!(cause.decided && change.exists) // never", ["!(cause.decided && change.exists)"]),
    ],
)
def test_the_part_that_is_false_is_named(text: str, parts: list[str] | None) -> None:
    failed = failed_parts(text, Scope.MATCH, match_facts(view()))
    expected = ["incident.storm", "change.kind == 'a'", "cause.service == '&& ||'"] if parts is None else parts
    assert [part.text.removesuffix(" // never") for part in failed] == expected


def test_a_part_is_said_with_the_values_that_it_names() -> None:
    (part,) = failed_parts("cause.probability > 0.95", Scope.MATCH, match_facts(view()))
    assert part.sentence == "cause.probability > 0.95 is false (cause.probability = 0.9)"
    (unknown,) = failed_parts("change.age_s < 60.0", Scope.MATCH, {"change.exists": False})
    assert unknown.sentence == ("change.age_s < 60.0 is not known: change.age_s is not known (change.age_s = not known)")
