"""The values in lines, each with its place in the line: what `line_templates.masked` takes out, but for dates and times of day.

A clock has a new hour or day now and then, which is none of a parameter. Lines of one shape have their values at the same places,
whatever else a miner learns later: a place depends on the line alone.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from aiops.jit import bare
from aiops.signals.line_templates import WORDS
from aiops.signals.templates.token_rules import ByteArray
from aiops.signals.templates.tokeniser import text_of
from aiops.types import IntArray

MOST_PLACES: Final = 16
"""Values of a line that are read; the others are no place of it."""
_OFFSET: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)
_MOST_DIGITS: Final = 18
_HASHED: Final = np.uint64(1 << 63)
_UUID_HEAD: Final = 8
_UUID_TAIL: Final = 27
_IDENTIFIER: Final = 12
_SPACE, _WIDE_COLON = ord(" "), (0xEF, 0xBC, 0x9A)
_ZERO, _NINE, _LOWER_A, _LOWER_F, _UPPER_A, _UPPER_F = (ord(sign) for sign in "09afAF")
_COLON, _EQUALS, _DASH, _COMMA, _SEMICOLON, _SLASH, _DOT, _PLUS = (ord(sign) for sign in ":=-,;/.+")
_LOWER_Z = ord("z")
_ROUND, _SQUARE, _CURLY = (ord(sign) for sign in ")]}")


@dataclass(frozen=True, slots=True, eq=False)
class LineValues:
    """Values (v,) of lines in their order: row of the line, place (0 to `MOST_PLACES`), and the value.

    A value of digits is its number; any other one is a hash, below 0.
    """

    row: IntArray
    place: IntArray
    value: IntArray


def values_in(lines: "pa.Array[Any]") -> LineValues:
    """Return the values of lines (Arrow text, nulls have none). Memory: 24 B for each of `MOST_PLACES` places of a line.

    >>> values = values_in(pa.array(["GET /cart/17 took=23ms", "user: ann"]))
    >>> values.row.tolist(), values.place.tolist(), values.value.tolist()[0], bool((values.value[1:] < 0).all())
    ([0, 0, 1], [0, 1, 0], 17, True)
    """
    text = text_of(lines)
    room = np.zeros((3, len(lines) * MOST_PLACES), np.int64)
    count = _read(text.data, text.offsets, room[0], room[1], room[2])
    return LineValues(room[0, :count], room[1, :count], room[2, :count])


@bare
def _read(data: ByteArray, offsets: IntArray, row: IntArray, place: IntArray, value: IntArray) -> int:
    at = 0
    for line in range(offsets.size - 1):
        position, end = offsets[line], offsets[line + 1]
        words, within, ordinal = 0, False, 0
        while position < end and ordinal < MOST_PLACES and words < WORDS:
            start, stop = _value_at(data, position, end)
            clock = _clock_end(data, start, end)
            if clock > start:
                within = True
                position = clock
            elif stop > position:
                row[at], place[at], value[at] = line, ordinal, _number_of(data, start, stop)
                at += 1
                ordinal += 1
                within = True
                position = stop
            else:
                blank = _is_blank(data[position])
                words += within and blank
                within = not blank
                position += 1
    return at


@bare
def _value_at(data: ByteArray, position: int, end: int) -> tuple[int, int]:
    """Return where the value that is written from a position on begins and ends; none ends at the position itself."""
    sign = _naming_sign(data, position, end)
    if sign:
        start = position + sign
        while start < end and _is_blank(data[start]):
            start += 1
        stop = start
        while stop < end and not _is_blank(data[stop]) and not _ends_value(data[stop]):
            stop += 1
        return start, stop
    if not _is_hex(data[position]):
        return position, position
    run = position
    while run < end and _is_hex(data[run]):
        run += 1
    if run - position >= _UUID_HEAD:
        tail = position + _UUID_HEAD
        if tail < end and data[tail] == _DASH:
            stop = tail + 1
            while stop < end and stop - tail <= _UUID_TAIL and (data[stop] == _DASH or _is_lower_hex(data[stop])):
                stop += 1
            if stop - tail > _UUID_TAIL:
                return position, stop
    if run - position >= _IDENTIFIER:
        return position, run
    stop = position
    while stop < end and _ZERO <= data[stop] <= _NINE:
        stop += 1
    return position, stop


@bare
def _clock_end(data: ByteArray, start: int, end: int) -> int:
    """Return the end of a date or a time of day that begins at a position; the position itself where none does."""
    digits = _digits(data, start, end, 4)
    sign = start + digits
    if digits == 0 or sign + 2 >= end:
        return start
    if data[sign] == _COLON:
        last = _digits(data, sign + 1, end, 3)
        known = digits <= 2 and last == 2
    elif data[sign] == _DASH or data[sign] == _SLASH:
        second = sign + 1
        while second < end and second - sign <= 3 and not _is_blank(data[second]) and data[second] != data[sign]:
            second += 1
        year_or_day = _digits(data, second + 1, end, 4)
        known = second < end and data[second] == data[sign] and digits in (2, 4) and digits + year_or_day == 6
    else:
        known = False
    stop = start
    while known and stop < end and _belongs_to_clock(data, stop, end):
        stop += 1
    return stop


@bare
def _belongs_to_clock(data: ByteArray, place: int, end: int) -> bool:
    """Return whether a byte is one of a date or time: a letter or digit, or a sign before one."""
    if _is_letter_or_digit(data[place]):
        return True
    sign = data[place] in (_COLON, _DASH, _SLASH, _DOT, _COMMA, _PLUS)
    return sign and place + 1 < end and _is_letter_or_digit(data[place + 1])


@bare
def _is_letter_or_digit(byte: int) -> bool:
    return _ZERO <= byte <= _NINE or _LOWER_A <= byte | 32 <= _LOWER_Z


@bare
def _digits(data: ByteArray, start: int, end: int, most: int) -> int:
    """Return how many digits follow each other from a position on; of more than `most` one more."""
    stop = start
    while stop < end and stop - start <= most and _ZERO <= data[stop] <= _NINE:
        stop += 1
    return stop - start


@bare
def _naming_sign(data: ByteArray, position: int, end: int) -> int:
    """Return the bytes of the sign between a name and its value; 0 = there is none."""
    if data[position] == _COLON or data[position] == _EQUALS:
        return 1
    wide = position + 3 <= end and data[position] == _WIDE_COLON[0] and data[position + 1] == _WIDE_COLON[1]
    return 3 if wide and data[position + 2] == _WIDE_COLON[2] else 0


@bare
def _is_blank(byte: int) -> bool:
    return byte == _SPACE or (9 <= byte <= 13 and byte != 11)


@bare
def _ends_value(byte: int) -> bool:
    return byte in (_COMMA, _SEMICOLON, _ROUND, _SQUARE, _CURLY)


@bare
def _is_lower_hex(byte: int) -> bool:
    return _ZERO <= byte <= _NINE or _LOWER_A <= byte <= _LOWER_F


@bare
def _is_hex(byte: int) -> bool:
    return _is_lower_hex(byte) or _UPPER_A <= byte <= _UPPER_F


@bare
def _number_of(data: ByteArray, start: int, stop: int) -> np.int64:
    """Return a value of digits as its number, any other one as a hash below 0."""
    number = 0
    digits = 0 < stop - start <= _MOST_DIGITS
    for place in range(start, stop):
        digits = digits and _ZERO <= data[place] <= _NINE
        if digits:
            number = number * 10 + data[place] - _ZERO
    if digits:
        return np.int64(number)
    hashed = _OFFSET
    for place in range(start, stop):
        hashed = (hashed ^ np.uint64(data[place])) * _PRIME
    return np.int64(hashed | _HASHED)
