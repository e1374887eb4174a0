"""Checkpoints of one reader, written by a thread beside its work: one at a time, and noted at its position."""

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy.typing as npt

from aiops.errors import FencedError, Unavailable
from serving.stream import streams
from serving.stream.consumer.checkpoint import Checkpoint, CheckpointStore
from serving.stream.consumer.commit import Position
from serving.stream.ownership.checkpoint_place import CheckpointNote, CheckpointPlace
from serving.stream.ownership.leases import CHECKPOINT

Snapshot = Callable[[], Mapping[str, npt.NDArray[Any]]]
log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SavedReader:
    """Whose checkpoints they are, and what follows from one: `saved` is given its size, `trim` drops what is needed no more."""

    name: str
    position: Position
    store: CheckpointStore
    place: CheckpointPlace
    saved: Callable[[int], None]
    trim: Callable[[], None]


class StateSaver:
    """Saves the state of one reader."""

    def __init__(self, reader: SavedReader) -> None:
        self._reader = reader
        self._saving: Future[None] | None = None
        self._saved_at = ""

    def save(self, writer: ThreadPoolExecutor, applied: str, snapshot: Snapshot) -> None:
        """Copy the state now, write it in `writer`; nothing where the last one is being written, or state and position differ."""
        if self._saving is not None and not self._saving.done():
            return
        self.finish()
        if applied == self._reader.position.through != streams.START:
            self._saved_at = applied
            self._saving = writer.submit(self._save, Checkpoint(applied, snapshot()))

    def finish(self) -> None:
        """Wait for the checkpoint being written; raises what it raised."""
        if self._saving is not None:
            self._saving.result()
            self._saving = None

    def hand_over(self, writer: ThreadPoolExecutor, applied: str, snapshot: Snapshot) -> bool:
        """Save the state where that is not done yet; return whether nothing is left to do: else call it again."""
        if self._saving is not None and not self._saving.done():
            return False
        self.finish()
        if self._saved_at != applied:
            self.save(writer, applied, snapshot)
        return self._saving is None

    def _save(self, checkpoint: Checkpoint) -> None:
        reader = self._reader
        size = reader.store.save_if_room(checkpoint)
        if size is None:
            return
        reader.saved(size)
        try:
            reader.position.write_field(CHECKPOINT, CheckpointNote(checkpoint.through, reader.place).to_text())
            reader.trim()
        except Unavailable as error:
            log.warning("%s: not trimmed: %s", reader.name, error)
        except FencedError:
            log.info("%s: another process has it: what it needs is left to that", reader.name)
