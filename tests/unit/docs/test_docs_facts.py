"""What the pages say of sources, addresses, jobs, roles and the two commands is so."""

import os
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from aiops.settings.tree import Settings
from tests.testing.documentation import ROOT, aiops_commands, pages, quoted, shell_lines

HOW_TO = ROOT / "docs" / "how-to"
WRITTEN = [page for page in pages() if page.parent.name not in {"reference", "adr"} and page.name != "CHANGELOG.md"]
"""Pages that people wrote, of how things are now."""


def read(*pages: Path) -> str:
    """Return the text of pages, spaces and line breaks inside of it as they are."""
    return "\n\n".join(page.read_text(encoding="utf-8") for page in pages)


@pytest.fixture(scope="module")
def spans() -> set[str]:
    return set(quoted(read(*WRITTEN)))


def test_readme_is_short_and_begins_with_the_two_commands() -> None:
    text = read(ROOT / "README.md")
    assert len(text.encode()) <= 10_000
    commands = [words for words in shell_lines(text) if words[0] == "make"]
    assert commands[:2] == [["make", "run"], ["make", "test"]]
    assert "docs/_static/loop.svg" in text


def test_figures_of_the_readme_are_on_their_page() -> None:
    table = read(ROOT / "README.md").partition("## How good it is")[2].partition("\n\nFigures")[0]
    numbers = set(
        re.findall(r"(?<![\w.])\d*[.,]?\d+(?![\w])", " ".join(row for row in table.splitlines() if row.startswith("|")))
    )
    assert len(numbers) > 12
    assert numbers <= set(re.findall(r"(?<![\w.])\d*[.,]?\d+(?![\w])", read(ROOT / "docs" / "figures.md")))


def test_ci_calls_only_targets_that_contributors_are_told_of() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = [line for line in script.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    called = [line.split()[1] for line in lines if line.startswith("make ")]
    assert len(called) == len(lines) - 2, "beside set and cd there is nothing but make"
    assert called == ["check", "peers", "test", "test-other"]
    assert all(f"\nmake {target} " in read(ROOT / "CONTRIBUTING.md") for target in called)


def test_every_source_option_of_a_command_is_one_that_the_source_takes() -> None:
    from orchestration.workspace.source_choice import source_options
    from serving.ingest.pull.source_registry import SOURCES

    commands = [
        words for words in aiops_commands(read(*WRITTEN)) if "--set" in words and words[words.index("--source") + 1] in SOURCES
    ]
    assert len(commands) >= 4
    for words in commands:
        pairs = [words[number + 1].partition("=") for number, word in enumerate(words) if word == "--set"]
        times = {"start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z"}  # where a page leaves them to the shell
        values = {name: times[name] if value.startswith("$") else value for name, _, value in pairs}
        given = source_options(values).given()
        assert given
        assert given <= SOURCES[words[words.index("--source") + 1]].reads


def test_source_options_in_the_text_exist(spans: set[str]) -> None:
    from orchestration.workspace.source_choice import SECRET_OPTIONS
    from serving.ingest.pull.source_options import SourceOptions

    known = {field.name for field in fields(SourceOptions)} | {f"{name}_file" for name in SECRET_OPTIONS}
    named = {match for span in spans for match in re.findall(r"--set (\w+)=", span)}
    table = read(HOW_TO / "your-files.md").partition("| option | what it says |")[2].partition("\n\n")[0]
    named |= {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert len(named) >= 12
    assert named - {"name"} <= known  # `--set name=value` stands for all of them


def test_every_source_is_named(spans: set[str]) -> None:
    from serving.ingest.pull.source_registry import SOURCES

    commands = [*aiops_commands(read(*WRITTEN)), *(span.split() for span in spans if span.startswith("aiops "))]
    commands = [words for words in commands if "--source" in words]
    shown = {words[words.index("--source") + 1] for words in commands}
    shown |= set(
        re.findall(r"^\| `(\w+)` \| `\w", read(HOW_TO / "your-files.md").partition("| source | repository |")[2], re.MULTILINE)
    )
    assert set(SOURCES) <= shown


def test_addresses_are_the_defaults() -> None:
    settings = Settings(home=Path("unused"))
    text = read(HOW_TO / "operate.md")
    ports = {settings.serving.http_port, settings.serving.grpc_port, settings.consumer.metrics_port, settings.broker.port}
    ports |= {
        settings.responder.port,
        settings.ingest.port,
        settings.ingest.grpc_port,
        settings.up.mlflow_port,
        settings.up.dagster_port,
    }
    shown = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", text)}
    assert ports <= shown | {int(port) for port in re.findall(r"gRPC is on port (\d+)", text)}


def test_addresses_of_the_reference_are_the_defaults() -> None:
    settings = Settings(home=Path("unused"))
    known = {settings.serving.http_port, settings.serving.grpc_port, settings.consumer.metrics_port, settings.responder.port}
    known |= {settings.ingest.port, settings.signals.metrics_port, settings.automation.port, settings.console.port}
    known |= {settings.explore.port}
    names = ("http", "http-scoring", "http-incidents", "http-automation", "http-explore", "http-receivers", "metrics", "grpc")
    text = read(*(ROOT / "docs" / "reference" / f"{name}.md" for name in names))
    assert {int(port) for port in re.findall(r"(?:127\.0\.0\.1:|on port )(\d+)", text)} == known


def test_dagster_is_as_described(spans: set[str]) -> None:
    """Names of jobs, sensors, schedules and groups; and whether schedules and sensors start by themselves."""
    from dagster import DefaultScheduleStatus, DefaultSensorStatus

    from orchestration.definitions import defs

    repository = defs.get_repository_def()
    names = {job.name for job in repository.get_all_jobs()} | {automation.name for automation in (*defs.sensors, *defs.schedules)}
    keys = repository.asset_graph.get_all_asset_keys()
    groups = {group for key in keys if (group := repository.asset_graph.get(key).group_name)}
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
    assert all(running) == ("Schedules and sensors run by default" in " ".join(read(HOW_TO / "operate.md").split()))
    assert len(running) == 7


def test_feature_services_are_as_described() -> None:
    from data_contracts.schemas.feature_views import FEATURE_SERVICES

    text = read(HOW_TO / "operate.md")
    assert all(service.name in text for service in FEATURE_SERVICES)
    assert yaml.safe_load((ROOT / "feature_repo" / "feature_store.yaml").read_text(encoding="utf-8"))["project"] == "aiops"


def test_roles_are_as_described() -> None:
    from serving.http.auth import Role
    from serving.scoring.answers.scoring import endpoints

    roles = {endpoint.path: endpoint.role for endpoint in endpoints()}
    assert roles == {"/score": Role.OPERATOR, "/predict_incident": Role.OPERATOR, "/explain": Role.VIEWER}
    text = read(ROOT / "docs" / "security.md")
    assert all(f"`{name}`" in text for name in (*roles, *(role.name.lower() for role in Role)))
    overview = read(ROOT / "docs" / "reference" / "http.md")
    for path, role in roles.items():
        (row,) = re.findall(rf"^\| \[`POST {path}`\].*$", overview, re.MULTILINE)
        assert row.endswith(f"| {role.name.lower()} |")
