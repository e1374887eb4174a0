"""Daily partitions of telemetry and features."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

FIRST_DAY: Final = "2014-01-01"
DAILY: Final = dg.DailyPartitionsDefinition(start_date=FIRST_DAY, timezone="UTC", end_offset=1)
"""One partition a UTC day, today's included; the first is that of the oldest public corpus the suite reads."""

WHOLE_RANGE: Final = dg.BackfillPolicy.single_run()


def day_window(day: str) -> tuple[datetime, datetime]:
    """Return [start, end) of a partition key.

    >>> day_window("2025-03-03")[1].isoformat()
    '2025-03-04T00:00:00+00:00'
    """
    start = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    return start, start + timedelta(days=1)


def range_window(days: Sequence[str]) -> tuple[datetime, datetime]:
    """Return [start, end) of consecutive partition keys."""
    return day_window(days[0])[0], day_window(days[-1])[1]
