"""Feature flags in a JSON file that services read (flagd's form or a plain object); the file is replaced by one rename."""

import json
import os
import stat
from functools import partial
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final

from pydantic import Field

from aiops.automation.action import ActionRequest, PlainMapping, PlannedStep, Risk
from aiops.errors import ContractError, Unavailable, legible
from serving.automation.actions.action_parameters import Parameters, parsed
from serving.automation.actions.state_action import StateChange, compared, refuse_changed, request_of
from serving.host.atomic_file import write_atomically

KIND: Final = "feature_flag.file"
_MOST_BYTES: Final = 4 << 20
_STAGING: Final = ".aiops-staging"


class FlagParameters(Parameters):
    """`flag`: where the value stands in the file, names joined by dots, such as flags.new-checkout.defaultVariant."""

    file: Annotated[str, Field(pattern=r"^/", max_length=1000)]
    flag: Annotated[str, Field(min_length=1, max_length=500)]
    value: str | int | float | bool


class FlagFile:
    """Sets one value that is in the file already; `folders` are the only ones whose files may be changed."""

    kind = KIND
    parameters = FlagParameters
    risk = Risk.LOW
    outcome = staticmethod(compared)

    def __init__(self, folders: tuple[Path, ...]) -> None:
        self._folders = folders

    def read(self, request: ActionRequest) -> PlainMapping:
        """Return the value of the flag.

        Raises:
            ContractError: the file is none of those that may be changed, is no JSON, or has no such flag.
            Unavailable: the file cannot be read.
        """
        parameters = parsed(FlagParameters, request)
        return {"value": _holder(self._document(parameters), parameters)[_last(parameters)]}

    def change(self, request: ActionRequest) -> StateChange:
        """Return the flag with its new value.

        Raises:
            ContractError: the new value is of another type.
        """
        parameters = parsed(FlagParameters, request)
        before = self.read(request)
        value = before["value"]
        if type(value) is not type(parameters.value):
            raise ContractError(f"with.value={parameters.value!r}: {parameters.flag} is {value!r}; give a value of the same type")
        return StateChange(
            target=f"flag {parameters.file} {parameters.flag}",
            parameters=dict(request.parameters),
            before=before,
            after={"value": parameters.value},
            difference=f"{parameters.flag}: {value!r} → {parameters.value!r}",
            effect=f"services that read {parameters.file} go by {parameters.value!r} once they have read it again",
            undo=f"sets {parameters.flag} back to {value!r}",
        )

    def swap(self, step: PlannedStep, into: PlainMapping, key: str) -> None:
        """Write the file with the new value where it holds the one planned; all else in it stays as it is.

        Another writer between reading and renaming would lose its change: that is some 10 ms, on a local disk.

        Raises:
            StepRefused: the flag has another value by now.
            Unavailable: the file cannot be read or written; then it is as it was.
        """
        parameters = parsed(FlagParameters, request_of(step))
        document = self._document(parameters)
        holder = _holder(document, parameters)
        refuse_changed(step, into, {"value": holder[_last(parameters)]})
        holder[_last(parameters)] = into["value"]
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        path = self._path(parameters)
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            write_atomically(path.parent / _STAGING, path, partial(_write, text.encode(), mode))
        except OSError as error:
            raise Unavailable(f"{step.target}: cannot be written ({error.strerror}); check rights and space") from error

    def _document(self, parameters: FlagParameters) -> Any:
        path = self._path(parameters)
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise ContractError(f"with.file={parameters.file!r}: is larger than {_MOST_BYTES} bytes")
            return json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise Unavailable(f"flag file {parameters.file}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise ContractError(f"with.file={parameters.file!r}: is no JSON ({legible(error)})") from error

    def _path(self, parameters: FlagParameters) -> Path:
        """Return the file itself, past links, which lies in one of the folders."""
        path = Path(parameters.file).resolve()
        if not any(path.is_relative_to(folder.resolve()) for folder in self._folders):
            raise ContractError(
                f"with.file={parameters.file!r}: lies in no folder of automation.flag_folders; add its folder there"
            )
        return path


def _last(parameters: FlagParameters) -> str:
    return parameters.flag.rsplit(".", 1)[-1]


def _holder(document: Any, parameters: FlagParameters) -> Any:
    """Return the object that holds the flag.

    Raises:
        ContractError: there is none, or it is no plain value.
    """
    holder = document
    for name in parameters.flag.split(".")[:-1]:
        holder = holder.get(name) if isinstance(holder, dict) else None
    value = holder.get(_last(parameters)) if isinstance(holder, dict) else None
    if not isinstance(value, str | int | float | bool):
        raise ContractError(
            f"with.flag={parameters.flag!r}: {parameters.file} holds no plain value there; a runbook adds no flags"
        )
    return holder


def _write(data: bytes, mode: int, file: BinaryIO) -> None:
    os.fchmod(file.fileno(), mode)
    file.write(data)
