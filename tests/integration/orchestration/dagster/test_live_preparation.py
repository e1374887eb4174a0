"""What `aiops up` does first for a server that it will follow: history into the lake; too little of it is no failure."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from aiops.errors import SourceError
from aiops.settings.tree import Settings
from orchestration.dagster import first_training
from orchestration.dagster.first_training import LEAST_HISTORY, prepare
from orchestration.dagster.job_runs import JobFailed
from orchestration.pipeline.timeline import Timeline
from orchestration.workspace.source_choice import SourceChoice
from orchestration.workspace.workspace import Workspace
from serving.tables.graph_store import GraphStore
from tests.testing.living_prometheus import LivingPrometheus, living_prometheus


@pytest.fixture
def server() -> Iterator[LivingPrometheus]:
    with living_prometheus(LivingPrometheus({"load": [{"service": "cart"}, {"service": "pay"}]})) as state:
        yield state


@pytest.fixture
def workspace(home: Path) -> Workspace:
    return Workspace.open(Settings(home=home))


def choice_of(server: LivingPrometheus, *more: str) -> SourceChoice:
    return SourceChoice("prometheus", None, (f"url={server.url}", "queries=load", *more))


def test_what_a_server_remembers_is_stored_once_and_the_present_begins_where_it_ends(
    server: LivingPrometheus, workspace: Workspace, tmp_path: Path
) -> None:
    calls = tmp_path / "calls.csv"
    calls.write_text("caller,callee\ncart,pay\n")
    said: list[str] = []
    choice = choice_of(server, "history=1h", f"edges={calls}")
    for _ in range(2):
        assert not prepare(workspace, choice, said.append)
    assert workspace.lake.count("telemetry") == 2 * 60
    assert any("too little to learn from" in line for line in said)
    assert "was learned from before" in said[-1], "a second start without a champion does not take it all again"
    line = Timeline.load(workspace.settings.root)
    assert line is not None
    newest = max(workspace.lake.read("telemetry")["timestamp"].to_pylist())
    assert newest == line.origin - timedelta(seconds=60)
    assert GraphStore(workspace.lake).graph().calls() == (("cart", "pay"),)


def test_a_server_without_data_is_no_failure(server: LivingPrometheus, workspace: Workspace) -> None:
    server.value = lambda name, labels, at_s: None
    assert not prepare(workspace, choice_of(server), lambda _: None)
    assert workspace.lake.count("telemetry") == 0


def test_a_server_that_is_away_at_the_first_start_is_asked_again_at_the_next(
    server: LivingPrometheus, workspace: Workspace
) -> None:
    server.away = True
    with pytest.raises(SourceError, match="503"):
        prepare(workspace, choice_of(server, "history=1h", "retries=0"), lambda _: None)
    server.away = False
    prepare(workspace, choice_of(server, "history=1h"), lambda _: None)
    assert workspace.lake.count("telemetry") == 2 * 60
    server.away = True
    assert not prepare(workspace, choice_of(server), lambda _: None), "later it starts all the same, and waits for the server"


def test_a_training_that_fails_leaves_tier_1_alone_and_is_said(
    server: LivingPrometheus, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[timedelta] = []

    def failing(workspace: Workspace, start: object, end: object, say: object) -> None:
        tried.append(end - start)  # type: ignore[operator]
        raise JobFailed("job training failed: nothing to learn from")

    monkeypatch.setattr(first_training, "learn", failing)
    said: list[str] = []
    assert not prepare(workspace, choice_of(server, "history=3h"), said.append)
    assert tried == [timedelta(hours=3)]
    assert tried[0] > LEAST_HISTORY
    assert "nothing to learn from" in said[-1]
