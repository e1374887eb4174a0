"""Runbooks as text: everything that is wrong with a file is said at once, in its place; what may not be built is refused."""

import re

import pytest

from aiops.automation.runbook import Runbook
from aiops.automation.runbook_text import FaultyRunbook, canonical_text, read_runbook
from tests.testing.documentation import ROOT
from tests.testing.runbook_texts import KINDS, ROLL_BACK


def faults_of(text: str) -> list[str]:
    with pytest.raises(FaultyRunbook) as refused:
        read_runbook(text, "rb.yaml", KINDS)
    return [f"{fault.line}:{fault.column} {fault.message}" for fault in refused.value.faults]


def test_a_runbook_is_read() -> None:
    runbook = read_runbook(ROLL_BACK, "rb.yaml", KINDS).runbook
    assert (runbook.runbook, runbook.target.service) == ("roll-back", "cause")
    assert runbook.steps[0].parameters == {"deployment": "{service}", "namespace": "shop"}
    assert (runbook.steps[0].timeout, runbook.verify.settle, runbook.limits.cool_down) == (120.0, 90.0, 900.0)


def test_the_version_is_that_of_the_content() -> None:
    version = read_runbook(ROLL_BACK, "rb.yaml").version
    other_form = "# another comment\n" + ROLL_BACK.replace('"{service}"', "'{service}'").replace("2m", "120s")
    assert read_runbook(other_form, "elsewhere.yaml").version == version
    assert read_runbook(ROLL_BACK.replace("0.8", "0.9"), "rb.yaml").version != version
    assert read_runbook(canonical_text(read_runbook(ROLL_BACK, "rb.yaml").runbook), "rb.yaml").version == version


FAULTY = """\
runbook: 12
title: a
title: b
match: >
  cause.decided && cause.probabilty > 0.8
  && change.exists && change.kind == 1
colour: red
needs:
  - that: 'service.reach < 5.0 && ''a'' == foo'
    why: too much
do:
  - action: kubernetes.rolback
    with: {deployment: "{servce}", namespace: shop}
    timeout: 120
verify:
  settle: 90.0
  better: |
    after.points > 1
      && after.x == 1
limits: {per_hour: "2"}
target: {service: nobody}
tests: [{name: a, case: cured, facts: {cause.decided: 1, foo: 2}}]
"""


def test_all_that_is_wrong_is_said_at_once_and_in_its_place() -> None:
    said = faults_of(FAULTY)
    expected = [
        "1:10 runbook = 12",
        "3:1 key 'title' stands twice, first in line 2",
        "5:20 match: cause.probabilty is no fact",
        "6:35 match: == cannot be applied to (string, int)",
        "7:1 colour: no such field",
        "9:26 needs[0].that: < cannot be applied",
        "9:44 needs[0].that: foo is no fact",
        "12:13 do[0].action = 'kubernetes.rolback': no such action; did you mean kubernetes.rollback?",
        "13:25 do[0].with.deployment: {servce} cannot be filled in",
        "14:14 do[0].timeout = 120: duration=120 must be a number with a unit",
        "16:11 verify.settle = 90.0: duration=90.0 must be",
        "19:10 verify.better: after.x is no fact",
        "20:20 limits.per_hour = '2'",
        "21:19 target.service = 'nobody'",
        "22:55 cause.decided = 1: it must be of type bool",
        "22:58 foo is no fact",
    ]
    assert len(said) == len(expected)
    for message, beginning in zip(said, expected, strict=True):
        assert message.startswith(beginning)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1 the file is empty"),
        ("- 1", "1:1 a runbook is a mapping"),
        ("a: &x 1", "1:4 anchor &x: anchors are refused"),
        ("a: [*x]", "1:5 alias *x: aliases are refused"),
        ("a: !!python/object:os.system x", "1:4 tag "),
        ("a: 1\n---\na: 2", "2:1 a second document"),
        ("a: [1", "1:6 no YAML"),
        ("a: \t\x01", "1:1 no YAML"),
        ("[" * 5000, "1:21 nested deeper than 20"),
        ("a: " + "x" * 70_000, "1:1 the file is longer"),
        ("? [a]\n: 1", "1:3 a key must be a text"),
    ],
)
def test_what_may_not_be_built_is_refused(text: str, said: str) -> None:
    assert any(message.startswith(said) for message in faults_of(text))


def test_a_bomb_of_aliases_is_refused_before_it_is_built() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    assert all("refused" in message for message in faults_of("\n".join(lines)))


@pytest.mark.parametrize("word", ["no", "on", "1.2.3", "2026-01-01", "0x1F", "017", "1_000", "12:30:45"])
def test_text_is_text_until_the_schema_says_otherwise(word: str) -> None:
    text = ROLL_BACK.replace("namespace: shop", f"namespace: {word}")
    assert read_runbook(text, "rb.yaml").runbook.steps[0].parameters["namespace"] == word


def test_a_missing_field_is_named() -> None:
    assert faults_of("runbook: a\ntitle: b\nmatch: cause.decided\n") == ["1:1 do is missing"]


def test_the_error_names_file_line_and_column() -> None:
    with pytest.raises(FaultyRunbook, match=r"^shop/rb\.yaml:1:1: the file is empty"):
        read_runbook("", "shop/rb.yaml")


def test_programs_write_durations_as_seconds() -> None:
    runbook = read_runbook(ROLL_BACK, "rb.yaml").runbook
    assert Runbook.model_validate(runbook.model_dump(by_alias=True)) == runbook
    assert Runbook.model_validate_json(runbook.model_dump_json(by_alias=True)) == runbook


def test_the_example_of_the_documentation_is_a_runbook() -> None:
    page = (ROOT / "docs" / "how-to" / "runbooks.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```yaml\n(runbook: .*?)^```", page, re.MULTILINE | re.DOTALL)
    assert read_runbook(block, "page", KINDS).name == "roll-back-bad-deployment"
