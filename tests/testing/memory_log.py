"""A log of telemetry in memory, for what is written to it."""

from collections.abc import Mapping
from typing import Any

from aiops.errors import Unavailable


class MemoryLog:
    """A log that takes `room` more entries, and then does not answer."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, str, bytes]] = []
        self.room = 1000

    def append(self, partition: int, fields: Mapping[str, Any]) -> None:
        if not self.room:
            raise Unavailable("the log does not answer")
        self.room -= 1
        self.entries.append((partition, fields["p"].decode() + " " + fields["s"].decode(), fields["b"]))

    def last_id(self, partition: int) -> str:
        return f"{sum(entry[0] == partition for entry in self.entries)}-0"
