"""What the desk reads: detections and predictions on the broker, in bounded batches, and on from where they are committed."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import pyarrow as pa

from aiops.alert import Alert
from serving import streams
from serving.responder.detections import AlertRules, FoundAlerts, alerts_of_detections, alerts_of_predictions

READ: Final = (streams.DETECTIONS, streams.PREDICTIONS)
MOST_ENTRIES: Final = 16
"""Entries of one stream in one batch; more wait on the broker."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Batch:
    """Alerts of what was read, and where the streams are read to. `more` = there may be more to read at once.

    `below_threshold`: detections whose series needs a higher score; `unreadable`: entries that hold no rows.
    """

    alerts: tuple[Alert, ...] = ()
    offsets: Mapping[str, str] = field(default_factory=dict)
    newest: datetime | None = None
    more: bool = False
    below_threshold: int = 0
    unreadable: int = 0


class StreamInputs:
    """Reads both streams. Delivery: what is not committed is read again; ids of alerts make a repeat harmless."""

    def __init__(self, broker: streams.Streams) -> None:
        self._broker = broker

    def read(self, offsets: Mapping[str, str], rules: AlertRules) -> Batch:
        """Return what follows the offsets, without waiting.

        Raises:
            Unavailable: the broker does not answer.
        """
        after = {name: offsets.get(name, streams.START) for name in READ}
        found = self._broker.read(after, MOST_ENTRIES, 0)
        tables = [(name, entry, _rows(entry)) for name, entries in found.items() for entry in entries]
        told = [_alerts(name, rows, rules) for name, _, rows in tables if rows is not None]
        times = [one.newest for one in told if one.newest is not None]
        return Batch(
            tuple(alert for one in told for alert in one.alerts),
            {name: entries[-1].entry_id for name, entries in found.items() if entries},
            max(times, default=None),
            any(len(entries) == MOST_ENTRIES for entries in found.values()),
            sum(one.below_threshold for one in told),
            sum(rows is None for _, _, rows in tables),
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


def _rows(entry: streams.Entry) -> pa.Table | None:
    """Return the rows of an entry, None where it holds none that can be read: it is counted and left."""
    try:
        return streams.from_ipc(entry.payload)
    except (pa.ArrowException, OSError, ValueError) as error:
        log.error("entry %s holds no readable rows and is left: %s", entry.entry_id, error)
        return None


def _alerts(stream: str, rows: pa.Table, rules: AlertRules) -> FoundAlerts:
    return alerts_of_detections(rows, rules) if stream == streams.DETECTIONS else alerts_of_predictions(rows)


def _ahead_s(newest: str, read: str) -> float:
    if streams.id_parts(newest) <= streams.id_parts(read):
        return 0.0
    begun = streams.id_parts(read)[0] or streams.id_parts(newest)[0]
    return (streams.id_parts(newest)[0] - begun) / 1000
