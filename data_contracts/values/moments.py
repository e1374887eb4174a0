"""Aware times and whole microseconds since 1970 UTC, exactly, both ways: how every room counts time."""

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds_of(moment: datetime) -> int:
    """Return exact microseconds since 1970 of an aware time.

    >>> microseconds_of(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (moment - EPOCH) // _MICROSECOND


def moment_of_us(at_us: int) -> datetime:
    """Return the aware UTC time of microseconds since 1970.

    >>> microseconds_of(moment_of_us(1_700_000_000_000_001))
    1700000000000001
    """
    return EPOCH + timedelta(microseconds=at_us)
