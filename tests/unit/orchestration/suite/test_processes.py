"""Children of `aiops up`: readiness, early death, restarts, stubborn ones, what they leave behind."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from aiops.errors import Unavailable
from orchestration.suite import load_timeout, processes
from orchestration.suite.free_ports import free_ports
from orchestration.suite.orphan_reaper import carry_out, end_group, groups_left
from orchestration.suite.processes import ChildSpec, Supervisor
from tests.testing.deadlines import Deadline, within

READY = """
import http.server, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("Content-Length", "0"); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Page).serve_forever()
"""
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
SLOW = """
import signal, sys, time
def end(*_):
    time.sleep(1.0)
    sys.exit(0)
signal.signal(signal.SIGTERM, end); print("up", flush=True)
while True: time.sleep(0.01)
"""
PARENT = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", sys.argv[1]]).pid, flush=True)
time.sleep(60)
"""
NOTING = """
import signal, sys, time
def end(*_):
    open(sys.argv[1], "a").write(sys.argv[2] + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, end); print("up", flush=True)
while True: time.sleep(0.01)
"""
SUPERVISING = """
import sys, time
from pathlib import Path
from orchestration.suite.processes import ChildSpec, Supervisor
supervisor, (noting, folder) = Supervisor(Path(sys.argv[2]), print), sys.argv[1:]
names = ("service", "reader", "window")
specs = [ChildSpec(name, ("-c", noting, folder + "/order", name), needed=name != "window") for name in names]
print(*(child.process.pid for child in supervisor.start(*specs)), flush=True)
time.sleep(60)
"""


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Supervisor:
    return Supervisor(tmp_path / "logs", said.append)


def until(true: Callable[[], object], timeout_s: float = 10.0) -> None:
    deadline = Deadline(timeout_s)
    while not true():
        assert not deadline.passed, "it did not happen in time"
        time.sleep(0.01)


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_ready_child_answers_and_ends_with_the_supervisor(supervisor: Supervisor, free_port: int) -> None:
    with supervisor:
        (child,) = supervisor.start(
            ChildSpec("web", ("-c", READY, str(free_port)), ready_url=f"http://127.0.0.1:{free_port}/", needed=True)
        )
        assert processes.answers(f"http://127.0.0.1:{free_port}/")
    assert child.process.returncode == -signal.SIGTERM
    assert supervisor.children == ()


def test_an_early_end_is_reported_with_the_end_of_its_own_log(supervisor: Supervisor, tmp_path: Path) -> None:
    command = ("-c", "print('a port is taken'); raise SystemExit(3)")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "early.log").write_text("a line of another day\n")
    with supervisor, pytest.raises(Unavailable, match=r"(?s)early ended with code 3.*a port is taken") as failure:
        supervisor.start(ChildSpec("early", command, ready_url="http://127.0.0.1:9/"))
    assert "another day" not in str(failure.value)


def test_a_child_that_is_not_ready_in_time_is_reported(supervisor: Supervisor) -> None:
    spec = ChildSpec("slow", ("-c", "import time; time.sleep(60)"), ready_url="http://127.0.0.1:9/", ready_within_s=0.3)
    with supervisor, pytest.raises(Unavailable, match=r"slow was not ready within \d s"):
        supervisor.start(spec)


def test_nothing_is_awaited_once_stopping(tmp_path: Path, said: list[str]) -> None:
    stopping = threading.Event()
    stopping.set()
    with Supervisor(tmp_path, said.append, stopping) as supervisor:
        began = time.monotonic()
        supervisor.start(ChildSpec("slow", ("-c", "import time; time.sleep(60)"), ready_url="http://127.0.0.1:9/"))
        assert time.monotonic() - began < within(5)


def test_a_dead_child_is_started_again_at_once_and_then_with_pauses(supervisor: Supervisor, said: list[str]) -> None:
    with supervisor:
        (child,) = supervisor.start(ChildSpec("mortal", ("-c", "import time; time.sleep(60)")))
        assert supervisor.restart_dead() == []
        first = child.process.pid
        child.process.kill()
        until(lambda: child.process.poll() is not None)
        assert supervisor.restart_dead() == ["mortal"]
        assert (child.restarts, child.process.pid != first) == (1, True)
        child.process.kill()
        until(lambda: child.process.poll() is not None)
        assert supervisor.restart_dead() == [], "a child that ends again within a minute waits"
        child.not_before = 0.0
        assert supervisor.restart_dead() == ["mortal"]
        assert child.not_before - time.monotonic() > 3, "and longer each time"
    assert any("mortal ended with code -9" in line for line in said)


