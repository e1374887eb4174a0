"""What is to end should this process be killed: a small process beside it sees a pipe close, and ends it in order.

The kernel closes the pipe of a process however it ended, on Linux and macOS alike; nothing polls, and programs that are not
ours (MLflow, Dagster, Valkey) end too. The small process runs this file alone, with the standard library only.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Final

END_S: Final = 15.0
GROUP_S: Final = 2.0
_LOOK_S: Final = 0.02
_AT_ONCE: Final = "at_once"
_LAST: Final = "last"
_RELEASED: Final = "released"
_PEACE: Final = "peace"


class OrphanReaper:
    """Process groups that end with this process; the small process is started with the first one."""

    def __init__(self) -> None:
        self._executor: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int | None:
        """Return the id of the small process, None before it is started and once it has ended."""
        return None if self._executor is None else self._executor.pid

    def covers(self, leader: int, needed: bool = False) -> None:
        """Have a process group end, should this process be killed; those `needed` end after the others, the latest first."""
        if self._executor is None:
            command = [sys.executable, "-I", "-S", __file__]
            self._executor = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)
        self._send_line(f"{_LAST if needed else _AT_ONCE} {leader}")

    def releases(self, leader: int) -> None:
        """Leave a process group alone, for it has ended."""
        self._send_line(f"{_RELEASED} {leader}")

    def close(self) -> None:
        """Leave all alone; the small process ends."""
        self._send_line(_PEACE)
        if self._executor is not None:
            assert self._executor.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                self._executor.stdin.close()
            self._executor.wait()
            self._executor = None

    def _send_line(self, line: str) -> None:
        if self._executor is not None:
            assert self._executor.stdin is not None
            with contextlib.suppress(BrokenPipeError):  # somebody ended it: nobody cares for what is left then
                print(line, file=self._executor.stdin, flush=True)


def end_group(leader: int, within_s: float = GROUP_S) -> None:
    """End what a process that is gone left running in its group: SIGTERM, and SIGKILL `within_s` later."""
    if _send(os.killpg, leader, signal.SIGTERM):
        _await(lambda: not _send(os.killpg, leader, 0), within_s)
        _send(os.killpg, leader, signal.SIGKILL)


def groups_left(lines: Iterable[str]) -> Mapping[int, bool]:
    """Return the groups to end, by leader, and whether others need them; in the order in which they were named."""
    groups: dict[int, bool] = {}
    for line in lines:
        word, _, leader = line.strip().partition(" ")
        if word == _PEACE:
            return {}
        if word == _RELEASED:
            groups.pop(int(leader), None)
        else:
            groups[int(leader)] = word == _LAST
    return groups


def carry_out(groups: Mapping[int, bool], within_s: float = END_S) -> None:
    """End groups: SIGTERM to the leaders that nobody needs, then to each of the others, SIGKILL to what is left."""
    last = [leader for leader, needed in groups.items() if needed]
    for leaders in ([leader for leader in groups if leader not in last], *([leader] for leader in reversed(last))):
        for leader in leaders:
            _send(os.kill, leader, signal.SIGTERM)
        _await(lambda leaders=leaders: not any(_send(os.kill, leader, 0) for leader in leaders), within_s)  # type: ignore[misc]
        for leader in leaders:
            _send(os.kill, leader, signal.SIGKILL)
            end_group(leader, min(within_s, GROUP_S))


def _send(how: Callable[[int, int], None], target: int, signum: int) -> bool:
    """Send a signal and return whether anybody was there; macOS says of a group of the dead that it is not ours."""
    try:
        how(target, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _await(true: Callable[[], bool], within_s: float) -> None:
    deadline = time.monotonic() + within_s
    while not true() and time.monotonic() < deadline:
        time.sleep(_LOOK_S)


def main(lines: IO[str]) -> None:
    """Listen until the other side is gone, then do what it asked for."""
    carry_out(groups_left(lines))


if __name__ == "__main__":
    main(sys.stdin)
