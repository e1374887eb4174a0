"""A column of times to microseconds: its form is recognised once, from all its cells together, then every cell is read by it.

Timestamps, dates and ISO 8601 texts say themselves what they are. Numbers agree on a unit, or on compact dates, in which they lie
in the years 2000 to 2099. What could be read in two ways (05/01/2024) is refused, and the option that says its form is named.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from aiops.errors import FileError, legible
from aiops.types import IntArray
from data_contracts.values.coerce import is_text, read_numbers, read_times
from data_contracts.values.moments import microseconds_of
from data_contracts.values.time_forms import PER_SECOND, PLAUSIBLE_S, compact_moment, iso_moment

UNREADABLE: Final = int(np.iinfo(np.int64).min)
_DATETIME_US: Final = (-62_135_596_800_000_000, 253_402_300_799_999_999)
"""Years 1 to 9999: what `datetime` can hold."""
_COMPACT: Final = "compact"
_SAMPLE: Final = 10_000
_LEAST_SHARE: Final = 0.1
"""Share of the cells from which on a second unit makes a column ambiguous."""
_PLAIN: Final = r"^\s*[+-]?\d+(\.\d*)?([eE][+-]?\d+)?\s*$"
_DAYS: Final = ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m-%d-%Y", "%d-%m-%Y", "%d %b %Y", "%b %d %Y", "%m/%d/%y", "%d/%m/%y")
_CLOCKS: Final = (" %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", "")
_SUGGESTED: Final = (
    *(f"{day}{clock}" for day in _DAYS for clock in _CLOCKS),
    "%d/%b/%Y:%H:%M:%S %z",
    "%a, %d %b %Y %H:%M:%S %z",
)
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class TimeForm:
    """What is known of a column's times: `unit` of numbers (auto, s, ms, us, ns or compact), `strptime` of texts, IANA `zone`."""

    unit: str = "auto"
    strptime: str | None = None
    zone: str | None = None


AUTO: Final = TimeForm()


@dataclass(frozen=True, slots=True)
class TimesRead:
    """`us` (n,) since 1970, UNREADABLE = no time; `naive` cells came without a zone, `twice` of them exist twice or never."""

    us: IntArray
    naive: int = 0
    twice: int = 0


def recognised_form(column: "pa.Array[Any]", form: TimeForm, place: str) -> TimeForm:
    """Return the form with its unit recognised from the column's numbers; `place` (file and column) begins a refusal.

    Raises:
        FileError: numbers are in two units, or most texts are in no form that is recognised with certainty.
    """
    if form.strptime is not None:
        return form
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    sample = column.drop_null().slice(0, _SAMPLE)
    numbers: npt.NDArray[np.float64]
    if is_text(kind):
        texts = [text for text in _texts(sample) if text]
        plain = np.array(pc.match_substring_regex(pa.array(texts, pa.string()), _PLAIN).fill_null(False)).astype(np.bool_)
        others = [text for text, number in zip(texts, plain, strict=True) if not number]
        odd = [text for text in others if iso_moment(text) is None]
        if texts and 2 * len(odd) > len(texts):
            raise FileError(_unknown_form(odd, place))
        numbers = np.array([float(text) for text, number in zip(texts, plain, strict=True) if number], np.float64)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers = read_numbers(sample, "timestamp").value
    else:
        return form
    return replace(form, unit=_unit(numbers, place)) if form.unit == "auto" and numbers.size else form


