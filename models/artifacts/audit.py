"""Audit log of the registry: append-only JSON lines, who did what to which model, when and why."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from aiops.errors import StateError

CHAMPION: Final = "champion"
CHALLENGER: Final = "challenger"


@dataclass(frozen=True, slots=True)
class Change:
    """Who wants a change, when (aware UTC) and why."""

    who: str
    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class AliasMove:
    """An alias that is to name a version; `action` as the log names it: alias or rollback."""

    action: str
    name: str
    alias: str
    version: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing done: `action` is register, alias, rollback, gate or delete; `alias` is empty where none is concerned."""

    at: str
    who: str
    action: str
    model: str
    version: str
    alias: str
    why: str


@dataclass(frozen=True, slots=True)
class AuditLog:
    """The log in one file; appending is one write and an fsync, so that lines of several processes do not mix."""

    path: Path

    def append(self, action: str, model: str, version: str, change: Change, alias: str = "") -> AuditEntry:
        """Write one line and return its entry."""
        entry = AuditEntry(change.at.isoformat(), change.who, action, model, version, alias, change.why)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as log:
            log.write(json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n")
            log.flush()
            os.fsync(log.fileno())
        return entry

    def entries(self, model: str | None = None) -> Iterator[AuditEntry]:
        """Yield the entries of one model, or of all, oldest first.

        Raises:
            StateError: a line is no entry; a line cut off by a crash at the end of the file is skipped.
        """
        lines = self.path.read_bytes().split(b"\n") if self.path.exists() else []
        for number, line in enumerate(lines):
            if not line or number == len(lines) - 1:
                continue
            try:
                entry = AuditEntry(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise StateError(f"{self.path}, line {number + 1} is no audit entry; restore the file from a backup") from error
            if model in {None, entry.model}:
                yield entry

    def past_champions(self, model: str) -> list[str]:
        """Return the champions that a rollback walks back through, oldest first; the last is the present one."""
        stack: list[str] = []
        for entry in self.entries(model):
            if entry.alias != CHAMPION:
                continue
            if entry.action == "rollback" and len(stack) > 1:
                stack.pop()
            elif entry.action == "alias" and stack[-1:] != [entry.version]:
                stack.append(entry.version)
        return stack
