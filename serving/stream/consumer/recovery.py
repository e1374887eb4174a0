"""Where a reader of a stream begins: at its newest usable checkpoint, or anew where what followed that is gone."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import numpy.typing as npt

from aiops.errors import OutdatedState, StateError
from serving.stream import streams
from serving.stream.consumer.checkpoint import CheckpointStore
from serving.stream.consumer.commit import Position
from serving.stream.ownership.checkpoint_place import CheckpointNote, CheckpointPlace
from serving.stream.ownership.leases import CHECKPOINT

T = TypeVar("T")
log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recovery(Generic[T]):
    """A reader of one stream, and how its state is made; `lost` is called where it must warm up anew."""

    name: str
    broker: streams.Streams
    stream: str
    position: Position
    store: CheckpointStore
    place: CheckpointPlace
    new: Callable[[], T]
    restore: Callable[[Mapping[str, npt.NDArray[Any]]], T]
    lost: Callable[[], None]

    def run(self) -> tuple[str, T]:
        """Return the id up to which the state holds everything, and the state.

        Raises:
            StateError: it is damaged, or of other settings; the text says where it lies.
        """
        committed = self.position.through
        checkpoint, passed = self.store.load(committed)
        for reason in passed:
            log.warning("%s: %s", self.name, reason)
        start = checkpoint.through if checkpoint else streams.START
        if streams.id_parts(self.broker.trimmed_id(self.stream)) > streams.id_parts(start):
            self.lost()
            gone = "entries after %s are gone; warming up anew at %s%s"
            log.error(f"%s: {gone}", self.name, start, committed, self._elsewhere())
            return committed, self.new()
        log.info("%s: epoch %d, state at %s, committed %s", self.name, self.position.epoch, start, committed)
        if checkpoint is None:
            return start, self.new()
        try:
            return start, self.restore(checkpoint.state)
        except OutdatedState as error:
            self.lost()
            oldest = self.broker.trimmed_id(self.stream)
            log.error("%s: the state at %s is outdated, warming up anew from %s: %s", self.name, start, oldest, error)
            return oldest, self.new()
        except StateError as error:
            text = f"{self.name}: {error}, all of it: {self.store.folder}; or set back what you changed in section telemetry"
            raise StateError(text) from error

    def _elsewhere(self) -> str:
        """Say where the newest checkpoint lies, if it is a folder that is not seen here."""
        note = CheckpointNote.of_text(self.position.stored(CHECKPOINT))
        if note is None or self.place.reaches(note.place):
            return ""
        return f"; the state at {note.through} lies in {note.place}: set AIOPS_CONSUMER__CHECKPOINT_FOLDER to a shared folder"
