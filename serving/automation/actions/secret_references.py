"""Secrets by reference: runbooks, plans, logs and pages hold `env:NAME` or `file:PATH`; the value is read just before its use."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, SecretStr

from aiops.errors import ConfigurationError

REFERENCE: Final = r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+)$"
SecretReference = Annotated[str, Field(pattern=REFERENCE, max_length=1000)]
"""Where a secret lies: env:NAME of the automation process, or file:/PATH (a mounted Kubernetes secret is a file)."""
_MOST_BYTES: Final = 65_536
_OWN: Final = "AIOPS_"
"""Beginning of the names of the suite's own settings, which no runbook may send anywhere."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """Reads secrets; `folders`: the only ones whose files may be read, none = no file may be."""

    environment: Mapping[str, str]
    folders: tuple[Path, ...] = ()

    @classmethod
    def of_process(cls, folders: tuple[Path, ...]) -> "Secrets":
        """Return the secrets of this process; called once, at the top."""
        return cls(dict(os.environ), folders)

    def value(self, reference: str) -> SecretStr:
        """Return the value behind a reference; its text shows stars only.

        Raises:
            ConfigurationError: there is none, or its file may not be read.
        """
        kind, _, name = reference.partition(":")
        if kind == "env":
            if name.upper().startswith(_OWN):
                raise ConfigurationError(
                    f"secret {reference}: is a setting of the suite itself, which no runbook may use; put a secret into another"
                )
            if name not in self.environment:
                raise ConfigurationError(
                    f"secret {reference}: the automation process has no such variable; set it and start it again"
                )
            return SecretStr(self.environment[name])
        return SecretStr(self._file(reference, Path(name)))

    def _file(self, reference: str, path: Path) -> str:
        resolved = path.resolve()
        if not any(resolved.is_relative_to(folder.resolve()) for folder in self.folders):
            raise ConfigurationError(f"secret {reference}: lies in no folder of automation.secret_folders; add its folder there")
        try:
            if resolved.stat().st_size > _MOST_BYTES:
                raise ConfigurationError(
                    f"secret {reference}: is larger than {_MOST_BYTES} bytes; name the file of the secret itself"
                )
            return resolved.read_text(encoding="utf-8").rstrip("\n")
        except OSError as error:
            raise ConfigurationError(f"secret {reference}: cannot be read ({error.strerror}); check path and rights") from error
        except UnicodeDecodeError:
            raise ConfigurationError(f"secret {reference}: is no text in UTF-8; name a file of text") from None
