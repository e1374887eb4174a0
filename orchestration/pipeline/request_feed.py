"""Log lines and spans of a source at its own pace, onto the stream that receivers write: the process of signals does the rest."""

import logging
from datetime import datetime, timedelta
from typing import Final

from aiops.errors import SequenceConflict
from aiops.ports import RequestRecords, TelemetrySource
from aiops.replay.request_reader import RequestReader
from aiops.types import HistorySplit, RequestRows
from data_contracts.values.moments import microseconds_of
from orchestration.pipeline.timeline import shifted
from serving.ingest.signal_producer import SignalProducer

_TIMES: Final = ("timestamp", "available_at")
_MILLISECOND: Final = timedelta(milliseconds=1)

log = logging.getLogger(__name__)


class RequestFeed:
    """Publishes the requests of a replay from a position on; nothing where the source has none.

    A batch bears the number of the millisecond of the source at which it ends: after a restart the same rows come under the same
    number, and count once.
    """

    def __init__(self, source: TelemetrySource, producer: SignalProducer, split: HistorySplit, position: datetime) -> None:
        tables = source.requests(position, split.replay_end) if isinstance(source, RequestRecords) else iter(())
        self._reader = RequestReader(tables)
        self._producer = producer
        self._begin = split.replay_start
        self._waiting: RequestRows | None = None
        """Rows that were read and are not published yet."""

    def publish(self, end: datetime, shift: timedelta, available_at: datetime) -> None:
        """Publish the rows known before `end` (time of the source), their times moved by `shift`.

        Raises:
            Unavailable: the broker does not answer, or is full; publish again.
        """
        rows = self._waiting = self._waiting or self._reader.until(microseconds_of(end))
        if rows is None:
            return
        moved = RequestRows(shifted(rows.logs, shift, _TIMES), shifted(rows.spans, shift, _TIMES))
        try:
            self._producer.publish(moved, max(1, (end - self._begin) // _MILLISECOND), available_at)
        except SequenceConflict as error:
            log.warning("log lines and spans up to %s were sent before, in another cut: %s", end, error)
        self._waiting = None
