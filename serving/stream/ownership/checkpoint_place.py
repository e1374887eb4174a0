"""Where a process keeps checkpoints, so that others know whether they can read them."""

import json
import os
import secrets
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_MARK: Final = "folder-id"


@dataclass(frozen=True, slots=True)
class CheckpointPlace:
    """A folder of checkpoints: its id (a file in it), as which path on which host a process sees it."""

    folder_id: str
    host: str
    path: str

    def reaches(self, other: "CheckpointPlace") -> bool:
        """Return whether what lies in `other` is seen here: one folder, or one that was emptied at the same path."""
        return self.folder_id == other.folder_id or (self.host, self.path) == (other.host, other.path)

    def __str__(self) -> str:
        return f"{self.path} of {self.host}"


@dataclass(frozen=True, slots=True)
class CheckpointNote:
    """What is noted beside a position: through which entry the newest checkpoint goes, and where it lies."""

    through: str
    place: CheckpointPlace

    def to_text(self) -> str:
        """Return the note as text."""
        return json.dumps({"through": self.through, **asdict(self.place)})

    @classmethod
    def of_text(cls, text: str) -> "CheckpointNote | None":
        """Return the note that `to_text` wrote, None where there is none."""
        if not text:
            return None
        values = json.loads(text)
        return cls(values.pop("through"), CheckpointPlace(**values))


def place_of(folder: Path) -> CheckpointPlace:
    """Return the place of a folder, which is made where it is not there, and gets its id once.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / _MARK
    if not mark.exists():
        draft = folder / f"{_MARK}.{secrets.token_hex(8)}"
        draft.write_text(secrets.token_hex(16))
        try:
            with suppress(FileExistsError):
                os.link(draft, mark)  # whole or not at all, and never a second one
        finally:
            draft.unlink()
    return CheckpointPlace(mark.read_text().strip(), socket.gethostname(), str(folder.absolute()))
