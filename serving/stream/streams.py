"""Names and entry layout of every stream on the broker, and a typed view of the few commands the suite sends.

Streams of partition p: telemetry → (stage 1) → candidates, rejected, features, points → (stage 2) → detections, predictions,
deferred; where there are several, partials lie between stage 1 and candidates. Signals go to the archiver alone.
An entry has the fields `k` (kind, one letter), `b` (payload, Arrow IPC unless said otherwise), `t` (produce time, ns since epoch)
and `n` (tenant; entries of version 0.1 have none and belong to the default tenant); for telemetry, points and signals also `a`
(available at, us since epoch); for telemetry `p` and `s` (producer, and its number `<seq>-<part>` of the entry) and `o` (ordinal
of the entry in its stream, from 1). The broker assigns all entry ids. Every reader keeps its position in a hash
`aiops:offset:<stage>:<p>`.
One Redis or Valkey >= 7 server is assumed; the keys carry no cluster hash tags.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from aiops.errors import Unavailable
from serving.stream.entry import START as START
from serving.stream.entry import Entry as Entry
from serving.stream.entry import entry_of
from serving.stream.entry import id_after as id_after
from serving.stream.entry import id_parts as id_parts

if TYPE_CHECKING:
    import redis

    from serving.stream.telemetry_log import TelemetryLog

DETECTIONS: Final = "aiops:detections"
PREDICTIONS: Final = "aiops:predictions"
NOTICES: Final = "aiops:notices"
"""Alerts of the suite about what it watches (a source that fell silent, a label that explodes), read by the responder."""
PRODUCED_0_1: Final = "aiops:produced"
"""Where version 0.1 kept the newest source offset of its only producer; read by nobody any more."""

KIND_TELEMETRY: Final = b"t"
KIND_INCIDENT: Final = b"i"
KIND_CLOSE: Final = b"c"
KIND_WATERMARK: Final = b"m"
"""Up to which event time a producer has come: for partitions that get none of its newest points (JSON, `event_us`)."""
KIND_PARTIALS: Final = b"q"
KIND_SERIES: Final = b"s"
KIND_SERVICE: Final = b"v"
KIND_DEFINITIONS: Final = b"d"
KIND_POINTS: Final = b"w"
KIND_HISTOGRAMS: Final = b"h"
RECEIVED_KINDS: Final = (KIND_DEFINITIONS, KIND_POINTS, KIND_HISTOGRAMS)
"""What receivers add to telemetry."""
KIND_EXEMPLARS: Final = b"e"
KIND_LOGS: Final = b"l"
KIND_SPANS: Final = b"p"
KIND_REFUSED: Final = b"r"
"""Logs and spans that break the contract, as rows of `REJECTED`: beside those that do not, in the same stream."""
KIND_NOTICES: Final = b"n"
_TELEMETRY: Final = "aiops:telemetry:"
_KEEP_NEWEST: Final = """#!lua flags=allow-oom
local dropped = redis.call('XTRIM', KEYS[1], 'MAXLEN', ARGV[1])
if dropped > 0 then redis.call('HINCRBY', KEYS[2], 'deferred_dropped', dropped) end
return dropped
"""
_HASH_SET: Final = """#!lua flags=allow-oom
return redis.call('HSET', KEYS[1], unpack(ARGV))
"""
_HASH_INCREMENT: Final = """#!lua flags=allow-oom
return redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
"""


def telemetry(partition: int) -> str:
    """Return the stream that producers write and stage 1 reads."""
    return f"{_TELEMETRY}{partition}"


def partials(partition: int) -> str:
    """Return the stream of partial sums of services, from stage 1 of all partitions to where a tenant's are added up."""
    return f"aiops:partials:{partition}"


def candidates(partition: int) -> str:
    """Return the stream that stage 1 writes and stage 2 reads."""
    return f"aiops:candidates:{partition}"


def rejected(partition: int) -> str:
    """Return the dead-letter stream: refused rows with their reason."""
    return f"aiops:rejected:{partition}"


def features(partition: int) -> str:
    """Return the stream of feature rows (kinds `s` and `v`), read by the archiver."""
    return f"aiops:features:{partition}"