def _unit(numbers: npt.NDArray[np.float64], place: str) -> str:
    """Return the unit, or compact, in which most numbers are times; auto where none is."""
    first, last = PLAUSIBLE_S
    plausible = {unit: (numbers >= first * per_second) & (numbers < last * per_second) for unit, per_second in PER_SECOND.items()}
    whole = numbers[~np.logical_or.reduce(list(plausible.values()))]
    whole = whole[np.isfinite(whole) & (whole == np.rint(whole)) & (whole >= 0) & (whole < 1e17)]
    distinct, repeats = np.unique(whole, return_counts=True)
    dates = np.array([compact_moment(str(int(number))) is not None for number in distinct.tolist()], np.bool_)
    counts = {unit: int(hits.sum()) for unit, hits in plausible.items()} | {_COMPACT: int(repeats[dates].sum())}
    ranked = sorted(counts, key=lambda unit: counts[unit], reverse=True)
    if not counts[ranked[0]]:
        return "s" if (np.abs(numbers) < first).any() else "auto"
    if counts[ranked[1]] >= _LEAST_SHARE * numbers.size:
        raise FileError(
            f"{place}: of {numbers.size} numbers {counts[ranked[0]]} are times as {ranked[0]}, {counts[ranked[1]]} as "
            f"{ranked[1]}; write one form, or say it with time_unit=s, ms, us or ns"
        )
    if ranked[0] == _COMPACT and 2 * counts[_COMPACT] < numbers.size:
        return "s"
    return ranked[0]


def _unknown_form(odd: list[str], place: str) -> str:
    fitting = [form for form in _SUGGESTED if all(_strptime(text, form) is not None for text in odd[:1000])]
    shown = " or ".join(f"time_format={form!r}" for form in fitting[:2]) or "time_format, for example '%d.%m.%Y %H:%M:%S'"
    several = "could be read in several ways" if len(fitting) > 1 else "is in no form that is recognised with certainty"
    return f"{place}: {legible(odd[0], 60)!r} {several}; say which with {shown}"


def read_epochs(column: "pa.Array[Any]", form: TimeForm = AUTO) -> IntArray:
    """Return (n,) us since 1970; UNREADABLE where the cell is no time. See `read_column`."""
    return read_column(column, form).us


def read_column(column: "pa.Array[Any]", form: TimeForm = AUTO) -> TimesRead:
    """Return a column's times.

    Raises:
        SchemaError: the column has a type that cannot hold times.
    """
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("us"))
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if is_text(kind):
        us, naive = _of_texts(column, form)
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        us = _of_numbers(column.cast(kind) if pa.types.is_dictionary(column.type) else column, form.unit)
        naive = np.zeros(len(us), np.bool_)
    else:
        times = read_times(column, "timestamp")
        us = np.where(times.unknown == 0, times.us, UNREADABLE)
        naive = np.full(len(us), pa.types.is_timestamp(kind) and kind.tz is None)
    earliest, latest = _DATETIME_US
    us = np.where((us >= earliest) & (us <= latest), us, UNREADABLE).astype(np.int64)
    naive &= us != UNREADABLE
    count, twice = int(naive.sum()), 0
    if form.zone is not None and count:
        us[naive] = _localised(us[naive], form.zone)
        twice = int((us[naive] == UNREADABLE).sum())
    return TimesRead(us, count, twice)


def _localised(local_us: IntArray, zone: str) -> IntArray:
    """Return UTC of local times; UNREADABLE where the zone has that time twice or never."""
    local: Any = pa.array(local_us, pa.int64()).cast(pa.timestamp("us"))
    sides: list[IntArray] = []
    for side in ("earliest", "latest"):
        options = pc.AssumeTimezoneOptions(zone, ambiguous=side, nonexistent=side)
        sides.append(pc.call_function("assume_timezone", [local], options).cast(pa.int64()).to_numpy(zero_copy_only=False))
    return np.where(sides[0] == sides[1], sides[0], UNREADABLE)


