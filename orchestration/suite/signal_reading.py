"""What becomes of logs and spans: how many came of each tenant, the series made of them, and how far behind the clock that is."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from serving.signal_minutes.progress_notes import MinuteProgress, TenantSignals, noted_signals
from serving.stream import streams

_LINES: Final = "logs.records"
_SPANS: Final = "spans.spans"
_POINTS: Final = "points"
_US: Final = 1e6


@dataclass(frozen=True, slots=True)
class SignalLine:
    """Log lines and spans of a tenant taken in so far, points of series made of them, series in the newest minute.

    `newest_event_at` and `made_until`, the end of the newest minute made, are aware UTC, None = there was none yet; `lag_s` is
    how far the newest event is behind the clock, as of the last note of the process.
    """

    tenant: str
    lines: int
    spans: int
    points: int
    series: int
    newest_event_at: datetime | None
    lag_s: float | None
    made_until: datetime | None


def signal_reading(broker: streams.Streams, partitions: int) -> tuple[SignalLine, ...]:
    """Return what the process that makes series notes of each tenant; none where nothing ever came.

    Raises:
        Unavailable: the broker does not answer.
    """
    now_us = time.time() * _US
    return tuple(_line(noted, now_us) for noted in noted_signals(broker, partitions) if noted.tenant)


def _line(noted: TenantSignals, now_us: float) -> SignalLine:
    progress = noted.progress or MinuteProgress(0, 0, 0)
    lag_s = round((now_us - progress.newest_us) / _US, 3) if progress.newest_us else None
    lines, spans, points = (noted.counts.get(name, 0) for name in (_LINES, _SPANS, _POINTS))
    newest_at, made_until = _moment(progress.newest_us), _moment(progress.made_us)
    return SignalLine(noted.tenant, lines, spans, points, progress.series, newest_at, lag_s, made_until)


def _moment(at_us: int) -> datetime | None:
    return datetime.fromtimestamp(at_us / _US, UTC) if at_us else None
