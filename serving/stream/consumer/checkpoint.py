"""Checkpoints of stage 1: state arrays beside the stream id they stand at, two generations, never pickled.

A file is written to a temporary name, synced, and renamed; the folder is synced too. The previous generation stays: it is
the one to start from where the newest is damaged or stands ahead of what the broker has committed.

Several machines may share the folder: every owner of a partition writes files of its own, named by its epoch. So one that was
stopped and goes on replaces no newer state. An owner removes files of earlier epochs when it has two generations of its own.
"""

import hashlib
import logging
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from aiops.errors import StateError
from serving.host.full_disk import is_full
from serving.host.log_rate_limit import LineLimit
from serving.stream.streams import START, id_parts

FORMAT: Final = 1
_META: Final = "checkpoint/"
_PREVIOUS: Final = ".previous"
_EPOCH: Final = re.compile(r"\.e(\d+)\.")
T = TypeVar("T")
_lines = LineLimit(logging.getLogger(__name__))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State after everything up to and including entry `through` was applied."""

    through: str
    state: Mapping[str, npt.NDArray[Any]]


def state_hash(state: Mapping[str, npt.NDArray[Any]]) -> str:
    """Return a SHA-256 over names, types, shapes and bytes of all arrays; equal states have equal hashes."""
    digest = hashlib.sha256()
    for name in sorted(state):
        array = np.ascontiguousarray(state[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


class CheckpointStore:
    """Checkpoints of one partition in `folder`; one writer an epoch (0 = of versions without epochs in the names)."""

    def __init__(self, folder: Path, partition: int, epoch: int = 0, stage: str = "stage1") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._of_all = f"{stage}-{partition}"
        self._epoch = epoch
        name = f"{self._of_all}.e{epoch}" if epoch else self._of_all
        self._newest = folder / f"{name}.npz"
        self._previous = folder / f"{name}{_PREVIOUS}.npz"
        self._saved = (START, START)

    @property
    def folder(self) -> Path:
        """Return where it keeps its files, and those of other partitions."""
        return self._folder

    def save(self, checkpoint: Checkpoint) -> int:
        """Write `checkpoint` as the newest generation; return its size in bytes."""
        part = self._newest.with_suffix(".tmp")
        meta = {f"{_META}format": np.array(FORMAT), f"{_META}through": np.array(checkpoint.through)}
        try:
            with part.open("wb") as sink:
                np.savez(sink, allow_pickle=False, **meta, **checkpoint.state)
                sink.flush()
                os.fsync(sink.fileno())
        except OSError:
            part.unlink(missing_ok=True)  # half of it is of no use and takes the room that others need
            raise
        if self._newest.exists():
            self._newest.replace(self._previous)
        part.replace(self._newest)
        folder = os.open(self._newest.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        self._saved = (self._saved[1], checkpoint.through)
        if self._saved[0] != START:
            self._remove_earlier()
        return self._newest.stat().st_size

    def _remove_earlier(self) -> None:
        for path in [*self._files(), *self._folder.glob(f"{self._of_all}.*tmp")]:
            if _epoch_of(path) < self._epoch:
                path.unlink(missing_ok=True)

    def save_if_room(self, checkpoint: Checkpoint) -> int | None:
        """Save; return None where the disk is full: then the former generations stay, and nothing is trimmed meanwhile.

        None too where the files went meanwhile, because a later owner has generations of its own.
        """
        try:
            return self.save(checkpoint)
        except FileNotFoundError:
            if not self._folder.is_dir():
                raise
            _lines.warn("gone", f"checkpoint {self._newest} is of no use any more: a later owner has saved its own")
            return None
        except OSError as error:
            if not is_full(error):
                raise
            _lines.warn("room", f"no room for checkpoint {self._newest} ({error.strerror}); it waits")
            return None

    def load(self, committed: str) -> tuple[Checkpoint | None, list[str]]:
        """Return the newest usable checkpoint at or before `committed`, and why others were passed over."""
        passed: list[str] = []
        for checkpoint in self._readable(passed):
            if id_parts(checkpoint.through) <= id_parts(committed):
                return checkpoint, passed
            passed.append(f"checkpoint at {checkpoint.through} is ahead of the committed {committed}")
        return None, passed

    @property
    def replayable_from(self) -> str:
        """Return the id of the previous generation this process saved (`0-0` before two saves): entries after it stay needed."""
        return self._saved[0]

    def _files(self) -> list[Path]:
        """Return the files of all epochs."""
        return [path for path in self._folder.glob(f"{self._of_all}.*npz") if path.suffix == ".npz"]

    def _readable(self, passed: list[str]) -> Iterator[Checkpoint]:
        """Yield what can be read, that of the latest entry first; files of other owners may go meanwhile."""
        places: list[tuple[tuple[int, int], int, bool, Path]] = []
        for path in self._files():
            if 0 < self._epoch < _epoch_of(path):
                passed.append(f"checkpoint {path.name} is of a later epoch than {self._epoch}: of another state store")
                continue
            try:
                places.append((id_parts(_through(path)), _epoch_of(path), path.stem.endswith(_PREVIOUS), path))
            except FileNotFoundError:
                continue
            except StateError as error:
                passed.append(str(error))
        for _, _, _, path in sorted(places, key=lambda place: (*place[:2], not place[2]), reverse=True):
            try:
                yield _read(path)
            except FileNotFoundError:
                continue
            except StateError as error:
                passed.append(str(error))


def _epoch_of(path: Path) -> int:
    """Return the epoch of the owner that wrote a checkpoint, 0 where its name has none."""
    written = _EPOCH.search(path.name)
    return int(written[1]) if written else 0


def _through(path: Path) -> str:
    return _opened(path, lambda arrays: str(arrays[f"{_META}through"]))


def _read(path: Path) -> Checkpoint:
    return _opened(path, lambda arrays: _checkpoint(path, arrays))


def _checkpoint(path: Path, arrays: "np.lib.npyio.NpzFile") -> Checkpoint:
    format_read = int(arrays[f"{_META}format"])
    if format_read != FORMAT:
        raise StateError(f"checkpoint {path.name}: format {format_read}, this program reads {FORMAT}")
    state = {name: arrays[name] for name in arrays.files if not name.startswith(_META)}
    return Checkpoint(str(arrays[f"{_META}through"]), state)


def _opened(path: Path, look: "Callable[[np.lib.npyio.NpzFile], T]") -> T:
    try:
        with path.open("rb") as source, np.load(source, allow_pickle=False) as arrays:
            return look(arrays)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StateError(f"checkpoint {path.name} is damaged ({type(error).__name__}: {error})") from error