def _of_texts(column: "pa.Array[Any]", form: TimeForm) -> tuple[IntArray, Mask]:
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        column = pa.array(_texts(column), pa.string()) if not _is_utf8(column) else column.cast(pa.string())
    if form.strptime is not None:
        wanted = form.strptime
        return _by_value(column, lambda text: _strptime(text, wanted))
    for target in (pa.timestamp("us", tz="UTC"), pa.timestamp("us")):
        try:
            stamps: Any = column.cast(target)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
        us = np.asarray(stamps.cast(pa.int64()).fill_null(UNREADABLE).to_numpy(zero_copy_only=False), np.int64)
        return us, np.full(len(us), target.tz is None)
    for number in (pa.int64(), pa.float64()):
        try:
            us = _of_numbers(column.cast(number), form.unit)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            continue
        return us, np.zeros(len(us), np.bool_)
    us, naive = _by_value(column, iso_moment)
    numeric = np.asarray(pc.match_substring_regex(column, _PLAIN).fill_null(False)).astype(np.bool_) & (us == UNREADABLE)
    if numeric.any():
        us[numeric] = _of_numbers(pa.array(read_numbers(column.filter(pa.array(numeric)), "timestamp").value), form.unit)
    return us, naive


def _is_utf8(column: "pa.Array[Any]") -> bool:
    try:
        column.cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _of_numbers(column: "pa.Array[Any]", unit: str) -> IntArray:
    if unit == _COMPACT:
        texts = column.cast(pa.int64(), safe=False).cast(pa.string())
        return _by_value(texts, compact_moment)[0]
    if pa.types.is_integer(column.type) and not pa.types.is_uint64(column.type) and unit in {"s", "ms", "us", "ns"}:
        whole = np.asarray(column.cast(pa.int64()).fill_null(UNREADABLE).to_numpy(zero_copy_only=False), np.int64)
        return _scaled(whole, PER_SECOND[unit])
    read = read_numbers(column, "timestamp")
    numbers = np.where(read.missing == 0, read.value, np.nan)
    factors = np.full(len(numbers), np.nan)
    if unit == "auto":
        first, last = PLAUSIBLE_S
        factors[np.abs(numbers) < first] = 1e6
        for per_second in PER_SECOND.values():
            factors[(numbers >= first * per_second) & (numbers < last * per_second)] = 1e6 / per_second
    else:
        factors[:] = 1e6 / PER_SECOND[unit]
    with np.errstate(over="ignore", invalid="ignore"):
        us = numbers * factors
    sound = np.isfinite(us) & (np.abs(us) < 9.2e18)
    return np.where(sound, np.rint(np.where(sound, us, 0.0)), UNREADABLE).astype(np.int64)


def _scaled(whole: IntArray, per_second: int) -> IntArray:
    if per_second >= 1_000_000:
        return np.where(whole == UNREADABLE, UNREADABLE, whole // (per_second // 1_000_000))
    factor = 1_000_000 // per_second
    fits = np.abs(whole.astype(np.float64)) < 9.2e18 / factor
    return np.where(fits, np.where(fits, whole, 0) * factor, UNREADABLE)


def _by_value(column: "pa.Array[Any]", parse: Callable[[str], datetime | None]) -> tuple[IntArray, Mask]:
    """Parse each distinct text once; return us since 1970 and which came without a zone."""
    encoded: Any = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    us, naive = [], []
    for text in encoded.dictionary.to_pylist():
        moment = None if text is None else parse(text)
        naive.append(moment is not None and moment.tzinfo is None)
        us.append(UNREADABLE if moment is None else _us(moment))
    codes = np.asarray(encoded.indices.fill_null(len(us)).to_numpy(zero_copy_only=False), np.int64)
    return np.array([*us, UNREADABLE], np.int64)[codes], np.array([*naive, False], np.bool_)[codes]


def _us(moment: datetime) -> int:
    try:
        return microseconds_of(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except OverflowError:
        return UNREADABLE


def _strptime(text: str, form: str) -> datetime | None:
    try:
        return datetime.strptime(text.strip(), form)  # noqa: DTZ007 - without a zone it is read in that of the form
    except ValueError:
        return None


def _texts(column: "pa.Array[Any]") -> list[str]:
    cells = column.to_pylist()
    return [cell.decode(errors="replace") if isinstance(cell, bytes) else "" if cell is None else str(cell) for cell in cells]