def points(partition: int) -> str:
    """Return the stream of normalised points and of definitions of series, read by the archiver alone."""
    return f"aiops:points:{partition}"


def signals(partition: int) -> str:
    """Return the stream of logs, spans and exemplars, written by receivers and read by the archiver alone."""
    return f"aiops:signals:{partition}"


def deferred(partition: int) -> str:
    """Return the stream of candidates that wait for the scoring service."""
    return f"aiops:deferred:{partition}"


def offset(stage: str, partition: int) -> str:
    """Return the hash that holds `epoch` and `id` of one reader: stage1, services, score, deferred or archive-<stream>."""
    return f"aiops:offset:{stage}:{partition}"


def kept_after(stored: Mapping[str, str]) -> str:
    """Return after which id an archiver still needs entries, from its hash: its open part is written anew each round.

    >>> kept_after({"id": "9-0", "part": "4-0"}), kept_after({})
    ('4-0', '0-0')
    """
    return stored.get("part", stored.get("id", START))


def producer(producer_id: str) -> str:
    """Return the hash of one producer: see `serving.ingest.producer_sequence`."""
    return f"aiops:producer:{producer_id}"


def entries(partition: int) -> str:
    """Return the counter of the entries that producers ever added to the telemetry of a partition."""
    return f"aiops:entries:{partition}"


def counts(partition: int) -> str:
    """Return the hash of exact counters, moved by the same commit as the offset."""
    return f"aiops:counts:{partition}"


