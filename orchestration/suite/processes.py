"""Child processes of one machine: started with a log file, watched for readiness, restarted when they die, ended in order.

Every child is a plain process of this interpreter (`python -m …`), so what runs here is what runs in a container. It leads a
process group of its own: what it started and left behind is ended with it, also where this process is killed.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from aiops.errors import Unavailable
from orchestration.suite.load_timeout import Patience
from orchestration.suite.orphan_reaper import OrphanReaper, end_group
from serving.host.child_environment import base_environment
from serving.host.log_files import bound_log
from serving.host.private_files import OTHERS

CALM_S: Final = 60.0
"""A child that lived this long did not fail at its start."""
LONGEST_PAUSE_S: Final = 30.0
RELAYED: Final = "kernels"
"""Lines of a child's log with this word are said while its readiness is awaited."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start one child: `command` follows the interpreter; `ready_url` answers 200 once it can work.

    It sees the base of our environment (`serving.host.child_environment`), names of ours that begin with one of `inherits`, and
    `environment`; nothing else. `needed` = other children work with it, so it ends after those started later; the rest ends at
    once.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_url: str = ""
    show_url: str = ""
    ready_within_s: float = 60.0
    stop_within_s: float = 15.0
    needed: bool = False
    inherits: tuple[str, ...] = ()

    def whole_environment(self) -> dict[str, str]:
        """Return everything that the child sees."""
        return {**base_environment(os.environ, self.inherits), **self.environment}


@dataclass(slots=True)
class Child:
    """One child process, its log from `log_from` (bytes) on, and how its restarts went."""

    spec: ChildSpec
    process: subprocess.Popen[bytes]
    log: Path
    log_from: int = 0
    started: float = 0.0
    restarts: int = 0
    quick_ends: int = 0
    not_before: float = 0.0

    def tail(self, lines: int = 12) -> str:
        """Return the last lines that it logged since it was started."""
        with self.log.open("rb") as log:
            log.seek(self.log_from)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])


class Supervisor:
    """Starts children in the order given and ends them in reverse; usable as a context manager.

    Args:
        log_folder: one `<name>.log` a child; appended, and bounded: what is older lies in `<name>.log.1`.
        say: receives one plain-language line an event.
        stopping: set by anyone = nothing is awaited or started again; `stop` sets it.
    """

    def __init__(self, log_folder: Path, say: Callable[[str], None], stopping: threading.Event | None = None) -> None:
        self._logs = log_folder
        self._say = say
        self._children: list[Child] = []
        self._stopping = stopping or threading.Event()
        self.reaper = OrphanReaper()

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def children(self) -> Sequence[Child]:
        """Return the children in starting order."""
        return tuple(self._children)

    def start(self, *specs: ChildSpec) -> tuple[Child, ...]:
        """Start children side by side and return once all are ready (at once where stopping).

        Raises:
            Unavailable: one ended or was not ready in time; the message holds the end of its log.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        started = []
        for spec in specs:
            log = self._logs / f"{spec.name}.log"
            log.touch()
            size = log.stat().st_size
            started.append(Child(spec, self._spawn(spec, log), log, size, time.monotonic()))
            self._children.append(started[-1])
        for child in started:
            self._await_ready(child)
        return tuple(started)

    def restart_dead(self) -> list[str]:
        """Start again what ended by itself; return the names. Called every second or so by `aiops up`.

        The first restart is immediate; a child that keeps ending within a minute waits 2, 4, 8 … 30 s between starts.
        """
        self.bound_logs()
        now, revived = time.monotonic(), []
        for child in self._children:
            code = child.process.poll()
            if code is None or self._stopping.is_set() or now < child.not_before:
                continue
            self._leave(child)
            child.quick_ends = child.quick_ends + 1 if now - child.started < CALM_S else 0
            child.not_before = now + min(LONGEST_PAUSE_S, 2.0**child.quick_ends) if child.quick_ends else now
            child.restarts += 1
            self._say(f"{child.spec.name} ended with code {code}; starting it again (restart {child.restarts}), see {child.log}")
            child.log_from, child.started = child.log.stat().st_size, now
            child.process = self._spawn(child.spec, child.log)
            revived.append(child.spec.name)
        return revived

    def bound_logs(self) -> None:
        """Keep every child's log within its bound."""
        for child in self._children:
            child.log_from = max(0, child.log_from - bound_log(child.log))

    def stop(self) -> None:
        """End all children: SIGTERM, then SIGKILL after each one's time; those that others need end last."""
        self._stopping.set()
        for child in self._children:
            if not child.spec.needed and child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
        for needed in (False, True):
            for child in reversed(self._children):
                if child.spec.needed is needed:
                    self._end(child)
        self._children.clear()
        self.reaper.close()

    def _end(self, child: Child) -> None:
        if child.spec.needed and child.process.poll() is None:
            child.process.send_signal(signal.SIGTERM)
        began, patience = time.monotonic(), Patience(child.spec.stop_within_s)
        while child.process.poll() is None and (left_s := began + patience.limit_s - time.monotonic()) > 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(min(1.0, left_s))  # the machine may become busier meanwhile
        if child.process.poll() is None:
            self._say(f"{child.spec.name} did not end within {patience}; killed")
            child.process.kill()
            child.process.wait()
        self._leave(child)

    def _leave(self, child: Child) -> None:
        """End what a child that is gone left behind."""
        end_group(child.process.pid)
        self.reaper.releases(child.process.pid)

    def _spawn(self, spec: ChildSpec, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as sink:
            process = subprocess.Popen(
                [sys.executable, *spec.command],
                env=spec.whole_environment(),
                stdout=sink,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                umask=OTHERS,
            )
        self.reaper.covers(process.pid, spec.needed)
        return process

    def _await_ready(self, child: Child) -> None:
        spec, began, patience = child.spec, time.monotonic(), Patience(child.spec.ready_within_s)
        relayed = 0
        while not self._stopping.is_set() and not answers(spec.ready_url):
            relayed = self._relay(child, relayed)
            code = child.process.poll()
            if code is not None:
                raise Unavailable(
                    f"{spec.name} ended with code {code} before it was ready. Its log ({child.log}) ends:\n{child.tail()}"
                )
            if time.monotonic() - began > patience.limit_s:
                raise Unavailable(f"{spec.name} was not ready within {patience}. Its log ({child.log}) ends:\n{child.tail()}")
            time.sleep(0.1)
        self._relay(child, relayed)

    def _relay(self, child: Child, relayed: int) -> int:
        """Say what a child logs of its kernels, for that is why its first start takes longer; return how many lines were said."""
        lines = [line[line.index(RELAYED) :] for line in child.tail(1000).splitlines() if RELAYED in line]
        for line in lines[relayed:]:
            self._say(f"{child.spec.name}: {line}")
        return len(lines)


def answers(url: str, timeout_s: float = 2.0) -> bool:
    """Return whether `url` answers with a 2xx status; an empty url counts as ready."""
    if not url:
        return True
    try:
        return httpx.get(url, timeout=timeout_s, trust_env=False).is_success
    except httpx.HTTPError:
        return False
