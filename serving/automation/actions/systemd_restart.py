"""Restarts a systemd service; its invocation id tells one run of it from the next.

Source: systemd.exec(5), INVOCATION_ID; systemctl(1), show.
"""

import subprocess
from typing import Annotated, Final

from pydantic import Field

from aiops.automation.action import ActionRequest, Outcome, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, Unavailable, legible
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.state_action import StateChange, refuse_changed, request_of

KIND: Final = "systemd.restart"
_TIMEOUT_S: Final = 90.0


class UnitParameters(Parameters):
    """`unit`: a service unit; `user_manager`: that of the user's own manager instead of the system's."""

    unit: Annotated[str, Field(pattern=r"^[A-Za-z0-9@_.:\\-]{1,200}\.service$")]
    user_manager: bool = False


class SystemdRestart:
    """Restarts one unit of this machine; `systemctl` is the program to call."""

    kind = KIND
    parameters = UnitParameters
    risk = Risk.LOW

    def __init__(self, systemctl: str = "systemctl") -> None:
        self._systemctl = systemctl

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return the unit's state and the id of its present run.

        Raises:
            ContractError: there is no such unit.
            Unavailable: systemd does not answer.
        """
        parameters = parsed(UnitParameters, request)
        text = self._call(parameters, "show", "--property=LoadState,ActiveState,InvocationID", parameters.unit)
        properties = dict(line.partition("=")[::2] for line in text.splitlines() if "=" in line)
        if properties.get("LoadState") != "loaded":
            raise ContractError(
                f"with.unit={parameters.unit!r}: systemd knows no such unit (it says {properties.get('LoadState')})"
            )
        return {"state": properties.get("ActiveState", ""), "invocation": properties.get("InvocationID", "")}

    def change(self, request: ActionRequest) -> StateChange:
        """Return that another run of it is active."""
        parameters = parsed(UnitParameters, request)
        before = self.read(request)
        return StateChange(
            target=f"systemd {parameters.unit}",
            parameters=dict(request.parameters),
            before=before,
            after={"state": "active", "not_invocation": before["invocation"]},
            difference=f"{parameters.unit}: {before['state']} → started again",
            effect="what it holds in memory is gone; requests fail until it is up again",
        )

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Restart the unit, if it is still the run that was seen.

        Raises:
            StepRefused: it has been started again meanwhile.
            Unavailable: systemd does not answer in time, or the restart failed: it may have ended the unit and not begun it.
        """
        parameters = parsed(UnitParameters, request_of(step))
        refuse_changed(step, into, self.read(request_of(step)))
        self._call(parameters, "restart", parameters.unit)

    def outcome(self, step: PlannedStep, now: PlainMapping) -> Outcome:
        """Compare: an active run with another id is the new state; anything that is not active is neither."""
        if now == step.before:
            return Outcome.OLD
        is_new = now["state"] == "active" and now["invocation"] != step.before["invocation"]
        return Outcome.NEW if is_new else Outcome.OTHER

    def _call(self, parameters: UnitParameters, *arguments: str) -> str:
        manager = ("--user",) if parameters.user_manager else ()
        command = [self._systemctl, *manager, "--no-ask-password", *arguments]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except FileNotFoundError as error:
            raise ContractError(f"action {KIND}: there is no {self._systemctl!r} on this machine") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"systemd: {' '.join(arguments)} did not end within {_TIMEOUT_S:.0f} s") from error
        if done.returncode != 0:
            raise Unavailable(f"systemd: {' '.join(arguments)} ended with {done.returncode}: {legible(done.stderr)}")
        return done.stdout
