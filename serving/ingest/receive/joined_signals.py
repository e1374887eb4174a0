"""Entries of logs and spans of several requests made one: fewer entries cost the broker, the archiver and the series less."""

from typing import Final

import pyarrow as pa

from serving.ingest.producer_sequence import EncodedEntry
from serving.ingest.receive.signals.signal_outcome import ENTRY_BYTES, ENTRY_ROWS
from serving.stream import streams
from serving.stream.archived_stream import written_out_bytes

_JOINED: Final = (streams.KIND_LOGS, streams.KIND_SPANS)


class JoinedSignals:
    """Entries of one stream; lines and spans of a tenant share an entry as far as they fit, in their order."""

    def __init__(self) -> None:
        self._given: list[list[EncodedEntry]] = []
        self._place: dict[tuple[str, bytes], int] = {}

    def add(self, entry: EncodedEntry) -> None:
        """Add an entry behind the others."""
        place = self._place.get((entry.tenant, entry.kind))
        if place is not None:
            self._given[place].append(entry)
            return
        if entry.kind in _JOINED:
            self._place[entry.tenant, entry.kind] = len(self._given)
        self._given.append([entry])

    def entries(self) -> list[EncodedEntry]:
        """Return all of them. O(rows) where there are several of a tenant."""
        return [entry for given in self._given for entry in _joined(given)]


def _joined(given: list[EncodedEntry]) -> list[EncodedEntry]:
    if len(given) == 1:
        return given
    made: list[EncodedEntry] = []
    part: list[tuple[EncodedEntry, pa.Table]] = []
    rows = size = 0
    for entry in given:
        table = streams.from_ipc(entry.payload)
        own = written_out_bytes(table)
        fits = rows + table.num_rows <= ENTRY_ROWS and size + own <= ENTRY_BYTES
        if part and not (fits and table.schema.equals(part[0][1].schema)):
            made.append(_whole(part))
            part, rows, size = [], 0, 0
        part.append((entry, table))
        rows, size = rows + table.num_rows, size + own
    return [*made, _whole(part)]


def _whole(part: list[tuple[EncodedEntry, pa.Table]]) -> EncodedEntry:
    first = part[0][0]
    if len(part) == 1:
        return first
    table = pa.concat_tables([table for _, table in part]).unify_dictionaries().combine_chunks()
    return EncodedEntry(first.tenant, first.kind, streams.to_ipc(table))
