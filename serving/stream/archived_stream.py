"""A stream that is copied to the lake: what its entries are there, how far it is copied, and the part that is still open."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import FencedError
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.stream import streams
from serving.stream.sent_sequences import SentSequences

STEP: Final = 16
"""Entries read at a time."""
PART_BYTES: Final = 64 << 20
"""About how large the rows of a part are when every text is written out: bounds memory."""
_CLOCK: Final = "clock_us"
_SENT: Final = "sent"
KEPT: Final = "kept"
"""Field of the position of a stage that keeps a state: entries after this one it may need once more."""
_TALLY: Final = "rows:"
_SET: Final = """#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return redis.error_reply('FENCED') end
local a = 3
for i = 1, tonumber(ARGV[2]) do
  local counted = tonumber(redis.call('HGET', KEYS[1], ARGV[a + 1]) or '0')
  local rows = tonumber(ARGV[a + 2])
  if rows ~= counted then redis.call('HINCRBY', KEYS[2], ARGV[a], rows - counted) end
  if ARGV[a + 3] == '1' then
    redis.call('HDEL', KEYS[1], ARGV[a + 1])
  else
    redis.call('HSET', KEYS[1], ARGV[a + 1], rows)
  end
  a = a + 4
end
redis.call('HSET', KEYS[1], unpack(ARGV, a))
return 1
"""
"""ARGV: epoch, number of tallies, of each the count, the field that holds what of the open part is counted, its rows, closed."""


@dataclass(frozen=True, slots=True)
class TenantRows:
    """Rows for one table of one tenant's lake."""

    tenant: str
    table: str
    rows: pa.Table


def payload_bytes(entry: streams.Entry) -> int:
    """Return how large the rows of an entry are, about, whose texts are short or written out."""
    return len(entry.payload)


def written_out_bytes(rows: pa.RecordBatch | pa.Table) -> int:
    """Return how many bytes rows take when every coded text is written out. O(rows)."""
    return sum(_column_bytes(rows.column(name)) for name in rows.schema.names)


def _column_bytes(column: Any) -> int:
    if isinstance(column, pa.ChunkedArray):
        return sum(_column_bytes(chunk) for chunk in column.chunks)
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    texts = np.asarray(pc.binary_length(column.dictionary).fill_null(0), np.int64)
    codes = np.asarray(column.indices.fill_null(0), np.int64)
    return int(texts[codes].sum()) if len(texts) else 0


@dataclass(frozen=True, slots=True)
class Archived:
    """What a stream is to the archiver: the table each kind of entry goes to, and what becomes of the stream afterwards."""

    stage: str
    tables: Mapping[bytes, str]
    validated: bool = False
    """Entries are raw telemetry: only what the contract accepts is kept, with the time at which it became available."""
    trimmed: bool = False
    """Nobody else reads it: what is in the lake leaves the broker."""
    counts: Mapping[bytes, str] = field(default_factory=dict)
    """Kinds whose rows are counted among the exact counters of the partition, each once."""
    size: Callable[[streams.Entry], int] = payload_bytes
    reader: str = ""
    """Stage that reads the stream beside the archiver; what that may need once more stays on the broker."""
    lengthening: int = 1
    """How many times the entries of other streams a part may have, as far as the writer of the stream need not wait for room."""


_NAMED: Final = 3
"""A point with its names takes about so many times what one with an id does."""


def _signal_bytes(entry: streams.Entry) -> int:
    return written_out_bytes(streams.from_ipc(entry.payload))


TELEMETRY: Final = Archived("telemetry", {streams.KIND_TELEMETRY: "telemetry"}, validated=True)
REJECTED: Final = Archived("rejected", {streams.KIND_TELEMETRY: "rejected"}, trimmed=True)
FEATURES: Final = Archived(
    "features", {streams.KIND_SERIES: "series_features", streams.KIND_SERVICE: "service_features"}, trimmed=True
)
DETECTIONS: Final = Archived("detections", {streams.KIND_SERVICE: "detections"})
PREDICTIONS: Final = Archived("predictions", {streams.KIND_SERVICE: "predictions"})
POINTS: Final = Archived(
    "points",
    {streams.KIND_DEFINITIONS: "series", streams.KIND_POINTS: "telemetry"},
    trimmed=True,
    size=lambda entry: _NAMED * len(entry.payload),
    lengthening=32,
)
SIGNALS: Final = Archived(
    "signals",
    {
        streams.KIND_LOGS: "logs",
        streams.KIND_SPANS: "spans",
        streams.KIND_EXEMPLARS: "exemplars",
        streams.KIND_REFUSED: "rejected",
    },
    trimmed=True,
    counts={
        streams.KIND_LOGS: "logs_in",
        streams.KIND_SPANS: "spans_in",
        streams.KIND_EXEMPLARS: "exemplars_in",
        streams.KIND_REFUSED: "signals_rejected",
    },
    size=_signal_bytes,
    reader="signals",
)


@dataclass(frozen=True, slots=True)
class Part:
    """The entries of a part; `full`: no more go in. Those that go to no table have lost their payload."""

    entries: Sequence[streams.Entry]
    full: bool

    @property
    def through(self) -> str:
        """Return the id of the last entry."""
        return self.entries[-1].entry_id


