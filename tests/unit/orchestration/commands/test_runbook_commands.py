"""`aiops runbooks …`: what is in force, what is wrong in which place, which fit, and what they would have done."""

import json
from pathlib import Path

import pytest

from aiops.incidents.verdict import Verdict, VerdictKind
from aiops.settings.tree import Settings
from orchestration.cli import run
from tests.testing.empty_store import empty_store
from tests.testing.explained_incidents import at, incident, report
from tests.testing.runbook_texts import ROLL_BACK


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = Settings(home=tmp_path).runbooks_path("default")
    folder.mkdir()
    (folder / "roll-back.yaml").write_text(ROLL_BACK)
    return tmp_path


@pytest.fixture
def judged_incident(own_home: Path) -> str:
    with empty_store(own_home / "incidents") as store, store.writing() as writer:
        writer.put_incidents([incident()])
        writer.put_report("inc-1", report())
        writer.put_verdict(Verdict("v", "inc-1", VerdictKind.TRUE, at(60), "ops"))
    return "inc-1"


def printed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert run(["runbooks", *words]) == code
    return capsys.readouterr().out


def test_list_and_show(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = json.loads(printed(capsys, "list", "--json"))["runbooks"]
    assert [line["name"] for line in lines if line["in_force"]] == ["roll-back"]
    assert "roll-back-bad-deployment" in {line["name"] for line in lines if not line["in_force"]}
    assert printed(capsys, "show", "roll-back") == ROLL_BACK
    assert json.loads(printed(capsys, "show", "roll-back", "--json"))["runbook"]["do"][0]["timeout"] == 120.0
    assert printed(capsys, "show", "scale-under-surge").startswith("# More is asked")
    assert run(["runbooks", "show", "none"]) == 2


def test_check_says_where_something_is_wrong(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "roll-back" in printed(capsys, "check")
    faulty = own_home / "faulty"
    faulty.mkdir()
    (faulty / "x.yaml").write_text(ROLL_BACK.replace("cause.decided", "cause.undecided") + "colour: red\n")
    assert run(["runbooks", "check", str(faulty)]) == 2
    said = capsys.readouterr().err
    assert "x.yaml:5:3: match: cause.undecided is no fact" in said
    assert "x.yaml:16:1: colour: no such field" in said
    answer = json.loads(printed(capsys, "check", str(faulty / "x.yaml"), "--json", code=2))
    assert (answer["runbooks"], len(answer["faults"])) == ({}, 1)
    assert run(["runbooks", "check", str(own_home / "none")]) == 2


def test_check_names_actions_and_parameters_that_there_are_not(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    faulty = own_home / "faulty.yaml"
    faulty.write_text(
        """runbook: faulty
title: x
match: cause.decided
do:
  - action: kubernetes.rolback
  - action: kubernetes.rollback
    with: {deployment: "{service}", namspace: shop}
  - action: kubernetes.scale
    with: {namespace: shop, workload: x, replicas: many}
"""
    )
    assert run(["runbooks", "check", str(faulty)]) == 2
    said = capsys.readouterr().err
    for words in (
        "faulty.yaml:5:13: do[0].action = 'kubernetes.rolback': no such action; did you mean kubernetes.rollback?",
        "faulty.yaml:7:11: do[1].with.namespace: is missing; it takes deployment, namespace",
        "faulty.yaml:7:37: do[1].with.namspace: no such parameter; did you mean namespace?",
        "faulty.yaml:9:52: do[2].with.replicas: Input should be a valid integer",
    ):
        assert words in said


def test_what_is_wrong_in_force_is_said_by_list_and_check(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (Settings(home=own_home).runbooks_path("default") / "typo.yaml").write_text(
        ROLL_BACK.replace("kubernetes.rollback", "kubernetes.rolback").replace("runbook: roll-back", "runbook: typo")
    )
    assert run(["runbooks", "check"]) == 2
    assert "typo.yaml:11:13" in capsys.readouterr().err
    assert "typo" not in {line["name"] for line in json.loads(printed(capsys, "list", "--json"))["runbooks"]}


def test_tests_of_runbooks_are_run(own_home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = Settings(home=own_home).runbooks_path("default")
    assert "it brings no tests" in printed(capsys, "test")
    good = "tests: [{name: it heals, case: cured}, {name: worse, case: worse, expect: undone}]\n"
    (folder / "roll-back.yaml").write_text(ROLL_BACK + good)
    assert "2 of 2 tests passed" in printed(capsys, "test")
    (folder / "roll-back.yaml").write_text(ROLL_BACK + "tests: [{name: it cannot heal, case: worse, expect: cured}]\n")
    assert run(["runbooks", "test", "roll-back"]) == 1
    said = capsys.readouterr()
    assert "0 of 1 tests passed" in said.out
    assert "it cannot heal (worse): undone, expected cured" in said.err
    answer = json.loads(printed(capsys, "test", "roll-back", "scale-under-surge", "--json", code=1))
    assert (answer["passed"], [runbook["passed"] for runbook in answer["runbooks"]]) == (False, [False, True])
    assert run(["runbooks", "test", "none"]) == 2


def test_explain_names_the_part_that_is_false(own_home: Path, judged_incident: str, capsys: pytest.CaptureFixture[str]) -> None:
    (Settings(home=own_home).runbooks_path("default") / "storm.yaml").write_text(
        "runbook: storm\ntitle: x\nmatch: cause.decided && incident.storm\n"
        "do: [{action: feature_flag.file, with: {file: /f, flag: x, value: y}}]\n"
    )
    shown = printed(capsys, "explain", judged_incident)
    assert "roll-back fits: it would act on cart" in shown
    assert "storm does not fit:\n  - incident.storm is false (incident.storm = false)" in shown
    lines = json.loads(printed(capsys, "explain", "inc", "--json"))["lines"]
    assert [(line["runbook"], line["fits"]) for line in lines] == [("roll-back", True), ("storm", False)]
    assert run(["runbooks", "explain", "none"]) == 4


def test_replay_says_what_would_have_been_done(judged_incident: str, capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(printed(capsys, "replay", "--json"))
    assert [(action["service"], action["judged"]) for action in answer["actions"]] == [("cart", "right")]
    assert (answer["summaries"][0]["acted"], answer["summaries"][0]["right_on_symptom"]) == (1, 0)
    assert "cart" in printed(capsys, "replay")
    later = json.loads(printed(capsys, "replay", "roll-back-bad-deployment", "--since", "2027-01-01T00:00:00Z", "--json"))
    assert (later["actions"], later["summaries"][0]["incidents"]) == ([], 0)


def test_schema_and_facts(capsys: pytest.CaptureFixture[str]) -> None:
    schema = json.loads(printed(capsys, "schema"))
    assert schema["properties"]["match"]["type"] == "string"
    assert schema["$defs"]["Verify"]["properties"]["settle"]["default"] == "120s"
    assert "change.before_onset_s" in printed(capsys, "schema", "--facts")
    assert set(json.loads(printed(capsys, "schema", "--facts", "--json"))) == {"match", "needs", "verify"}


def test_another_tenant_has_runbooks_of_its_own(
    own_home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIOPS_TENANT", "default")
    assert run(["--tenant", "acme", "runbooks", "list", "--json"]) == 0
    assert not any(line["in_force"] for line in json.loads(capsys.readouterr().out)["runbooks"])
