"""Ansible playbooks of a folder that the operator names: check mode says what would change, which is the state of the target.

Source: Ansible, check mode; ansible-runner, command line and job events.
"""

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, JsonValue

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, StepRefused, Unavailable, legible
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.playbook_run import PlaybookCall, PlaybookEnd, played
from serving.automation.actions.secret_references import SecretReference, Secrets
from serving.automation.actions.state_action import StateChange, compared, refuse_changed, request_of

KIND: Final = "ansible.playbook"
_MOST_SHOWN: Final = 20
File = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}$")]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")]


class PlaybookParameters(Parameters):
    """`playbook`, `inventory` and `undo` are files below the setting automation.playbook_folder; `hosts` limits the run.

    `secrets`: variables by reference. `undo`: a playbook with the same variables that leads back.
    """

    playbook: File
    inventory: File
    hosts: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+(,[A-Za-z0-9_.-]+)*$", max_length=500)]
    variables: Annotated[dict[Variable, JsonValue], Field(default_factory=dict, max_length=50)]
    secrets: Annotated[dict[Variable, SecretReference], Field(default_factory=dict, max_length=20)]
    undo: File | None = None


class AnsiblePlaybook:
    """Runs one playbook on some hosts; done when its check mode finds nothing left to change.

    A task without check mode, such as a bare command, is refused: what it would change cannot be shown.
    """

    kind = KIND
    parameters = PlaybookParameters
    risk = Risk.HIGH
    outcome = staticmethod(compared)

    def __init__(self, folder: Path | None, secrets: Secrets) -> None:
        self._folder = folder
        self._secrets = secrets

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return what the playbook would change now, host by host.

        Raises:
            ContractError: a file is not in the folder, a task fails in check mode or has none.
            ConfigurationError: no folder is set, or the extra ansible is not installed.
            Unavailable: a host does not answer.
        """
        parameters = parsed(PlaybookParameters, request)
        end = self._played(parameters, parameters.playbook, check=True)
        _refuse_failed(parameters, end)
        if end.unchecked:
            raise ContractError(
                f"with.playbook={parameters.playbook!r}: {end.unchecked[0]} has no check mode, so what it would change cannot be"
                " shown; use a module that has one"
            )
        return {"pending": _shown(end)}

    def change(self, request: ActionRequest) -> StateChange:
        """Return that nothing is left to change."""
        parameters = parsed(PlaybookParameters, request)
        if parameters.undo is not None:
            self._file(parameters.undo, "undo")
        before = self.read(request)
        return StateChange(
            target=f"ansible {parameters.playbook} on {parameters.hosts}",
            parameters=dict(request.parameters),
            before=before,
            after={"pending": ""},
            difference=f"{parameters.playbook} changes: {before['pending'] or 'nothing'}",
            effect=f"{parameters.hosts} are as {parameters.playbook} says",
            undo="" if parameters.undo is None else f"runs {parameters.undo} on {parameters.hosts}",
            risk=Risk.HIGH,
        )

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Run the playbook, or that of the undo, where check mode still finds what was planned.

        Raises:
            StepRefused: it finds something else by now.
            Unavailable: a task failed or a host did not answer: some of it may be done.
        """
        parameters = parsed(PlaybookParameters, request_of(step))
        refuse_changed(step, into, self.read(request_of(step)))
        playbook = parameters.playbook if into == step.after else parameters.undo
        if playbook is None:
            raise StepRefused(f"{step.target}: has no undo")
        end = self._played(parameters, playbook, check=False)
        if end.status != 0:
            raise Unavailable(f"{step.target}: {playbook} ended with {end.status}{_where(end)}; some of it may be done")

    def _played(self, parameters: PlaybookParameters, playbook: str, check: bool) -> PlaybookEnd:
        secret = {name: self._secrets.value(reference).get_secret_value() for name, reference in parameters.secrets.items()}
        call = PlaybookCall(
            self._file(playbook, "playbook"),
            self._file(parameters.inventory, "inventory"),
            parameters.hosts,
            {**parameters.variables, **secret},
            check,
            self._secrets.environment,
        )
        return played(call)

    def _file(self, name: str, field: str) -> Path:
        if self._folder is None:
            raise ContractError(
                "action ansible.playbook: automation.playbook_folder is not set; name a folder of playbooks there"
            )
        folder = self._folder.resolve()
        path = (folder / name).resolve()
        if not path.is_relative_to(folder) or not path.is_file():
            raise ContractError(f"with.{field}={name!r}: automation.playbook_folder holds no such file; put it there")
        return path


def _refuse_failed(parameters: PlaybookParameters, end: PlaybookEnd) -> None:
    if end.unreachable:
        raise Unavailable(f"ansible: {end.unreachable[0]} does not answer; check the inventory {parameters.inventory}")
    if end.status != 0:
        raise ContractError(f"with.playbook={parameters.playbook!r}: check mode ends with {end.status}{_where(end)}; mend it")


def _where(end: PlaybookEnd) -> str:
    return f" at {end.failed[0]}" if end.failed else f": {legible(end.said)}" if end.said else ""


def _shown(end: PlaybookEnd) -> str:
    """Return what would change, in one line; of long ones a beginning and a digest of all."""
    more = len(end.changed) - _MOST_SHOWN
    shown = "; ".join(end.changed[:_MOST_SHOWN])
    return f"{shown}; and {more} more, {end.digest}" if more > 0 else shown
