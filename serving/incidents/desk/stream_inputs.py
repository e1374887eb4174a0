"""What the desk reads of the broker: detections, predictions, notices, in bounded batches, on from where they are committed."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import takewhile
from typing import Final, NamedTuple, Protocol

import pyarrow as pa

from aiops.incidents.alert import Alert
from data_contracts.series.tenant import DEFAULT_TENANT
from serving.incidents.desk.detection_alerts import AlertRules, DetectionAlerts, alerts_of_detections, alerts_of_predictions
from serving.incidents.intake.suite_notices import alerts_of_notices
from serving.stream import streams

READ: Final = (streams.DETECTIONS, streams.PREDICTIONS, streams.NOTICES)
MOST_ENTRIES: Final = 16
"""Entries of one stream in one batch; more wait on the broker."""

_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Alerts of what was read, and where the streams are read to. `more` = there may be more to read at once.

    `own`: whether an entry was the tenant's; `others`: the tenants of those that were not.
    `below_threshold`: detections whose series needs a higher score; `unreadable`: entries that hold no rows.
    """

    alerts: tuple[Alert, ...] = ()
    offsets: Mapping[str, str] = field(default_factory=dict)
    newest: datetime | None = None
    more: bool = False
    below_threshold: int = 0
    unreadable: int = 0
    own: bool = True
    others: frozenset[str] = frozenset()


class _Read(NamedTuple):
    """One entry: its alerts, and the newest time of its rows."""

    entry_id: str
    alerts: DetectionAlerts
    at: datetime
    tenant: str
    unreadable: bool = False


class Reads(Protocol):
    """What is asked of the broker."""

    def read(self, after: Mapping[str, str], count: int, block_ms: int) -> dict[str, list[streams.Entry]]:
        """Return entries after positions, by stream."""

    def last_id(self, stream: str) -> str:
        """Return the newest id of a stream."""

    def trimmed_id(self, stream: str) -> str:
        """Return up to where a stream was trimmed."""


class RoundReads:
    """Answers of the broker, kept for one round: desks that stand at the same place read what lies there once."""

    def __init__(self, broker: Reads) -> None:
        self._broker = broker
        self._kept: dict[tuple[object, ...], dict[str, list[streams.Entry]]] = {}

    def begin(self) -> None:
        """Begin a round: forget the answers of the one before."""
        self._kept.clear()

    def read(self, after: Mapping[str, str], count: int, block_ms: int) -> dict[str, list[streams.Entry]]:
        """Return entries after positions, by stream."""
        key = (tuple(sorted(after.items())), count)
        if key not in self._kept:
            self._kept[key] = self._broker.read(after, count, block_ms)
        return self._kept[key]

    def last_id(self, stream: str) -> str:
        """Return the newest id of a stream."""
        return self._broker.last_id(stream)

    def trimmed_id(self, stream: str) -> str:
        """Return up to where a stream was trimmed."""
        return self._broker.trimmed_id(stream)


class StreamInputs:
    """Reads a tenant's entries of all streams side by side: while one has more to read, the others do not run ahead of it.

    Delivery: what is not committed is read again; ids of alerts make a repeat harmless.
    """

    def __init__(self, broker: Reads, tenant: str = DEFAULT_TENANT) -> None:
        self._broker = broker
        self._tenant = tenant

    def read(self, offsets: Mapping[str, str], rules: AlertRules) -> Batch:
        """Return what follows the offsets, without waiting.

        Raises:
            Unavailable: the broker does not answer.
        """
        after = {name: offsets.get(name, streams.START) for name in READ}
        entries_of = {
            name: [_read(name, entry, rules) if entry.tenant == self._tenant else _passed(entry) for entry in entries]
            for name, entries in self._broker.read(after, MOST_ENTRIES, 0).items()
            if entries
        }
        more = {name for name, entries in entries_of.items() if len(entries) == MOST_ENTRIES}
        horizon = min((_newest(entries_of[name]) for name in more - {streams.NOTICES}), default=_NEVER)
        kept = {
            name: list(takewhile(lambda read_entry: read_entry.at <= horizon, entries)) for name, entries in entries_of.items()
        }
        read = [read_entry for entries in kept.values() for read_entry in entries]
        return Batch(
            tuple(alert for read_entry in read for alert in read_entry.alerts.alerts),
            {name: entries[-1].entry_id for name, entries in kept.items() if entries},
            max((read_entry.at for read_entry in read if read_entry.at != _LONG_AGO), default=None),
            bool(more),
            sum(read_entry.alerts.below_threshold for read_entry in read),
            sum(read_entry.unreadable for read_entry in read),
            any(read_entry.tenant == self._tenant for read_entry in read),
            frozenset(read_entry.tenant for read_entry in read) - {self._tenant},
        )

    def behind_s(self, offsets: Mapping[str, str]) -> dict[str, float]:
        """Return by stream how many seconds of it are not read yet.

        Raises:
            Unavailable: the broker does not answer.
        """
        return {name: _ahead_s(self._broker.last_id(name), offsets.get(name, streams.START)) for name in READ}

    def lost(self, offsets: Mapping[str, str]) -> tuple[str, ...]:
        """Return the streams that were trimmed past what has been read: the responder was away for too long.

        Raises:
            Unavailable: the broker does not answer.
        """
        begun = {name: entry_id for name, entry_id in offsets.items() if name in READ}
        return tuple(
            name
            for name, entry_id in begun.items()
            if streams.id_parts(self._broker.trimmed_id(name)) > streams.id_parts(entry_id)
        )


def _read(stream: str, entry: streams.Entry, rules: AlertRules) -> _Read:
    """Return what an entry holds; one without rows that can be read is counted and left."""
    try:
        rows = streams.from_ipc(entry.payload)
        alerts = _alerts(stream, rows, rules)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        log.error("%s: entry %s holds no rows that can be read and is left: %s", stream, entry.entry_id, error)
        return _Read(entry.entry_id, DetectionAlerts(), _LONG_AGO, entry.tenant, True)
    return _Read(entry.entry_id, alerts, alerts.newest or _LONG_AGO, entry.tenant)


def _alerts(stream: str, rows: pa.Table, rules: AlertRules) -> DetectionAlerts:
    """Return the alerts of an entry's rows; notices are of the wall's time, so they tell no time of the telemetry."""
    if stream == streams.NOTICES:
        return DetectionAlerts(alerts_of_notices(rows))
    return alerts_of_detections(rows, rules) if stream == streams.DETECTIONS else alerts_of_predictions(rows)


def _passed(entry: streams.Entry) -> _Read:
    """Return an entry of another tenant, which is not looked into."""
    return _Read(entry.entry_id, DetectionAlerts(), _LONG_AGO, entry.tenant)


def _newest(entries: Sequence[_Read]) -> datetime:
    return max(entry.at for entry in entries)


def _ahead_s(newest: str, read: str) -> float:
    if streams.id_parts(newest) <= streams.id_parts(read):
        return 0.0
    begun = streams.id_parts(read)[0] or streams.id_parts(newest)[0]
    return (streams.id_parts(newest)[0] - begun) / 1000
