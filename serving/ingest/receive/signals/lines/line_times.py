"""Times within lines of text: where they stand and what they say, µs since 1970; without a zone they are UTC.

Recognised near the beginning of a line: ISO 8601 (also with "/", a blank or a comma), syslog and glog (no year: the one that lies
nearest before the arrival), Apache's access and error logs, "02 Jan 2024 03:04:05", numbers since 1970 at the very beginning.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
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
_AHEAD: Final = timedelta(days=1)


def time_in(text: str, now: datetime) -> int | None:
    """Return the time that a line of text states near its beginning, in µs; None where it states none. `now`: its arrival.

    >>> from data_contracts.values.moments import moment_of_us
    >>> now = datetime(2026, 1, 5, tzinfo=UTC)
    >>> moment_of_us(time_in("Dec 31 23:59:59 web-1 sshd[5]: hello", now)).isoformat()
    '2025-12-31T23:59:59+00:00'
    """
    for pattern, read in _FORMS:
        match = pattern.match(text) if pattern in (_GLOG, _NUMBER) else pattern.search(text, 0, _SEARCHED)
        if match is not None:
            moment = read(match, now)
            if moment is not None:
                return _us(moment)
    return None


def time_of(value: object, now: datetime) -> int | None:
    """Return the time that a field states, as text or number, in µs; None where that is no time."""
    moment = read_moment(value)
    if moment is not None:
        return _us(moment)
    return time_in(value, now) if isinstance(value, str) and len(value) <= _SEARCHED else None


def _us(moment: datetime) -> int | None:
    try:
        return microseconds_of(moment)
    except OverflowError:  # the first or last day of all, in a zone
        return None


def _iso(match: "re.Match[str]", _now: datetime) -> datetime | None:
    zone = {"Z": "+00:00", "UTC": "+00:00", "GMT": "+00:00", None: "+00:00"}.get(match[5], match[5])
    return iso_moment(f"{match[1].replace('/', '-')}T{match[3]}.{(match[4] or '0')[:6].ljust(6, '0')}{zone}")


def _syslog(match: "re.Match[str]", now: datetime) -> datetime | None:
    month, day = _MONTHS[match[1]], int(match[2])
    if match[5]:
        return _moment(int(match[5]), month, day, match[3], match[4])
    return _without_year(month, day, now, match)


def _glog(match: "re.Match[str]", now: datetime) -> datetime | None:
    return _without_year(int(match[1]), int(match[2]), now, match)


def _without_year(month: int, day: int, now: datetime, match: "re.Match[str]") -> datetime | None:
    moment = _moment(now.year, month, day, match[3], match[4])
    if moment is not None and moment <= now + _AHEAD:
        return moment
    return _moment(now.year - 1, month, day, match[3], match[4])


def _day_first(match: "re.Match[str]", _now: datetime) -> datetime | None:
    return _moment(int(match[3]), _MONTHS[match[2]], int(match[1]), match[4] + (match[6] or ""), match[5])


def _moment(year: int, month: int, day: int, clock: str, fraction: str | None) -> datetime | None:
    part = (fraction or "0")[:6].ljust(6, "0")
    moment = iso_moment(f"{year:04}-{month:02}-{day:02}T{clock[:8]}.{part}{clock[8:]}")
    return moment if moment is None or moment.tzinfo else moment.replace(tzinfo=UTC)


def _number(match: "re.Match[str]", _now: datetime) -> datetime | None:
    return read_moment(match[1])


_FORMS: Final[tuple[tuple["re.Pattern[str]", Callable[["re.Match[str]", datetime], datetime | None]], ...]] = (
    (_ISO, _iso),
    (_SYSLOG, _syslog),
    (_DAY_FIRST, _day_first),
    (_GLOG, _glog),
    (_NUMBER, _number),
)
