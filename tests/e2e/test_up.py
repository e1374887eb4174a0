"""`aiops up` as a user lives with it: it comes up, says how it is, survives a kill, ends at one Ctrl-C and leaves nothing."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import orjson
import psutil
import pytest

from tests.testing.aiops_commands import COMMAND, SMALL, aiops, environment
from tests.testing.deadlines import within
from tests.testing.stream_harness import free_ports, wait_until

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
TOKEN, FOREIGN = "token-of-the-consumer", "token-of-somebody-else"
PORTS = (
    "BROKER__PORT",
    "SERVING__HTTP_PORT",
    "SERVING__GRPC_PORT",
    "CONSUMER__METRICS_PORT",
    "SIGNALS__METRICS_PORT",
    "RESPONDER__PORT",
    "INGEST__PORT",
    "INGEST__GRPC_PORT",
    "UP__MLFLOW_PORT",
    "UP__DAGSTER_PORT",
)


@pytest.fixture
def env(home: Path) -> dict[str, str]:
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    return environment(home, **ports, BROKER__PARTITIONS=1, CONSUMER__SCORING_TOKEN=TOKEN) | {"FOREIGN_TOKEN": FOREIGN}


@pytest.fixture
def log(tmp_path: Path) -> Iterator[IO[bytes]]:
    with (tmp_path / "up.log").open("wb") as sink:
        yield sink


def processes_of(home: Path) -> list[psutil.Process]:
    """Return the living processes that were started for this home."""
    processes = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("AIOPS_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                processes.append(process)
        except psutil.Error:
            continue
    return processes


def children_of(home: Path) -> dict[str, int]:
    noted: dict[str, int] = orjson.loads((home / "up.json").read_bytes())["children"]
    return noted


def holders_of(secret: str, home: Path) -> set[str]:
    """Return the children of `aiops up` whose processes hold a secret in their environment."""
    holders = set()
    for name, pid in children_of(home).items():
        family = (psutil.Process(pid), *psutil.Process(pid).children(recursive=True))
        holders |= {name for process in family if secret in process.environ().values()}
    return holders


def beside_the_code() -> set[str]:
    """Return what lies in the checkout, but for caches of tools."""
    return {path.name for path in ROOT.iterdir() if not path.name.endswith("_cache")}


def test_up_lives_heals_and_ends_clean(home: Path, env: dict[str, str], log: IO[bytes]) -> None:
    before = beside_the_code()
    command = [*COMMAND, "up", *SMALL, "--set=history_share=0.9", "--speed", "60"]
    up = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    try:
        there = wait_until(lambda: (home / "up.json").exists() or up.poll() is not None, 150, 0.2)
        assert there, Path(log.name).read_text()
        assert up.poll() is None, Path(log.name).read_text()
        other_shell = environment(home)
        status = aiops(["status", "--json"], other_shell)
        assert status.returncode == 0, status.stdout + status.stderr
        report = orjson.loads(status.stdout)
        named = {line["name"] for line in report["processes"]}
        assert named >= {"broker", "scorer", "consumer", "responder", "mlflow", "dagster", "feeder"}
        assert (holders_of(TOKEN, home), holders_of(FOREIGN, home)) == ({"consumer"}, set())
        first = children_of(home)
        for name in ("consumer", "responder"):
            os.kill(first[name], signal.SIGKILL)
        assert wait_until(lambda: all(children_of(home)[name] != first[name] for name in ("consumer", "responder")), 20)
        refused = aiops(["up", *SMALL], env)
        assert refused.returncode == 2
        assert "is in use by aiops up" in refused.stderr
        began = time.monotonic()
        up.send_signal(signal.SIGINT)
        assert up.wait(within(30)) == 0, Path(log.name).read_text()
        assert time.monotonic() - began < within(30)
    finally:
        if up.poll() is None:
            up.terminate()
            up.wait(within(40))
    assert [process.cmdline() for process in processes_of(home)] == []
    assert beside_the_code() == before, "everything is written below home"
    assert not [path for path in home.rglob("*") if path.stat().st_mode & 0o077]
    assert not (home / "up.json").exists()
    assert (home / "lake" / "tenant=default" / "telemetry").is_dir(), "data is kept"
    assert aiops(["status"], other_shell).returncode == 9


def test_up_that_only_listens_comes_up_without_history_and_models(home: Path, env: dict[str, str], log: IO[bytes]) -> None:
    up = subprocess.Popen([*COMMAND, "up", "--source", "remote-write"], env=env, stdout=log, stderr=log)
    try:
        there = wait_until(lambda: b"everything runs" in Path(log.name).read_bytes() or up.poll() is not None, 150, 0.2)
        assert there, Path(log.name).read_text()
        assert up.poll() is None, Path(log.name).read_text()
        assert f"remote_write to http://127.0.0.1:{env['AIOPS_INGEST__PORT']}/api/v1/write" in Path(log.name).read_text()
        assert "feeder" not in children_of(home)
        status = aiops(["status", "--json"], environment(home))
        assert status.returncode == 0, status.stdout + status.stderr
        report = orjson.loads(status.stdout)
        assert {model["version"] for model in report["models"]} == {"–"}, "tier 1 watches alone"
        up.send_signal(signal.SIGINT)
        assert up.wait(within(30)) == 0, Path(log.name).read_text()
    finally:
        if up.poll() is None:
            up.terminate()
            up.wait(within(40))
    assert [process.cmdline() for process in processes_of(home)] == []
