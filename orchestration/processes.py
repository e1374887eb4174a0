"""Child processes of one machine: started with a log file, watched for readiness, restarted when they die, ended in order.

Every child is a plain process of this interpreter (`python -m …`), so what runs here is what runs in a container.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from aiops.errors import Unavailable


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to start one child: `command` follows the interpreter; `ready_url` answers 200 once it can work."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_url: str = ""
    show_url: str = ""
    ready_within_s: float = 60.0
    stop_within_s: float = 15.0


@dataclass(slots=True)
class Child:
    """One running child."""

    spec: ChildSpec
    process: subprocess.Popen[bytes]
    log: Path
    restarts: int = 0

    def tail(self, lines: int = 12) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Supervisor:
    """Starts children in the order given and ends them in reverse; usable as a context manager.

    Args:
        log_folder: one `<name>.log` a child; appended, never truncated.
        say: receives one plain-language line an event.
    """

    def __init__(self, log_folder: Path, say: Callable[[str], None]) -> None:
        self._logs = log_folder
        self._say = say
        self._children: list[Child] = []
        self._stopping = threading.Event()

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def children(self) -> Sequence[Child]:
        """Return the children in starting order."""
        return tuple(self._children)

    def start(self, spec: ChildSpec) -> Child:
        """Start one child and return once it is ready.

        Raises:
            Unavailable: it ended or was not ready in time; the message holds the end of its log.
        """
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{spec.name}.log"
        child = Child(spec, self._spawn(spec, log), log)
        self._children.append(child)
        self._await_ready(child)
        return child

    def restart_dead(self) -> list[str]:
        """Start again what ended by itself; return the names. Called every second or so by `aiops up`."""
        revived = []
        for child in self._children:
            code = child.process.poll()
            if code is None or self._stopping.is_set():
                continue
            child.restarts += 1
            self._say(f"{child.spec.name} ended with code {code}; starting it again (restart {child.restarts})")
            child.process = self._spawn(child.spec, child.log)
            revived.append(child.spec.name)
        return revived

    def stop(self) -> None:
        """End all children in reverse order: SIGTERM, then SIGKILL after each one's time."""
        self._stopping.set()
        for child in reversed(self._children):
            if child.process.poll() is None:
                child.process.send_signal(signal.SIGTERM)
                self._reap(child)
        self._children.clear()

    def _reap(self, child: Child) -> None:
        try:
            child.process.wait(child.spec.stop_within_s)
        except subprocess.TimeoutExpired:
            self._say(f"{child.spec.name} did not end within {child.spec.stop_within_s:.0f} s; killed")
            os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()

    def _spawn(self, spec: ChildSpec, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as sink:
            return subprocess.Popen(
                [sys.executable, *spec.command],
                env={**os.environ, **spec.environment},
                stdout=sink,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def _await_ready(self, child: Child) -> None:
        spec, deadline = child.spec, time.monotonic() + child.spec.ready_within_s
        while not answers(spec.ready_url):
            code = child.process.poll()
            if code is not None:
                raise Unavailable(
                    f"{spec.name} ended with code {code} before it was ready. Its log ({child.log}) ends:\n{child.tail()}"
                )
            if time.monotonic() > deadline:
                raise Unavailable(f"{spec.name} was not ready within {spec.ready_within_s:.0f} s. Its log ends:\n{child.tail()}")
            time.sleep(0.1)


def answers(url: str, timeout_s: float = 2.0) -> bool:
    """Return whether `url` answers with a 2xx status; an empty url counts as ready."""
    if not url:
        return True
    try:
        return httpx.get(url, timeout=timeout_s).is_success
    except httpx.HTTPError:
        return False
