"""Restarts a process that a supervisor keeps alive: it is asked to end, and its pid file names another one afterwards."""

import os
import signal
from pathlib import Path
from typing import Annotated, Final, Literal

import psutil
from pydantic import Field

from aiops.automation.action import ActionRequest, Outcome, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, StepRefused, Unavailable
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.state_action import StateChange, refuse_changed, request_of

KIND: Final = "process.restart"
_MOST_BYTES: Final = 100


class RestartParameters(Parameters):
    """`pid_file` is written by the supervisor; `user`: the process must run as this one."""

    pid_file: Annotated[str, Field(pattern=r"^/", max_length=1000)]
    user: Annotated[str, Field(min_length=1, max_length=100)]
    signal: Literal["TERM", "HUP", "INT"] = "TERM"


class ProcessRestart:
    """Ends one process of this machine; whoever supervises it starts it again."""

    kind = KIND
    parameters = RestartParameters
    risk = Risk.LOW

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return process id and beginning of the process that the pid file names.

        Raises:
            ContractError: the pid file names no running process, or one of another user.
            Unavailable: the pid file cannot be read.
        """
        parameters = parsed(RestartParameters, request)
        try:
            pid = _pid_of(Path(parameters.pid_file))
            process = psutil.Process(pid)
            user, began = process.username(), process.create_time()
        except OSError as error:
            raise Unavailable(f"pid file {parameters.pid_file}: cannot be read ({error.strerror})") from error
        except (ValueError, IndexError) as error:
            raise ContractError(f"with.pid_file={parameters.pid_file!r}: holds no process id") from error
        except psutil.Error as error:
            raise ContractError(f"with.pid_file={parameters.pid_file!r}: names no process that runs ({error})") from error
        if user != parameters.user:
            raise ContractError(f"with.user={parameters.user!r}: process {pid} runs as {user!r}")
        if pid in (1, os.getpid(), os.getppid()):
            raise ContractError(f"with.pid_file={parameters.pid_file!r}: names process {pid}, which carries out runs itself")
        return {"pid": pid, "began": round(began, 2)}

    def change(self, request: ActionRequest) -> StateChange:
        """Return that another process runs in its place."""
        parameters = parsed(RestartParameters, request)
        before = self.read(request)
        return StateChange(
            target=f"process {parameters.pid_file}",
            parameters=dict(request.parameters),
            before=before,
            after={"not": before["pid"], "began_after": before["began"]},
            difference=f"process {before['pid']} → another one, by SIG{parameters.signal}",
            effect="what it holds in memory is gone; requests fail until it is up again",
            undo="",
        )

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Send the signal to the process that was seen; by a handle of its own, so that no other is hit.

        Raises:
            StepRefused: it is gone, or may not be sent a signal.
            Unavailable: the pid file cannot be read.
        """
        parameters = parsed(RestartParameters, request_of(step))
        pid = int(str(step.before["pid"]))
        try:
            handle = os.pidfd_open(pid)
        except OSError as error:
            raise StepRefused(f"{step.target}: process {pid} is gone; make a new plan") from error
        try:
            refuse_changed(step, into, self.read(request_of(step)))
            signal.pidfd_send_signal(handle, signal.Signals[f"SIG{parameters.signal}"])
        except (PermissionError, ProcessLookupError) as error:
            raise StepRefused(f"{step.target}: process {pid} cannot be sent a signal ({error.strerror})") from error
        finally:
            os.close(handle)

    def outcome(self, step: PlannedStep, now: PlainMapping) -> Outcome:
        """Compare: another process of the same pid file is the new state."""
        return Outcome.OLD if now == step.before else Outcome.NEW


def _pid_of(path: Path) -> int:
    with path.open("rb") as file:
        return int(file.read(_MOST_BYTES).split()[0])
