"""What simulated services write into their logs: texts with parameters in braces, by what a service does."""

import re
from dataclasses import dataclass
from typing import Final, Literal, get_args

Level = Literal["INFO", "WARN", "ERROR"]
SEVERITY_NUMBERS: Final[dict[Level, int]] = {"INFO": 9, "WARN": 13, "ERROR": 17}
"""Of OpenTelemetry."""
Parameter = Literal["user", "id", "count", "bytes", "ms", "host", "sku", "amount", "currency", "shard"]
PARAMETERS: Final[tuple[Parameter, ...]] = get_args(Parameter)
_PLACE: Final = re.compile(r"\{(\w+)\}")

STEPS: Final = (
    "Validated {noun} request of user {user}: {count} items",
    "Loaded {noun} record {id} from cache in {ms} ms",
    "Cache miss for key {noun}:{id}, reading the store",
    "Resolved {noun} policy revision {count}",
    "Reserved {count} units of {sku} for user {user}",
    "Computed {noun} total amount={amount} currency={currency}",
    "Checked quota of tenant {shard}: {count} of 10000 used",
    "Applied {count} rules of set {noun}-default",
    "Serialized {noun} response of {bytes} bytes",
    "Published event {noun}.updated id={id}",
    "Selected replica {host} for {noun}",
    "Opened {noun} session {id} for user {user}",
    "Refreshed token of user {user}, valid for {count} s",
    "Matched {count} entries of {noun} for filter {sku}",
)
"""Steps of services; `noun` is the service's, the other places are parameters."""
STORE_STEPS: Final = (
    "Acquired connection {count} of pool {noun}-main",
    "Executed statement select_{noun}_by_key rows={count}",
    "Committed transaction {id} on shard {shard}",
    "Read page {count} of segment {noun}-{shard}",
    "Index {noun}_by_user scanned: {count} entries in {ms} ms",
    "Flushed {bytes} bytes to the journal of shard {shard}",
    "Lock on {noun} key {id} taken after {ms} ms",
    "Replicated {noun} change {id} to {host}",
)
"""Steps of stores."""
FAILURES: Final = (
    "IllegalStateException: {noun} {id} is already being changed by user {user}",
    "TimeoutException: no answer of {host} after {ms} ms",
    "ValidationError: {noun} request of user {user} lacks field quantity",
    "ConflictException: version {count} of {noun} {id} is stale",
)
INCIDENT_FAILURES: Final = {
    "memory_leak": "OutOfMemoryError: Java heap space, {bytes} bytes wanted for {noun} {id}",
    "connection_exhaustion": "PoolTimeoutException: no connection of pool {noun}-main free after {ms} ms, {count} wait",
    "disk_fill": "IOException: No space left on device while writing {bytes} bytes of {noun} {id}",
    "slow_dependency": "TimeoutException: deadline of {ms} ms passed in {noun} {id}",
    "traffic_surge": "RejectedExecutionException: queue of {noun} is full, {count} requests wait",
    "bad_deployment": "NoSuchMethodError: {noun}.settle(Ljava/lang/String;) in handler of user {user}",
}
"""Errors that a service in such an incident fails with."""
INCIDENT_WARNINGS: Final = {
    "memory_leak": "Garbage collection paused {noun} for {ms} ms, {count} MB are left",
    "connection_exhaustion": "Pool {noun}-main: {count} requests wait for a connection",
    "disk_fill": "Volume of {noun} is nearly full: {bytes} bytes are left",
}
"""What a service warns of while its resource runs out."""
HANDLED: Final = "NullPointerException at {noun}.enrich for user {user}, carrying on with defaults"
INCOMPLETE: Final = "Answer of {callee} lacks a field for user {user}, carrying on without it"
STARTED: Final = "{operation} started request_id={id} user={user}"
DONE: Final = "{operation} finished status=200 duration={ms}ms"
FAILED: Final = "{operation} failed status=500 duration={ms}ms: {failure}"
BROKEN: Final = "a call failed"
ANSWERED: Final = "Call to {callee} answered status=200 in {ms} ms"
QUEUED: Final = "Message {id} for {callee} queued on {host}"
CALL_FAILED: Final = "Call to {callee} failed: status=500 from {host}"
SLOW: Final = "Slow request of user {user}: {operation} took {ms} ms"
JOB_STARTED: Final = "Job {noun}-cleanup run {count} started"
JOB_DONE: Final = "Job {noun}-cleanup finished: {count} rows removed in {ms} ms"


@dataclass(frozen=True, slots=True)
class LineTemplate:
    """A line's level and text as `pieces` around its `parameters`: len(pieces) == len(parameters) + 1."""

    level: Level
    pieces: tuple[str, ...]
    parameters: tuple[Parameter, ...]


def line_template(level: Level, text: str, names: dict[str, str]) -> LineTemplate:
    """Return a template; places that `names` fills are part of its text, the others are parameters.

    >>> line_template("INFO", "Cache miss for key {noun}:{id}", {"noun": "cart"})
    LineTemplate(level='INFO', pieces=('Cache miss for key cart:', ''), parameters=('id',))
    """
    filled = _PLACE.sub(lambda place: names.get(place.group(1), place.group(0)), text)
    parts = _PLACE.split(filled)
    known: dict[str, Parameter] = {name: name for name in PARAMETERS}
    return LineTemplate(level, tuple(parts[::2]), tuple(known[place] for place in parts[1::2]))
