"""`aiops incidents …` end to end on a home of its own: what is listed, changed, judged and noted, with no responder running."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from aiops.incidents.root_cause import ExampleTrace, RootCauseReport
from aiops.settings.responder_settings import ResponderSettings
from aiops.settings.tree import Settings
from aiops.signals.critical_path import CriticalPath, PathStep
from orchestration.cli import run
from serving.incidents.desk.desk_factory import keep_terms
from tests.testing.incident_home import METRIC, START, JudgedHome, ServiceScore

Output = pytest.CaptureFixture[str]


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgedHome]:
    monkeypatch.setenv("AIOPS_HOME", str(tmp_path))
    monkeypatch.setenv("AIOPS_RESPONDER__CLOCK", "event")
    monkeypatch.setenv("AIOPS_RESPONDER__DATABASE_URL", f"sqlite:///{tmp_path}/incidents.db")
    monkeypatch.setenv("COLUMNS", "200")
    home = JudgedHome(tmp_path)
    yield home
    home.store.close()


def json_of(capsys: Output, *words: str, code: int = 0) -> Any:
    """Run a command with --json and return what it prints."""
    assert run(["incidents", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_an_incident_from_the_list_to_its_verdict(judged: JudgedHome, capsys: Output) -> None:
    (first,) = judged.detect(ServiceScore("web", 0.95), ServiceScore("cart", 0.9))
    judged.explain(first, ServiceScore("cart", 2.0), ServiceScore("web", 1.0))
    listed = json_of(capsys, "list", "--service", "cart", "--severity", "warning", "--state", "resolved")
    (line,) = listed["items"]
    assert (line["incident_id"], line["first_cause"], line["probability"]) == (first, "cart", 0.5)
    assert json_of(capsys, "list", "--service", "mail") == {"items": [], "more": False}
    assert run(["incidents", "list"]) == 0
    assert f"{START:%m-%d %H:%M}" in (shown := capsys.readouterr().out)
    assert "cart 50%" in shown
    foretold = json_of(capsys, "verdict", first[:8], "--wrong-cause", "web", "--preview")
    assert foretold["applied"] is False
    assert judged.store.verdicts() == ()
    said = json_of(capsys, "verdict", first[:8], "--wrong-cause", "web", "--note", "cache was cold", "--by", "ann")
    assert said["effect"]["priors"] == foretold["past"]["effect"]["priors"]
    assert judged.lake.read("incidents")["service"].to_pylist() == ["web"]
    case = json_of(capsys, "show", first)
    assert [verdict["note"] for verdict in case["verdicts"]] == ["cache was cold"]
    assert run(["incidents", "show", first]) == 0
    assert "wrong cause: web (cache was cold)" in capsys.readouterr().out


def test_people_act_and_the_log_tells_who(judged: JudgedHome, capsys: Output) -> None:
    web, bank = judged.begin(ServiceScore("web", 0.95), ServiceScore("bank", 0.95))
    assert json_of(capsys, "ack", web, "--by", "ann")["state"] == "acknowledged"
    assert json_of(capsys, "mitigate", web, "--by", "ann")["state"] == "mitigated"
    merged = json_of(capsys, "merge", web, bank, "--by", "bob")
    assert set(merged["services"]) == {"web", "bank"}
    assert json_of(capsys, "resolve", web, "--note", "rolled back", "--by", "ann")["state"] == "resolved"
    assert run(["incidents", "ack", web]) == 4
    assert "not open" in capsys.readouterr().err
    lines = json_of(capsys, "audit")
    assert [(line["by"], line["what"]) for line in reversed(lines)] == [
        ("ann", "incident acknowledged"),
        ("ann", "incident mitigated"),
        ("bob", "incident merged"),
        ("ann", "incident resolved"),
    ]
    assert json_of(capsys, "audit", "--verify")["intact"] is True
    assert json_of(capsys, "held-back") == []


def test_a_case_says_once_why_there_is_no_cause(judged: JudgedHome, capsys: Output) -> None:
    (web,) = judged.begin(ServiceScore("web", 0.95))
    for number in range(3):
        at = judged.now + timedelta(seconds=number)
        with judged.store.writing() as writer:
            writer.put_report(web, RootCauseReport(at, at, at, "web", (), False, "nothing: there is no baseline"))
    assert run(["incidents", "show", web]) == 0
    assert capsys.readouterr().out.count("there is no baseline") == 1


def test_example_traces_are_shown_with_what_they_waited_for(judged: JudgedHome, capsys: Output) -> None:
    (web,) = judged.begin(ServiceScore("web", 0.95))
    at = judged.now
    steps = (PathStep("web", "GET /", 0.0, 3.0, False), PathStep("db", "select", 3.0, 417.0, True))
    slow = ExampleTrace(
        "slow", "ab" * 16, at, 420.0, "web", "GET /", 1, CriticalPath(steps, 0.0, 7, 2, 1, 0), ("web|latency_ms",)
    )
    with judged.store.writing() as writer:
        writer.put_report(web, RootCauseReport(at, at, at, "web", (), False, "nothing", examples=(slow,)))
    assert run(["incidents", "show", web]) == 0
    shown = capsys.readouterr().out
    for text in (
        "Example traces",
        "slow",
        "ab" * 16,
        "db select 417.0 ms (failed)",
        "7 spans",
        "2 without a parent",
        "1 of other clocks",
    ):
        assert text in shown, text
    assert "exemplar of web|latency_ms" in shown
    (example,) = json_of(capsys, "show", web)["root_cause"]["examples"]
    assert (example["role"], example["path"]["steps"][1]["self_ms"]) == ("slow", 417.0)


def test_a_shell_without_the_responders_settings_goes_by_them_all_the_same(
    judged: JudgedHome, capsys: Output, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_quiet = {"pagerduty_key": "secret-key", "clock": "event", "quiet_s": 7200.0, "public_url": "https://on.call"}
    theirs = Settings(home=tmp_path)
    keep_terms(theirs.model_copy(update={"responder": ResponderSettings(**long_quiet)}), judged.store)
    (web,) = judged.begin(ServiceScore("web", 0.95))
    monkeypatch.delenv("AIOPS_RESPONDER__CLOCK")
    assert json_of(capsys, "ack", web)["state"] == "acknowledged", "by the wall's clock it would be over long since"
    assert json_of(capsys, "resolve", web)["state"] == "resolved"
    messages = judged.store.messages(web)
    assert {(message.channel, str(message.kind)) for message in messages} == {
        ("pagerduty", "acknowledged"),
        ("pagerduty", "resolved"),
    }
    assert all("https://on.call" in str(message.payload) for message in messages)
    assert "secret-key" not in str(judged.store.noted("terms"))


def test_what_is_silenced_alerts_nobody(judged: JudgedHome, capsys: Output) -> None:
    begin = judged.now.isoformat()
    rule = json_of(
        capsys, "silence", "add", "freeze", "service=~we.*", "severity!=info", "--from", begin, "--for", "1h", "--by", "ann"
    )
    assert [(matcher["label"], matcher["operator"]) for matcher in rule["matchers"]] == [("service", "=~"), ("severity", "!=")]
    window = json_of(capsys, "maintenance", "add", "backup", "service=db", "--from", begin, "--for", "1h", "--every", "7d")
    assert window["every_s"] == 604_800.0
    assert judged.detect(ServiceScore("web", 0.9), ServiceScore("db", 0.9)) == []
    assert [item["name"] for item in json_of(capsys, "maintenance", "list")] == ["backup"]
    json_of(capsys, "silence", "remove", "freeze", "--by", "ann")
    assert json_of(capsys, "silence", "list") == []
    assert len(judged.detect(ServiceScore("web", 0.9))) == 1
    assert run(["incidents", "maintenance", "list"]) == 0
    assert "7 days" in capsys.readouterr().out
    assert [entry["what"] for entry in json_of(capsys, "audit")] == ["silence removed", "maintenance added", "silence added"]


def test_a_verdict_is_shown_and_asked_about(judged: JudgedHome, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    (noisy,) = judged.detect(ServiceScore("mail", 0.52))
    monkeypatch.setattr("typer.confirm", lambda *_, **__: False)
    assert run(["incidents", "verdict", noisy, "--false-alarm"]) == 0
    shown = capsys.readouterr().out
    assert "1 alert would not have been raised" in shown
    assert f"mail|{METRIC}" in shown
    assert judged.store.verdicts() == ()
    assert run(["incidents", "verdict", noisy, "--false-alarm", "--yes"]) == 0
    assert [verdict.kind for verdict in judged.store.verdicts()] == ["false_alarm"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("verdict inc- ", 2, "0 verdicts were given"),
        ("verdict inc- --true --false-alarm", 2, "2 verdicts were given"),
        ("verdict inc- --wrong-cause crat", 4, "perhaps one of"),
        ("verdict nosuch --true", 4, "nosuch"),
        ("list --state closed", 2, "--state: 'closed'"),
        ("list --severity bad", 2, "--severity: 'bad'"),
        ("list --since yesterday", 2, "--since: 'yesterday'"),
        ("silence add x service --for 1h", 2, "matcher 'service' is not LABEL=VALUE"),
        ("silence add x service=~( --for 1h", 2, "no regular expression"),
        ("silence add x service=a", 2, "give --for"),
        (f"silence add {201 * 'x'} service=a --for 1h", 2, "give 1 to 200 printable characters"),
        ("silence add x service=a --for soon", 2, "'soon' is no time span"),
        ("silence remove nosuch", 4, "silence 'nosuch' is not known"),
        ("maintenance add x service=a --for 2h --every 1h", 2, "shorter than the window"),
    ],
)
def test_refusals_name_what_to_mend(judged: JudgedHome, words: str, code: int, says: str, capsys: Output) -> None:
    judged.detect(ServiceScore("web", 0.9))
    assert run(["incidents", *words.split()]) == code
    printed = capsys.readouterr()
    assert says in printed.err
    assert printed.out == ""


def test_a_changed_log_is_detected(judged: JudgedHome, capsys: Output, tmp_path: Path) -> None:
    (noisy,) = judged.detect(ServiceScore("mail", 0.52))
    assert run(["incidents", "verdict", noisy, "--true", "--yes"]) == 0
    capsys.readouterr()
    with sqlite3.connect(tmp_path / "incidents.db") as database:
        triggers = database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'").fetchall()
        for (name,) in triggers:
            database.execute(f"DROP TRIGGER {name}")
        database.execute("UPDATE audit SET \"by\" = 'nobody'")
    database.close()
    assert json_of(capsys, "audit", "--verify", code=5)["intact"] is False
