"""Runbooks from files: a folder or a git checkout, read again where a file has changed; it never writes.

A file that is faulty now keeps its last good version in force, and what is wrong with it is said until it is mended. A file that
is gone takes its runbook with it. Hidden files and folders (.git, ..data) do not count; links may not lead out of the folder.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiops.automation.marked_yaml import MOST_BYTES
from aiops.automation.runbook_text import FaultyRunbook, Kinds, VersionedRunbook, read_runbook
from aiops.errors import legible
from serving.host.file_stamp import FileStamp

LIBRARY: Final = Path(__file__).parent / "library"
"""Runbooks that come with the suite."""
ENDINGS: Final = (".yaml", ".yml")
MOST_FILES: Final = 1000
_LEFT_OUT: Final = (".", "tenant=")
"""Beginnings of names that do not count: hidden ones, and folders of other tenants."""


@dataclass(frozen=True, slots=True)
class FileFault:
    """What is wrong with a file, and which version of its runbook stays in force; "" = none."""

    source: str
    message: str
    in_force: str = ""


@dataclass(frozen=True, slots=True)
class RunbookSet:
    """Runbooks in force, by name, and what is wrong with files."""

    runbooks: tuple[VersionedRunbook, ...] = ()
    faults: tuple[FileFault, ...] = ()

    def named(self, name: str) -> VersionedRunbook | None:
        """Return a runbook by its name, None where there is none."""
        return next((runbook for runbook in self.runbooks if runbook.name == name), None)


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of a file: the last good version, and what is wrong with the present one."""

    stamp: FileStamp | None
    good: VersionedRunbook | None
    fault: str


class RunbookFolder:
    """Reads the runbooks of one folder; not thread-safe. `kinds` = actions that there are, None = they are not checked."""

    def __init__(self, folder: Path, kinds: Kinds | None = None) -> None:
        self._folder = folder
        self._kinds = kinds
        self._known: dict[Path, _Known] = {}

    def read(self) -> RunbookSet:
        """Return what is in force now; files that have not changed are not read again. A folder that is not there is empty."""
        paths = list(self._paths())
        self._known = {path: self._current(path) for path in paths[:MOST_FILES]}
        runbooks: dict[str, VersionedRunbook] = {}
        faults = [self._fault(path, known) for path, known in self._known.items() if known.fault]
        for path, known in self._known.items():
            if known.good is None:
                continue
            first = runbooks.setdefault(known.good.name, known.good)
            if first is not known.good:
                message = f"runbook {known.good.name!r} stands in {first.source} already; give this one another name"
                faults.append(FileFault(self._name(path), message, first.version))
        if len(paths) > MOST_FILES:
            faults.append(
                FileFault(
                    str(self._folder),
                    f"more than {MOST_FILES} files; those after {self._name(paths[MOST_FILES - 1])} are left out",
                )
            )
        return RunbookSet(tuple(runbooks[name] for name in sorted(runbooks)), tuple(faults))

    def _paths(self) -> Iterator[Path]:
        """Yield the files by name; a folder may be a single file."""
        if self._folder.is_file():
            yield self._folder
        for path in sorted(self._folder.rglob("*")):
            visible = not any(part.startswith(_LEFT_OUT) for part in path.relative_to(self._folder).parts)
            if visible and path.suffix in ENDINGS and path.is_file():
                yield path

    def _current(self, path: Path) -> _Known:
        """Return what is known of a file, read again where it has changed."""
        before = self._known.get(path, _Known(None, None, ""))
        try:
            stamp = FileStamp.of(path)
            if stamp == before.stamp:
                return before
            return _Known(stamp, read_runbook(self._text(path), self._name(path), self._kinds), "")
        except FaultyRunbook as error:
            return _Known(stamp, before.good, str(error))
        except (OSError, UnicodeDecodeError) as error:
            return _Known(None, before.good, f"{self._name(path)}: it cannot be read: {legible(error)}")

    def _text(self, path: Path) -> str:
        """Return what a file holds, no more of it than a runbook may have."""
        if not path.resolve().is_relative_to(self._folder.resolve()):
            raise OSError("the link leads out of the folder of runbooks; copy the file into it")
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1).decode("utf-8")

    def _fault(self, path: Path, known: _Known) -> FileFault:
        return FileFault(self._name(path), known.fault, "" if known.good is None else known.good.version)

    def _name(self, path: Path) -> str:
        return path.name if path == self._folder else str(path.relative_to(self._folder))


class RunbookShelf:
    """The runbooks in force: those of a folder, and those of the library that the folder does not have under their name.

    Thread-safe.
    """

    def __init__(self, folder: Path, library: bool, kinds: Kinds | None = None) -> None:
        self._own = RunbookFolder(folder, kinds)
        self._library = RunbookFolder(LIBRARY, kinds) if library else None
        self._lock = threading.Lock()

    def read(self) -> RunbookSet:
        """Return what is in force now. A runbook of the library whose action is not set up here is left out in silence."""
        with self._lock:
            own = self._own.read()
            library = RunbookSet() if self._library is None else self._library.read()
        named = {runbook.name for runbook in own.runbooks}
        added = [runbook for runbook in library.runbooks if runbook.name not in named]
        return RunbookSet(tuple(sorted((*own.runbooks, *added), key=lambda runbook: runbook.name)), own.faults)
