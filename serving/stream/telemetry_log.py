"""What telemetry is appended to and read from: a port with a broker of its own kind behind it.

Without one, telemetry lies on the state store (Valkey or Redis) like every other stream. Positions, outputs and counters
always lie there: they change in one of its transactions, so a log needs none.
"""

from collections.abc import Mapping
from typing import Protocol

from serving.stream.entry import Entry


class TelemetryLog(Protocol):
    """Telemetry by partition, in order of arrival; ids compare as those of `serving.stream.entry`.

    Raises:
        aiops.errors.Unavailable: from every method, while the log does not answer.
    """

    def append(self, partition: int, fields: Mapping[str, bytes | int]) -> None:
        """Append one entry; return when the log has acknowledged it. One that fails may be there all the same: readers see by
        its source (`p` and `s`) that it came before."""
        ...

    def read(self, after: Mapping[int, str], count: int, block_ms: int) -> dict[int, list[Entry]]:
        """Return at most `count` entries a partition that follow the ids, waiting up to `block_ms` for the first of all."""
        ...

    def range(self, partition: int, first: str, last: str, count: int | None) -> list[Entry]:
        """Return the entries between two ids as `Streams.range` does: `-` and `+` are the ends, `(id` excludes."""
        ...

    def last_id(self, partition: int) -> str:
        """Return the newest id, `0-0` where nothing was ever appended."""
        ...

    def trimmed_id(self, partition: int) -> str:
        """Return the newest id that is no longer there, `0-0` where all is."""
        ...