class ArchivedStream:
    """One stream and its open part. Taking it fences another archiver of the same stream.

    On the broker: `id` = everything up to here is in the lake; `part` = the open part begins after it; as of there, the clock of
    each tenant: `clock_us` of the default one, `clock_us:<tenant>` of the others; `rows:<count>` = what of the open part is in
    the counters; `sent` = which entries came before, where the stream lies on a log that may hold one twice.
    """

    def __init__(self, broker: streams.Streams, stream: str, kind: Archived, partition: int) -> None:
        self.stream = stream
        self.kind = kind
        self._broker = broker
        self._key = streams.offset(f"archive-{kind.stage}", partition)
        self._counts_key = streams.counts(partition)
        self._label = f"{kind.stage}-{partition}"
        self._partition = partition
        self._epoch = broker.hash_increment(self._key, "epoch")
        stored = broker.hash_all(self._key)
        self.through = stored.get("id", streams.START)
        self.part_after = stored.get("part", self.through)
        self.clocks_us = {_clock_tenant(name): int(value) for name, value in stored.items() if name.startswith(_CLOCK)}
        self.sent = SentSequences.of_text(stored.get(_SENT, ""))
        self._logged = broker.logged_partition(stream) is not None
        self._opened_s = time.monotonic()
        self._counted: Counter[tuple[str, str]] = Counter()

    def next_part(self, most_entries: int, most_bytes: int, closing: bool) -> Part | None:
        """Return the open part with what is new, as far as it fits; None where nothing is new, unless `closing`."""
        part = self._without_repeats(self._read(most_entries, most_bytes))
        if self.through == self.part_after:
            self._opened_s = time.monotonic()
        return part if part.entries and (closing or part.through != self.through) else None

    def _read(self, most_entries: int, most_bytes: int) -> Part:
        entries: list[streams.Entry] = []
        after, size = self.part_after, 0
        while len(entries) < most_entries:
            wanted = min(STEP, most_entries - len(entries))
            more = self._broker.range(self.stream, f"({after}", "+", wanted)
            for entry in more:
                if entry.kind not in self.kind.tables:
                    entries.append(replace(entry, payload=b""))
                    continue
                size += self.kind.size(entry)
                if size > most_bytes and entries:
                    return Part(entries, full=True)
                entries.append(entry)
            if len(more) < wanted:
                return Part(entries, full=False)
            after = more[-1].entry_id
        return Part(entries, full=True)

    def _without_repeats(self, part: Part) -> Part:
        """Return the part with nothing in the entries that a log holds for the second time."""
        if not self._logged:
            return part
        fresh = {entry.entry_id for entry in self.sent.copy().fresh(part.entries)}
        return replace(
            part, entries=[entry if entry.entry_id in fresh else replace(entry, kind=b"", payload=b"") for entry in part.entries]
        )

    def is_due(self, part_s: float) -> bool:
        """Return whether the open part is `part_s` old."""
        return self.through != self.part_after and time.monotonic() - self._opened_s >= part_s

    def key(self, part: Part) -> str:
        """Return the lake key of a part."""
        return f"{self._label}-{part.entries[0].entry_id}"

    def count(self, part: TenantRows, rows: int) -> int:
        """Return how many of the part's rows of a tenant in a table were not counted before."""
        place = (part.tenant, part.table)
        new = rows - self._counted[place]
        self._counted[place] = rows
        return new

    def confirm(self) -> None:
        """Make sure that the stream is still ours, before files are written.

        Raises:
            FencedError: another archiver took it.
        """
        if self._broker.hash_all(self._key).get("epoch") != str(self._epoch):
            raise self._fenced()

    def _fenced(self) -> FencedError:
        return FencedError(f"{self._key}: another archiver took this stream; this one must stop")

    def keep_open(self, part: Part) -> None:
        """Note that everything in the part is in the lake."""
        self._set(part, {"id": part.through, "part": self.part_after}, closed=False)
        self.through = part.through

    def close(self, part: Part, clocks_us: Mapping[str, int]) -> None:
        """Note that everything in the part is in the lake and needed no more; the next part begins after it."""
        clocks = {_clock_field(tenant): str(us) for tenant, us in clocks_us.items()}
        sent = self.sent.copy()
        sent.fresh(part.entries)
        known = {_SENT: sent.to_text()} if self._logged else {}
        self._set(part, {"id": part.through, "part": part.through, **known, **clocks}, closed=True)
        self.through, self.part_after, self.clocks_us, self.sent = part.through, part.through, dict(clocks_us), sent
        self._counted.clear()

    def _set(self, part: Part, values: dict[str, str], closed: bool) -> None:
        import redis

        tallies: list[str | bytes | int] = []
        for name, rows in self._tallied(part).items():
            tallies += [name, _TALLY + name, rows, int(closed)]
        words = [word for pair in values.items() for word in pair]
        arguments = [str(self._epoch), len(tallies) // 4, *tallies, *words]
        try:
            self._broker.evaluate(_SET, [self._key, self._counts_key], arguments)
        except redis.ResponseError as error:
            if "FENCED" in str(error):
                raise self._fenced() from error
            raise

    def needed_no_more(self) -> str:
        """Return up to which entry nobody needs the stream: it is in the lake, and its other reader has it twice.

        A stage that never took the stream needs nothing of it.
        """
        if not self.kind.reader:
            return self.through
        position = self._broker.hash_all(streams.offset(self.kind.reader, self._partition))
        kept = position.get(KEPT, streams.START) if "epoch" in position else self.through
        return min(self.through, kept, key=streams.id_parts)

    def _tallied(self, part: Part) -> Counter[str]:
        tally = Counter(dict.fromkeys(self.kind.counts.values(), 0))
        for entry in part.entries:
            if entry.kind in self.kind.counts:
                tally[self.kind.counts[entry.kind]] += streams.from_ipc(entry.payload).num_rows
        return tally


def _clock_field(tenant: str) -> str:
    return _CLOCK if tenant == DEFAULT_TENANT else f"{_CLOCK}:{tenant}"


def _clock_tenant(name: str) -> str:
    return name.removeprefix(_CLOCK).removeprefix(":") or DEFAULT_TENANT
