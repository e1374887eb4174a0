"""Times within lines of text: where they stand and what they say, µs since 1970; without a zone they are UTC.

Recognised near the beginning of a line: ISO 8601 (also with "/", a blank or a comma), syslog and glog (no year: the one that lies
nearest before the arrival), Apache's access and error logs, "02 Jan 2024 03:04:05", numbers since 1970 at the very beginning.
"""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Final

from data_contracts.values.moments import microseconds_of
from data_contracts.values.time_forms import iso_moment, read_moment

_SEARCHED: Final = 100
_MONTHS: Final = {
    name: number
    for number, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1)
}
_MONTH: Final = "|".join(_MONTHS)
_CLOCK: Final = r"\d\d:\d\d:\d\d"
_ISO: Final = re.compile(
    rf"(?<!\d)(\d{{4}}([-/])\d\d\2\d\d)[T ]({_CLOCK})(?:[.,](\d{{1,9}}))?(?: ?(Z|UTC|GMT|[+-]\d\d:?\d\d))?(?![\d:])"
)
_SYSLOG: Final = re.compile(rf"\b({_MONTH}) +(\d{{1,2}}) ({_CLOCK})(?:[.,](\d{{1,9}}))?(?: (\d{{4}}))?\b")
_DAY_FIRST: Final = re.compile(
    rf"(?<!\d)(\d{{1,2}})[ /-]({_MONTH})[ /-](\d{{4}})[ :T]({_CLOCK})(?:[.,](\d{{1,9}}))?(?: ?([+-]\d{{4}}))?"
)
_GLOG: Final = re.compile(rf"[IWEF](\d\d)(\d\d) ({_CLOCK})\.(\d{{1,9}})\s")
_NUMBER: Final = re.compile(r"\W?(\d{10}\.\d{1,9}|\d{10}|\d{13}|\d{16}|\d{19})(?=\D|$)")
_AHEAD_US: Final = 86_400_000_000
_UTC: Final = ("Z", "UTC", "GMT")
_SECONDS: Final = 4096
"""So many whole seconds are remembered."""


def time_in(text: str, now: datetime) -> int | None:
    """Return the time that a line of text states near its beginning, in µs; None where it states none. `now`: its arrival.

    >>> from data_contracts.values.moments import moment_of_us
    >>> from datetime import UTC
    >>> now = datetime(2026, 1, 5, tzinfo=UTC)
    >>> moment_of_us(time_in("Dec 31 23:59:59 web-1 sshd[5]: hello", now)).isoformat()
    '2025-12-31T23:59:59+00:00'
    """
    for pattern, read in _FORMS:
        match = pattern.match(text) if pattern in (_GLOG, _NUMBER) else pattern.search(text, 0, _SEARCHED)
        if match is not None:
            at_us = read(match, now)
            if at_us is not None:
                return at_us
    return None


def time_of(value: object, now: datetime) -> int | None:
    """Return the time that a field states, as text or number, in µs; None where that is no time."""
    match = _ISO.fullmatch(value) if isinstance(value, str) else None
    if match is not None:
        return _iso(match, now)
    moment = read_moment(value)
    if moment is not None:
        return _us(moment)
    return time_in(value, now) if isinstance(value, str) and len(value) <= _SEARCHED else None


def _us(moment: datetime) -> int | None:
    try:
        return microseconds_of(moment)
    except OverflowError:  # the first or last day of all, in a zone
        return None


def _iso(match: "re.Match[str]", _now: datetime) -> int | None:
    zone = match[5] or "Z"
    day = match[1] if match[2] == "-" else match[1].replace("/", "-")
    return _with_fraction(_second_us(day, match[3], "+00:00" if zone in _UTC else zone), match[4])


def _syslog(match: "re.Match[str]", now: datetime) -> int | None:
    month, day = _MONTHS[match[1]], int(match[2])
    if match[5]:
        return _with_fraction(_second_us(f"{match[5]}-{month:02}-{day:02}", match[3], "+00:00"), match[4])
    return _without_year(f"{month:02}-{day:02}", now, match)


def _glog(match: "re.Match[str]", now: datetime) -> int | None:
    return _without_year(f"{match[1]}-{match[2]}", now, match)


def _without_year(day: str, now: datetime, match: "re.Match[str]") -> int | None:
    at_us = _second_us(f"{now.year:04}-{day}", match[3], "+00:00")
    if at_us is None or at_us > microseconds_of(now) + _AHEAD_US:
        at_us = _second_us(f"{now.year - 1:04}-{day}", match[3], "+00:00")
    return _with_fraction(at_us, match[4])


def _day_first(match: "re.Match[str]", _now: datetime) -> int | None:
    day = f"{match[3]}-{_MONTHS[match[2]]:02}-{int(match[1]):02}"
    return _with_fraction(_second_us(day, match[4], match[6] or "+00:00"), match[5])


@lru_cache(_SECONDS)
def _second_us(day: str, clock: str, zone: str) -> int | None:
    """Return a whole second, remembered: lines that follow one another share it. `zone` as a difference to UTC."""
    moment = iso_moment(f"{day}T{clock}{zone}")
    return None if moment is None else _us(moment)


def _with_fraction(at_us: int | None, fraction: str | None) -> int | None:
    return at_us if at_us is None or fraction is None else at_us + int(fraction[:6].ljust(6, "0"))


def _number(match: "re.Match[str]", _now: datetime) -> int | None:
    moment = read_moment(match[1])
    return None if moment is None else _us(moment)


_FORMS: Final[tuple[tuple["re.Pattern[str]", Callable[["re.Match[str]", datetime], int | None]], ...]] = (
    (_ISO, _iso),
    (_SYSLOG, _syslog),
    (_DAY_FIRST, _day_first),
    (_GLOG, _glog),
    (_NUMBER, _number),
)
