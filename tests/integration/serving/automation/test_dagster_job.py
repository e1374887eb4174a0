"""Jobs of a real Dagster: a web server over a folder of code, with an instance of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import httpx
import pytest

from aiops.automation.action import ActionRequest, Outcome, Plain
from aiops.errors import ContractError, StepRefused, Unavailable
from serving.automation.actions.allowed_hosts import AllowedHosts
from serving.automation.actions.dagster_job import KEY_TAG, DagsterJob
from serving.automation.actions.once_action import once_action
from tests.conformance.action_suite import refuses_parameters
from tests.testing.deadlines import within
from tests.testing.free_ports import free_port
from tests.testing.stream_harness import wait_until

_CODE = """
import dagster as dg

@dg.op(config_schema={"days": int})
def clean(context): ...

@dg.job
def clean_up(): clean()

defs = dg.Definitions(jobs=[clean_up])
"""
CONFIG: Plain = {"ops": {"clean": {"config": {"days": 3}}}}


@dataclass(frozen=True, slots=True)
class Dagster:
    url: str
    home: Path

    def launched(self) -> list[str]:
        """Return the keys of all runs, read from the instance itself."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            return [run.tags.get(KEY_TAG, "") for run in instance.get_runs()]


@pytest.fixture(scope="module")
def dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dagster]:
    home, port = tmp_path_factory.mktemp("dagster"), free_port()
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    (home / "jobs_of_test.py").write_text(_CODE)
    command = [sys.executable, "-m", "dagster_webserver", "-f", str(home / "jobs_of_test.py"), "-h", "127.0.0.1", "-p", str(port)]
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    log = (home / "log").open("wb")
    server = subprocess.Popen(command, env=environment, cwd=home, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        assert wait_until(lambda: answers(url), within(90), 0.5), (home / "log").read_text()
        yield Dagster(url, home)
    finally:
        server.terminate()
        server.wait(within(30))
        log.close()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/server_info", timeout=within(5)).is_success
    except httpx.HTTPError:
        return False


def job(**parameters: Plain) -> ActionRequest:
    return ActionRequest("dagster.job", "cart", {"job": "clean_up", "config": CONFIG, **parameters})


def test_a_job_is_launched_once(dagster: Dagster) -> None:
    action = once_action(DagsterJob(dagster.url, AllowedHosts(frozenset())))
    step = action.planner.plan(job())
    assert action.planner.plan(job()) == step
    assert dagster.launched() == [], "planning launches nothing"
    assert action.planner.probe(step, "run-1") is Outcome.OLD
    assert action.runner is not None
    for _ in range(2):
        action.runner.apply(step, "run-1")
    assert dagster.launched() == ["run-1"]
    assert action.planner.probe(step, "run-1") is Outcome.NEW
    assert action.planner.probe(step, "run-2") is Outcome.OLD
    with pytest.raises(StepRefused, match="cannot be taken back"):
        action.runner.undo(step, "run-1-undo")
    assert step.undo == ""


def test_a_refused_config_launches_nothing(dagster: Dagster) -> None:
    action = once_action(DagsterJob(dagster.url, AllowedHosts(frozenset())))
    step = action.planner.plan(job(config={}))
    assert action.runner is not None
    with pytest.raises(StepRefused, match="RunConfigValidationInvalid"):
        action.runner.apply(step, "run-3")
    assert "run-3" not in dagster.launched()
    assert action.planner.probe(step, "run-3") is Outcome.OLD


def test_jobs_and_hosts_that_are_not_there_are_named(dagster: Dagster) -> None:
    action = once_action(DagsterJob(dagster.url, AllowedHosts(frozenset())))
    assert "it has: clean_up" in refuses_parameters(action, job(), {"job": "clean"})
    assert "automation.allowed_hosts" in refuses_parameters(action, job(), {"url": "http://dagster.example.org"})
    allowed = once_action(DagsterJob("http://127.0.0.1:9", AllowedHosts(frozenset({"127.0.0.1"}))))
    assert allowed.planner.plan(job(url=dagster.url)).after == {"launched": True}
    with pytest.raises(Unavailable, match="check that it runs"):
        allowed.planner.plan(job())
    assert allowed.planner.probe(allowed.planner.plan(job(url=dagster.url)), "run-9") is Outcome.OLD
    with pytest.raises(ContractError, match=r"with\.tags"):
        action.planner.plan(job(tags={"a b": "c"}))
