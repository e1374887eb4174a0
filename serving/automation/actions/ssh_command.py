"""Commands on other machines over SSH: hosts and commands stand in a file of the suite's operator, a runbook only names them.

Host keys are checked against the file's `known_hosts`; only keys log in, no agent, no password, no configuration of the user's.
"""

from pathlib import Path
from typing import Final

from aiops.automation.action import ActionRequest, Outcome, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, Unavailable, legible
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.ssh_file import MOST_STATE, Name, SshCommand, SshHost, read_ssh_file
from serving.automation.actions.ssh_session import ran
from serving.automation.actions.state_action import StateChange, compared, refuse_changed, request_of

KIND: Final = "ssh.command"


class SshParameters(Parameters):
    """`host` and `command` by their names in the file of the setting automation.ssh_file."""

    host: Name
    command: Name


class SshCommandKind:
    """Runs one command that the operator has allowed on a host; its output is kept nowhere, only its state is."""

    kind = KIND
    parameters = SshParameters
    risk = Risk.HIGH

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return what the state command prints.

        Raises:
            ContractError: host or command are not in the file, or the state command fails.
            ConfigurationError: the file cannot be read, or the extra ssh is not installed.
            Unavailable: the host does not answer, or its key is another one.
        """
        host, command = self._allowed(request)
        return self._state(host, command)

    def change(self, request: ActionRequest) -> StateChange:
        """Return the state after the command."""
        parameters = parsed(SshParameters, request)
        host, command = self._allowed(request)
        before = self._state(host, command)
        after: PlainMapping = {"not": before["state"]} if command.wanted is None else {"state": command.wanted}
        wanted = "another state" if command.wanted is None else repr(command.wanted)
        return StateChange(
            target=f"ssh {parameters.host} {parameters.command}",
            parameters=dict(request.parameters),
            before=before,
            after=after,
            difference=f"{parameters.command} on {parameters.host}, `{legible(command.run)}`: {before['state']!r} → {wanted}",
            effect=command.effect,
            undo="" if command.undo is None else f"runs `{legible(command.undo)}`",
            risk=Risk.HIGH,
        )

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Run the command, or its undo, where the state is still the one planned.

        Raises:
            StepRefused: the state is another one by now.
            Unavailable: the host does not answer, or the command failed: it may have done something.
        """
        host, command = self._allowed(request_of(step))
        refuse_changed(step, into, self._state(host, command))
        text = command.run if into == step.after else command.undo
        if text is None:
            raise Unavailable(f"{step.target}: the file has no undo any more; put it back")
        status = ran(host, text).status
        if status != 0:
            raise Unavailable(f"{step.target}: ended with {status}: what it has done is not known")

    def outcome(self, step: PlannedStep, now: PlainMapping) -> Outcome:
        """Compare; without a wanted state any other one than before is the new one."""
        if "not" in step.after:
            return Outcome.OLD if now == step.before else Outcome.NEW
        return compared(step, now)

    def _state(self, host: SshHost, command: SshCommand) -> PlainMapping:
        came_to = ran(host, command.state)
        if came_to.status != 0:
            raise ContractError(
                f"ssh {host.address}: the state command ended with {came_to.status}; it must print the state and end with 0"
            )
        state = came_to.output.strip()
        if len(state) > MOST_STATE:
            raise ContractError(
                f"ssh {host.address}: the state has {len(state)} characters, at most {MOST_STATE} may be; print less"
            )
        return {"state": state}

    def _allowed(self, request: ActionRequest) -> tuple[SshHost, SshCommand]:
        parameters, file = parsed(SshParameters, request), read_ssh_file(self._file)
        host, command = file.hosts.get(parameters.host), file.commands.get(parameters.command)
        if host is None:
            known = ", ".join(sorted(file.hosts)) or "none"
            raise ContractError(f"with.host={parameters.host!r}: automation.ssh_file has no such host; it has: {known}")
        if command is None or parameters.host not in command.hosts:
            known = ", ".join(sorted(name for name, kept in file.commands.items() if parameters.host in kept.hosts)) or "none"
            raise ContractError(f"with.command={parameters.command!r}: may not run on {parameters.host}; there may: {known}")
        return host, command