def to_ipc(rows: pa.RecordBatch | pa.Table) -> bytes:
    """Return `rows` as one Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write(rows)
    return sink.getvalue().to_pybytes()


def from_ipc(payload: bytes) -> pa.Table:
    """Return the rows of one Arrow IPC stream written by `to_ipc`."""
    with pa.ipc.open_stream(pa.py_buffer(payload)) as reader:
        return reader.read_all()


def single_batch(table: pa.Table) -> pa.RecordBatch:
    """Return the rows of `table` as one batch."""
    batches = table.combine_chunks().to_batches()
    if len(batches) == 1:
        return batches[0]
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)


@contextmanager
def _answering(what: str) -> Iterator[None]:
    import redis

    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
        message = f"broker: {what} got no answer ({type(error).__name__}: {error}); is it running and reachable?"
        raise Unavailable(message) from error


class Streams:
    """Typed commands over one connection pool; safe to share between threads.

    Raises:
        aiops.errors.Unavailable: from every method, while the broker is down, loading or unreachable.
    """

    def __init__(self, client: "redis.Redis", log: "TelemetryLog | None" = None) -> None:
        """Take a client of the state store; `log` = where telemetry lies, None = there too."""
        self.client: Any = client
        self.log = log

    def logged_partition(self, stream: str) -> int | None:
        """Return the partition of a stream that lies on the log, None where it lies on the state store."""
        if self.log is None or not stream.startswith(_TELEMETRY):
            return None
        return int(stream.removeprefix(_TELEMETRY))

    def _logged(self, stream: str) -> "tuple[TelemetryLog, int] | None":
        partition = self.logged_partition(stream)
        return None if self.log is None or partition is None else (self.log, partition)

    def read(self, after: Mapping[str, str], count: int, block_ms: int) -> dict[str, list[Entry]]:
        """Return at most `count` entries a stream that follow the given ids, waiting up to `block_ms` (0 = do not wait)."""
        if self.log is not None and all(name.startswith(_TELEMETRY) for name in after):
            places = {int(name.removeprefix(_TELEMETRY)): entry_id for name, entry_id in after.items()}
            return {telemetry(number): rows for number, rows in self.log.read(places, count, block_ms).items()}
        with _answering("XREAD"):
            answer = self.client.xread(dict(after), count=count, block=block_ms or None)
        return {name.decode(): [entry_of(entry_id, fields) for entry_id, fields in rows if fields] for name, rows in answer or []}

    def added(self, partition: int) -> int:
        """Return how many entries producers ever added to the telemetry of a partition."""
        if self.log is not None:
            return id_parts(self.log.last_id(partition))[0]
        with _answering("GET"):
            return int(self.client.get(entries(partition)) or 0)

    def range(self, stream: str, first: str = "-", last: str = "+", count: int | None = None) -> list[Entry]:
        """Return the entries between two ids, both included; `(id` excludes."""
        if (logged := self._logged(stream)) is not None:
            return logged[0].range(logged[1], first, last, count)
        with _answering("XRANGE"):
            return [entry_of(entry_id, fields) for entry_id, fields in self.client.xrange(stream, first, last, count=count)]

    def length(self, stream: str) -> int:
        """Return the number of entries in `stream`, 0 where it does not exist; of a log, those that stage 1 has not committed."""
        if (logged := self._logged(stream)) is not None:
            committed = self.hash_all(offset("stage1", logged[1])).get("id", START)
            return max(0, id_parts(logged[0].last_id(logged[1]))[0] - id_parts(committed)[0])
        with _answering("XLEN"):
            return int(self.client.xlen(stream))

    def last_id(self, stream: str) -> str:
        """Return the newest id ever added to `stream`, `0-0` where there is none."""
        if (logged := self._logged(stream)) is not None:
            return logged[0].last_id(logged[1])
        return self._stream_info(stream, "last-generated-id")

    def trimmed_id(self, stream: str) -> str:
        """Return the newest id ever trimmed from `stream`, `0-0` where there is none."""
        if (logged := self._logged(stream)) is not None:
            return logged[0].trimmed_id(logged[1])
        return self._stream_info(stream, "max-deleted-entry-id")

    def _stream_info(self, stream: str, name: str) -> str:
        with _answering("XINFO"):
            if not self.client.exists(stream):
                return START
            value = self.client.xinfo_stream(stream)[name]
        return value.decode() if isinstance(value, bytes) else str(value)

    def trim_through(self, stream: str, entry_id: str) -> int:
        """Delete every entry up to and including `entry_id`; return how many. A log keeps its own retention: none there."""
        if self._logged(stream) is not None:
            return 0
        with _answering("XTRIM"):
            return int(self.client.xtrim(stream, minid=id_after(entry_id), approximate=False))

    def keep_newest(self, stream: str, entries: int, counts_key: str) -> int:
        """Drop the oldest entries beyond `entries`, counted as `deferred_dropped` in the same step; return how many."""
        return int(self.evaluate(_KEEP_NEWEST, [stream, counts_key], [entries]))

    def hash_all(self, key: str) -> dict[str, str]:
        """Return the fields of a hash as text."""
        with _answering("HGETALL"):
            return {name.decode(): value.decode() for name, value in self.client.hgetall(key).items()}

    def keys(self, pattern: str) -> list[str]:
        """Return the names of all keys that match a pattern, in order. O(keys)."""
        with _answering("SCAN"):
            return sorted(name.decode() for name in self.client.scan_iter(pattern, count=1000))

    def totals(self, partitions: int) -> dict[str, int]:
        """Return the exact counters of the first `partitions` partitions, added up by name."""
        total: dict[str, int] = {}
        for partition in range(partitions):
            for name, value in self.hash_all(counts(partition)).items():
                total[name] = total.get(name, 0) + int(value)
        return total

    def hash_set(self, key: str, values: Mapping[str, str]) -> None:
        """Set fields of a hash, also on a full broker."""
        self.evaluate(_HASH_SET, [key], [word for pair in values.items() for word in pair])

    def hash_increment(self, key: str, name: str) -> int:
        """Add one to a field of a hash and return it, also on a full broker."""
        return int(self.evaluate(_HASH_INCREMENT, [key], [name]))

    def evaluate(self, script: str, keys: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        """Run a Lua script atomically; its own error replies raise `redis.ResponseError`."""
        with _answering("EVAL"):
            return self.client.register_script(script)(keys=list(keys), args=list(arguments))

    def process_id(self) -> int:
        """Return the process id of the server."""
        with _answering("INFO"):
            return int(self.client.info("server")["process_id"])

    def ping(self) -> bool:
        """Return whether the broker answers right now."""
        try:
            with _answering("PING"):
                return bool(self.client.ping())
        except Unavailable:
            return False