def test_a_stubborn_child_is_killed(supervisor: Supervisor, said: list[str]) -> None:
    (child,) = supervisor.start(ChildSpec("stubborn", ("-c", STUBBORN), stop_within_s=0.2))
    until(lambda: "deaf" in child.tail())
    supervisor.stop()
    assert child.process.returncode == -signal.SIGKILL
    (line,) = said
    assert line.startswith("stubborn did not end within ")
    assert line.endswith("; killed")


def test_a_child_on_a_busy_machine_has_more_time_to_end(
    supervisor: Supervisor, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_timeout, "busyness", lambda: 100.0)
    (child,) = supervisor.start(ChildSpec("slow", ("-c", SLOW), stop_within_s=0.3))
    until(lambda: "up" in child.tail())
    supervisor.stop()
    assert (child.process.returncode, said) == (0, [])


def test_what_a_child_leaves_behind_ends_with_it(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "end_group", partial(end_group, within_s=0.2))
    (child,) = supervisor.start(ChildSpec("parent", ("-c", PARENT, STUBBORN)))
    until(lambda: "deaf" in child.tail())
    grandchild = psutil.Process(int(child.tail().split()[0]))
    supervisor.stop()
    until(lambda: not alive(grandchild))


def test_those_that_others_need_end_last(supervisor: Supervisor, tmp_path: Path) -> None:
    note = tmp_path / "order"
    for name, needed in (("service", True), ("reader", True), ("window", False)):
        (child,) = supervisor.start(ChildSpec(name, ("-c", NOTING, str(note), name), needed=needed))
        until(lambda child=child: "up" in child.tail())  # type: ignore[misc]
    supervisor.stop()
    assert note.read_text().split() == ["window", "reader", "service"]


def test_all_end_in_order_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "order"
    supervising = subprocess.Popen([sys.executable, "-c", SUPERVISING, NOTING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert supervising.stdout is not None
    left = [psutil.Process(int(number)) for number in supervising.stdout.readline().split()]
    until(lambda: all("up" in (tmp_path / f"{name}.log").read_text() for name in ("service", "reader", "window")))
    supervising.kill()
    assert supervising.wait(within(10)) == -signal.SIGKILL
    supervising.stdout.close()
    until(lambda: not any(alive(process) for process in left))
    assert note.read_text().split() == ["window", "reader", "service"], "by SIGTERM, each in its turn"


def test_a_reaper_forgets_what_has_ended_and_all_once_it_is_closed() -> None:
    lines = ["at_once 7\n", "last 8\n", "at_once 9\n", "released 7\n"]
    assert groups_left(lines) == {8: True, 9: False}
    assert groups_left([*lines, "peace\n"]) == {}
    supervisor = Supervisor(Path(), print)
    supervisor.reaper.covers(999_999_999)
    executor = psutil.Process(supervisor.reaper.pid)
    supervisor.stop()
    assert not executor.is_running()


def test_a_reaper_kills_what_ignores_signals() -> None:
    deaf = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE, start_new_session=True)
    assert deaf.stdout is not None
    assert deaf.stdout.readline() == b"deaf\n"
    carry_out({deaf.pid: False, 999_999_999: True}, within_s=0.2)
    assert deaf.wait(within(10)) == -signal.SIGKILL
    deaf.stdout.close()


def test_children_get_the_base_what_they_inherit_and_their_own(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OURS_X", "1")
    monkeypatch.setenv("STRANGERS", "3")
    program = "import os; print(os.environ['OURS_X'], os.environ['THEIRS'], 'PATH' in os.environ, 'STRANGERS' in os.environ)"
    with supervisor:
        (child,) = supervisor.start(ChildSpec("env", ("-c", program), {"THEIRS": "2"}, inherits=("OURS_",)))
        child.process.wait(within(10))
        assert child.tail() == "1 2 True False"
        assert child.process.args[0] == sys.executable  # type: ignore[index]


def test_what_a_child_logs_of_its_kernels_is_said_while_it_is_waited_for(supervisor: Supervisor, said: list[str]) -> None:
    (port,) = free_ports(1)
    script = (
        "import time; print('INFO kernels are compiled once', flush=True); print('INFO other', flush=True); time.sleep(0.5)\n"
    )
    with supervisor:
        url = f"http://127.0.0.1:{port}/"
        supervisor.start(ChildSpec("compiler", ("-c", script + READY, str(port)), ready_url=url, ready_within_s=30.0))
    assert said == ["compiler: kernels are compiled once"]
