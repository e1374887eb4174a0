"""The operator's file of hosts and commands for SSH: nothing else is reached, and no command is made of a runbook's text."""

from pathlib import Path
from typing import Annotated, Final, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aiops.errors import ConfigurationError, legible

MOST_STATE: Final = 500
"""Characters of a state at most: it stands in plans and pages."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
Text = Annotated[str, Field(min_length=1, max_length=2000)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class SshHost(_Part):
    """A machine: where it answers, as whom, and the files of our key and of its."""

    address: Text
    port: Annotated[int, Field(ge=1, le=65_535)] = 22
    user: Name
    key: Path
    known_hosts: Path


class SshCommand(_Part):
    """A command that may run on some hosts. `state` prints how things are, before and after; `wanted` is what it prints then.

    Without `wanted` any other state than before is the new one, which cannot be taken back. `undo` is run for that.
    """

    hosts: Annotated[list[Name], Field(min_length=1)]
    state: Text
    run: Text
    wanted: Annotated[str, Field(max_length=MOST_STATE)] | None = None
    undo: Text | None = None
    effect: Annotated[str, Field(max_length=300)] = ""

    @model_validator(mode="after")
    def _undo_leads_back(self) -> Self:
        if self.undo is not None and self.wanted is None:
            raise ValueError("undo needs wanted: without it nobody can say whether the new state is still there")
        return self


class SshFile(_Part):
    """Hosts and commands, by the names that runbooks use."""

    hosts: Annotated[dict[Name, SshHost], Field(default_factory=dict)]
    commands: Annotated[dict[Name, SshCommand], Field(default_factory=dict)]


def read_ssh_file(path: Path | None) -> SshFile:
    """Return what the file allows; it is read anew each time.

    Raises:
        ConfigurationError: it is not set, cannot be read, or is of another form.
    """
    if path is None:
        raise ConfigurationError("action ssh.command: automation.ssh_file is not set; name a file of hosts and commands there")
    try:
        return SshFile.model_validate(yaml.safe_load(path.read_bytes()))
    except OSError as error:
        raise ConfigurationError(f"automation.ssh_file {path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ConfigurationError(f"automation.ssh_file {path}: {faults}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"automation.ssh_file {path}: is no YAML ({legible(error)})") from error
