"""README.md is true: its commands, options, files, targets and settings exist."""

import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from aiops.settings import Settings
from orchestration.reference.setting_page import variables

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
WRITTEN = README
FENCE = re.compile(r"^ *```sh\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
MADE_BY_USE = (".aiops", ".venv")
ROOMS = ("data_contracts", "aiops", "models", "serving", "orchestration", "feature_repo", "infra", "tests", ".ci")


def shell_lines(text: str) -> Iterator[list[str]]:
    """Yield the words of every command in the sh blocks of a Markdown text; `a && b` is two commands."""
    for block in FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while "&&" in words:
                yield words[: words.index("&&")]
                words = words[words.index("&&") + 1 :]
            if words:
                yield words


def quoted(text: str) -> list[str]:
    """Return what stands between single backquotes outside of fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def aiops_commands() -> list[list[str]]:
    in_text = [shlex.split(span) for span in quoted(WRITTEN) if span.startswith("aiops ")]
    return [words for words in (*shell_lines(WRITTEN), *in_text) if words[0] == "aiops"]


def check_command(words: list[str]) -> None:
    """Raise AssertionError or click's own error unless the command line names a command and options that exist."""
    command: Any = get_command(__import__("orchestration.cli", fromlist=["app"]).app)
    rest = words[1:]
    while hasattr(command, "commands"):
        assert rest, f"{shlex.join(words)}: no command"
        assert rest[0] in command.commands, f"{shlex.join(words)}: no command {rest[0]!r}"
        command, rest = command.commands[rest[0]], rest[1:]
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    for word in rest:
        assert not word.startswith("-") or word in known, f"{shlex.join(words)}: no option {word!r}"


@pytest.mark.parametrize("words", [pytest.param(words, id=shlex.join(words)) for words in aiops_commands()])
def test_every_aiops_command_line_exists(words: list[str]) -> None:
    check_command(words)


@pytest.mark.parametrize("words", ["aiops fly", "aiops run --fast", "aiops rejected"])
def test_an_aiops_command_line_that_does_not_exist_is_found(words: str) -> None:
    """The control: the check above can fail."""
    with pytest.raises(AssertionError):
        check_command(shlex.split(words))


@pytest.mark.parametrize(
    "words", [pytest.param(words, id=shlex.join(words)[:60]) for words in aiops_commands() if "--set" in words]
)
def test_every_source_option_is_one_that_the_source_takes(words: list[str]) -> None:
    from orchestration.source_choice import source_options
    from serving.sources.registry import SOURCES

    pairs = [words[number + 1].partition("=") for number, word in enumerate(words) if word == "--set"]
    given = source_options({name: value for name, _, value in pairs}).given()
    assert given <= SOURCES[words[words.index("--source") + 1]].reads
    assert given


def test_source_options_in_the_text_exist() -> None:
    from dataclasses import fields

    from orchestration.source_choice import SECRET_OPTIONS
    from serving.sources.options import SourceOptions

    known = {field.name for field in fields(SourceOptions)} | {f"{name}_file" for name in SECRET_OPTIONS}
    named = {match for span in quoted(WRITTEN) for match in re.findall(r"--set (\w+)=", span)}
    table = WRITTEN.partition("| option | what it says |")[2].partition("\n\n")[0]
    named |= set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert len(named) >= 6
    assert named - {"name"} <= known  # `--set name=value` stands for all of them


def test_every_source_is_named() -> None:
    from serving.sources.registry import SOURCES

    shown = {words[words.index("--source") + 1] for words in aiops_commands() if "--source" in words}
    shown |= set(re.findall(r"^\| `(\w+)` \| `\w", WRITTEN.partition("| source | repository |")[2], re.MULTILINE))
    assert shown == set(SOURCES)


def test_make_targets_exist_and_the_two_commands_are_first() -> None:
    commands = [words for words in shell_lines(WRITTEN) if words[0] == "make"]
    assert commands[:2] == [["make", "run"], ["make", "test"]]
    in_text = {span.split()[1] for span in quoted(README) if re.fullmatch(r"make [a-z]+", span)}
    assert {word for words in commands for word in words[1:]} | in_text <= TARGETS


def test_ci_calls_only_targets_that_the_readme_names() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    called = [line.split()[1] for line in lines if line.startswith("make ")]
    assert len(called) == len(lines) - 2, "beside set and cd there is nothing but make"
    assert called == ["check", "test"]
    assert all(f"`make {target}`" in WRITTEN or f"\nmake {target} " in WRITTEN for target in called)


@pytest.mark.parametrize(
    "page", ["README.md", "CHANGELOG.md", "infra/README.md", *(f"infra/adr/{p.name}" for p in (ROOT / "infra/adr").glob("*.md"))]
)
def test_every_file_that_is_named_exists(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    spans = [span.removesuffix("/") for span in quoted(text) if re.fullmatch(r"[\w.][\w./-]*", span)]
    named = [span for span in spans if span.split("/")[0] in ROOMS and ("/" in span or span in ROOMS)]
    named += [span for span in spans if "/" not in span and re.search(r"[\w-]\.(md|toml|txt|yaml|py|proto)$", span)]
    folders = (ROOT, (ROOT / page).parent, ROOT / "infra" / "kubernetes")
    absent = [span for span in named if not any((folder / span).exists() for folder in folders)]
    missing = [span for span in absent if not span.startswith(MADE_BY_USE) and span not in {"manifest.json"}]
    assert missing == []
    assert not re.search(r"\]\((?!https?://|#)[^)]*\)", text) or all(
        (folders[1] / link).exists() for link in re.findall(r"\]\((?!https?://|#)([^)#]*)", text)
    )


def test_every_setting_named_in_a_page_exists() -> None:
    known = variables() | {"AIOPS_DATA"}
    pages = [README, *(p.read_text(encoding="utf-8") for p in (ROOT / "infra/adr").glob("*.md"))]
    named = {name for page in pages for name in re.findall(r"\bAIOPS_[A-Z0-9_]+\b", page)}
    assert len(named) >= 8
    assert named <= known


def test_addresses_are_the_defaults() -> None:
    settings = Settings(home=Path("unused"))
    ports = {settings.serving.http_port, settings.serving.grpc_port, settings.consumer.metrics_port, settings.broker.port}
    text = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", WRITTEN)} | {
        int(re.findall(r"gRPC is on port (\d+)", WRITTEN)[0])
    }
    assert ports <= text


def test_dagster_is_as_described() -> None:
    """Names of jobs, sensors, schedules and groups; and whether schedules and sensors start by themselves."""
    from dagster import DefaultScheduleStatus, DefaultSensorStatus

    from orchestration.definitions import defs

    repository = defs.get_repository_def()
    names = {job.name for job in repository.get_all_jobs()} | {one.name for one in (*defs.sensors, *defs.schedules)}
    groups = {
        group for key in repository.asset_graph.get_all_asset_keys() if (group := repository.asset_graph.get(key).group_name)
    }
    spans = set(quoted(WRITTEN))
    assert {
        "ingest_and_features",
        "training",
        "seasons",
        "retention",
        "drift_check",
        "drift_sensor",
        "false_alarm_sensor",
        "hourly_drift_check",
    } <= names & spans
    assert groups <= spans
    running = [schedule.default_status is DefaultScheduleStatus.RUNNING for schedule in repository.schedule_defs]
    running += [sensor.default_status is DefaultSensorStatus.RUNNING for sensor in repository.sensor_defs]
    assert all(running) == ("Schedules and sensors run by default" in WRITTEN)
    assert len(running) == 7


def test_feature_services_are_as_described() -> None:
    from data_contracts.feature_views import FEATURE_SERVICES

    assert all(service.name in WRITTEN for service in FEATURE_SERVICES)
    assert yaml.safe_load((ROOT / "feature_repo" / "feature_store.yaml").read_text(encoding="utf-8"))["project"] == "aiops"


def test_roles_are_as_described() -> None:
    from serving.bento.scoring import endpoints
    from serving.http.auth import Role

    roles = {endpoint.path: endpoint.role for endpoint in endpoints()}
    assert roles == {"/score": Role.OPERATOR, "/predict_incident": Role.OPERATOR, "/explain": Role.VIEWER}
    assert all(f"`{name}`" in WRITTEN for name in (*roles, *(role.name.lower() for role in Role)))


def test_decision_records_are_numbered_short_and_complete() -> None:
    records = sorted((ROOT / "infra" / "adr").glob("*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]} ")
        assert len(text.splitlines()) <= 60
        assert re.findall(r"^(?:Status|## \w+)", text, re.MULTILINE) == [
            "Status",
            "## Context",
            "## Decision",
            "## Consequences",
            "## Alternatives",
        ]
