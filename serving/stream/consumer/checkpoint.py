"""Checkpoints of stage 1: state arrays beside the stream id they stand at, two generations, never pickled.

A file is written to a temporary name, synced, and renamed; the folder is synced too. The previous generation stays: it is
the one to start from where the newest is damaged or stands ahead of what the broker has committed.
"""

import hashlib
import logging
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from aiops.errors import StateError
from serving.host.full_disk import is_full
from serving.host.log_rate_limit import LineLimit
from serving.stream.streams import START, id_parts

FORMAT: Final = 1
_META: Final = "checkpoint/"
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
    """Checkpoints of one partition in `folder`; one writer."""

    def __init__(self, folder: Path, partition: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._newest = folder / f"stage1-{partition}.npz"
        self._previous = folder / f"stage1-{partition}.previous.npz"
        self._saved = (START, START)

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
        return self._newest.stat().st_size

    def save_if_room(self, checkpoint: Checkpoint) -> int | None:
        """Save; return None where the disk is full: then the former generations stay, and nothing is trimmed meanwhile."""
        try:
            return self.save(checkpoint)
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

    def _readable(self, passed: list[str]) -> Iterator[Checkpoint]:
        for path in (self._newest, self._previous):
            if not path.exists():
                continue
            try:
                yield _read(path)
            except StateError as error:
                passed.append(str(error))


def _read(path: Path) -> Checkpoint:
    try:
        with path.open("rb") as source, np.load(source, allow_pickle=False) as arrays:
            format_read = int(arrays[f"{_META}format"])
            if format_read != FORMAT:
                raise StateError(f"checkpoint {path.name}: format {format_read}, this program reads {FORMAT}")
            state = {name: arrays[name] for name in arrays.files if not name.startswith(_META)}
            return Checkpoint(str(arrays[f"{_META}through"]), state)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StateError(f"checkpoint {path.name} is damaged ({type(error).__name__}: {error})") from error
