"""Forms of time in files and messages: recognised, or refused; never guessed from the size of a number alone.

A number is seconds, milliseconds, micro- or nanoseconds since 1970 where that lies in the years 2000 to 2099: no two units agree
there. Digits that are none of these may be a compact date: YYYYMMDD, followed by hhmm, hhmmss or hhmmss and milliseconds.
"""

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from data_contracts.values.moments import microseconds_of, moment_of_us

PER_SECOND: Final = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
PLAUSIBLE_S: Final = (946_684_800, 4_102_444_800)
"""2000-01-01 to 2100-01-01, in seconds since 1970."""
_COMPACT: Final = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 17: "%Y%m%d%H%M%S%f"}
_NUMBER: Final = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?")
_ZONE_WORD: Final = re.compile(r"\s*(?:UTC|GMT)$", re.IGNORECASE)
_SIXTIETH: Final = re.compile(r"^(\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d:?)60(?=$|[^\d])")
_LONGEST: Final = 64


def unit_of(number: float) -> str | None:
    """Return the unit in which a number is a time of the years 2000 to 2099; None = in none.

    >>> unit_of(1_714_521_600), unit_of(1_714_521_600_000), unit_of(20_240_501_000_000)
    ('s', 'ms', None)
    """
    first, last = PLAUSIBLE_S
    return next((unit for unit, per_second in PER_SECOND.items() if first * per_second <= number < last * per_second), None)


def compact_moment(digits: str) -> datetime | None:
    """Return the UTC time written in 8, 12, 14 or 17 digits; None where they are no date of the years 2000 to 2099.

    >>> compact_moment("20240501000000")
    datetime.datetime(2024, 5, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    form = _COMPACT.get(len(digits))
    if form is None or not digits.startswith("20") or not (digits.isascii() and digits.isdecimal()):
        return None
    try:
        return datetime.strptime(digits, form).replace(tzinfo=UTC)
    except ValueError:
        return None


def iso_moment(text: str) -> datetime | None:
    """Return an ISO 8601 time, extended or basic; None where it is none. Without a zone it has none.

    "UTC" or "GMT" may stand for Z. A 60th second, as of a leap second, is the first of the next minute. Digits alone are a
    number or a compact date, never ISO 8601.
    """
    plain = text.strip()
    if len(plain) > _LONGEST or plain.isdecimal():
        return None
    if plain[4:5] == "/" == plain[7:8]:
        plain = plain.replace("/", "-", 2)
    plain = _ZONE_WORD.sub("+00:00", plain)
    whole = _SIXTIETH.sub(r"\g<1>59", plain)
    try:
        moment = datetime.fromisoformat(whole)
        return moment if whole == plain else moment + timedelta(seconds=1)
    except (ValueError, OverflowError):
        return None


def moment_of_number(number: float) -> datetime | None:
    """Return the UTC time of a number since 1970 in its plausible unit; None where it has none."""
    unit = unit_of(number)
    if unit is None:
        return None
    per_second = PER_SECOND[unit]
    if isinstance(number, int):
        return moment_of_us(number * 1_000_000 // per_second)
    return moment_of_us(round(number * (1_000_000 / per_second)))


def read_moment(value: object, zone: tzinfo = UTC) -> datetime | None:
    """Return a time as people and machines write it, in a cell or a JSON field; None where it is none.

    Aware times, ISO 8601 (without a zone: in `zone`), numbers since 1970 as number or text, compact dates as text or number.
    """
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=zone)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=zone)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = str(value).strip()
    if len(text) <= _LONGEST and _NUMBER.fullmatch(text):
        return moment_of_number(int(text) if text.isdecimal() else float(text)) or compact_moment(text)
    moment = iso_moment(text)
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=zone)


def read_us(text: str) -> int | None:
    """Return microseconds since 1970 of an ISO 8601 text, no zone = UTC; None where it is none."""
    moment = iso_moment(text)
    if moment is None:
        return None
    try:
        return microseconds_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except OverflowError:
        return None
