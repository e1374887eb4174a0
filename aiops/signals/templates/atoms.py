"""What a run of characters is, judged by the characters that it holds."""

from typing import Final, NamedTuple

import numpy as np

from aiops.jit import bare
from aiops.signals.templates.normal_form import Token
from aiops.signals.templates.token_rules import (
    BYTE_CLASS,
    COLON,
    DIGIT,
    FIXED,
    KNOWN_MARKS,
    KNOWN_WORDS,
    LITERAL,
    LONGEST_KNOWN,
    LOWER,
    MIXED,
    NUMBERED,
    SIGN,
    SLASH,
    UPPER,
    VALUE,
    VALUE_HASH,
    WORD,
    ByteArray,
)

_OFFSET: Final = np.uint64(0xCBF29CE484222325)
_PRIME: Final = np.uint64(0x100000001B3)
_COLON: Final = ord(":")
_DASH: Final = ord("-")
_DOT: Final = ord(".")
_AT: Final = ord("@")
_UNDERSCORE: Final = ord("_")
_HEX_LETTERS: Final = 8
"""Letters a to f only, this many or more, are a hexadecimal number."""


class Looks(NamedTuple):
    """Counts over a run of characters; `core_start` and `core_end` leave out punctuation at both ends."""

    digits: int
    digit_runs: int
    lower: int
    upper: int
    dots: int
    slashes: int
    ats: int
    not_hex: int
    core_start: int
    core_end: int


@bare
def _looks(data: ByteArray, start: int, end: int) -> Looks:
    digits = digit_runs = lower = upper = dots = slashes = ats = not_hex = 0
    core_start, core_end = end, start
    was_digit = False
    for place in range(start, end):
        byte = data[place]
        kind = BYTE_CLASS[byte]
        is_digit = kind == DIGIT
        digits += is_digit
        digit_runs += is_digit and not was_digit
        was_digit = is_digit
        lower += kind == LOWER
        upper += kind == UPPER
        dots += byte == _DOT
        slashes += kind == SLASH
        ats += byte == _AT
        if is_digit or kind >= LOWER:
            core_start = min(core_start, place)
            core_end = place + 1
            not_hex += not is_digit and (byte | 32) > ord("f")
    return Looks(digits, digit_runs, lower, upper, dots, slashes, ats, not_hex, core_start, core_end)


@bare
def whole_is_value(data: ByteArray, start: int, end: int) -> bool:
    """Return whether a run with colons is one value: an address (hardware, IPv6), host:port, a URL, a drive's path."""
    colons = 0
    last = start
    others = digits = named = 0
    for place in range(start, end):
        byte = data[place]
        kind = BYTE_CLASS[byte]
        if kind == COLON:
            colons += 1
            last = place
        elif kind == DIGIT:
            digits += 1
        elif kind == SLASH and place >= start + 2 and BYTE_CLASS[data[place - 1]] == SLASH and data[place - 2] == _COLON:
            return True
        elif kind < LOWER or (byte | 32) > ord("f"):
            others += 1
        named += byte in (_DOT, _DASH) and not colons
    if colons == 0:
        return False
    if colons >= 2 and not others and end - start <= 5 * (colons + 1) and not (data[start] == ord(":") and not digits):
        return True
    if last - start == 1 and last + 1 < end and BYTE_CLASS[data[last + 1]] == SLASH:
        return True
    port = 0
    for place in range(last + 1, end):
        port += BYTE_CLASS[data[place]] == DIGIT
    return colons == 1 and named > 0 and port > 0 and port == end - last - 1


@bare
def _is_value(data: ByteArray, start: int, end: int, looks: Looks) -> bool:
    """Return whether a run with letters or digits is a value by its looks."""
    letters = looks.lower + looks.upper
    if letters == 0 or looks.digit_runs > 1:
        return True
    if looks.slashes:
        rooted = BYTE_CLASS[data[start]] == SLASH or BYTE_CLASS[data[end - 1]] == SLASH
        return rooted or looks.slashes >= 2 or looks.digits > 0 or looks.dots >= 2
    if looks.ats and data[start] != _AT and data[end - 1] != _AT:
        return True
    core = looks.core_end - looks.core_start
    solid = core == letters + looks.digits
    if solid and looks.digits and looks.not_hex == 0:
        return True
    if looks.digits == 0 and solid and looks.not_hex == 0 and core >= _HEX_LETTERS:
        return True
    if (
        looks.digits
        and looks.not_hex == 1
        and data[looks.core_start] == ord("0")
        and (data[looks.core_start + 1] | 32) == ord("x")
    ):
        return True
    return looks.dots >= 2 and looks.digits == 0 and _dots_inside(data, looks) >= 2 and not _names_constant(data, looks)


@bare
def _dots_inside(data: ByteArray, looks: Looks) -> int:
    dots = 0
    for place in range(looks.core_start, looks.core_end):
        dots += data[place] == _DOT
    return dots


@bare
def _names_constant(data: ByteArray, looks: Looks) -> bool:
    """Return whether a dotted name ends in capitals after small letters: by custom a constant (`java.io.Mode.READ_ONLY`)."""
    place = looks.core_end - 1
    capitals = 0
    while place > looks.core_start and data[place] != _DOT:
        if BYTE_CLASS[data[place]] == UPPER:
            capitals += 1
        elif data[place] != _UNDERSCORE:
            return False
        place -= 1
    return capitals >= 2 and looks.lower > 0


@bare
def _is_numbered(data: ByteArray, start: int, end: int, looks: Looks) -> bool:
    """Return whether a run ends in a letter and one or two digits, after letters or underscores only."""
    if looks.digits > 2 or looks.lower + looks.upper < 2 or BYTE_CLASS[data[end - 1]] != DIGIT:
        return False
    if BYTE_CLASS[data[end - looks.digits - 1]] < LOWER:
        return False
    for place in range(start, end - looks.digits):
        kind = BYTE_CLASS[data[place]]
        if kind < LOWER and data[place] != _UNDERSCORE:
            return False
    return True


@bare
def _without_digits(data: ByteArray, start: int, end: int) -> np.uint64:
    """Return the hash of a run in which its one number, with the sign before it, is exchanged for a mark."""
    value = _OFFSET
    for place in range(start, end):
        byte = data[place]
        if BYTE_CLASS[byte] == DIGIT:
            if place == start or BYTE_CLASS[data[place - 1]] != DIGIT:
                value = (value ^ np.uint64(1)) * _PRIME
            continue
        if byte == _DASH and place + 1 < end and BYTE_CLASS[data[place + 1]] == DIGIT:
            continue
        value = (value ^ np.uint64(byte)) * _PRIME
    return value


@bare
def _marks(data: ByteArray, start: int, end: int, looks: Looks) -> int:
    """Return what marks a word without digits has."""
    marks = 0
    if (looks.lower == 0 and looks.upper >= 2) or (looks.dots >= 2 and _names_constant(data, looks)):
        marks |= FIXED
    size = end - start
    if size >= 5 and data[end - 2] == ord("e") and data[end - 1] == ord("d"):
        marks |= FIXED
    if size >= 6 and data[end - 3] == ord("i") and data[end - 2] == ord("n") and data[end - 1] == ord("g"):
        marks |= FIXED
    if size > LONGEST_KNOWN:
        return marks
    folded = _OFFSET
    for place in range(start, end):
        byte = data[place]
        folded = (folded ^ np.uint64(byte | 32 if BYTE_CLASS[byte] == UPPER else byte)) * _PRIME
    return marks | _known_marks(folded)


@bare
def _known_marks(folded: np.uint64) -> int:
    low, high = 0, KNOWN_WORDS.size
    while low < high:
        middle = (low + high) // 2
        if KNOWN_WORDS[middle] < folded:
            low = middle + 1
        else:
            high = middle
    return KNOWN_MARKS[low] if low < KNOWN_WORDS.size and KNOWN_WORDS[low] == folded else 0


@bare
def piece(data: ByteArray, start: int, end: int) -> Token:
    """Return the token of a run of characters that holds no colon."""
    looks = _looks(data, start, end)
    letters = looks.lower + looks.upper
    if letters + looks.digits == 0:
        return Token(_plain(data, start, end), SIGN, 0, start, end)
    if _is_value(data, start, end, looks):
        return Token(VALUE_HASH, VALUE, 0, start, end)
    if looks.digits and not _is_numbered(data, start, end, looks):
        return Token(_without_digits(data, start, end), MIXED, 0, start, end)
    if looks.slashes:
        return Token(_plain(data, start, end), MIXED, 0, start, end)
    if looks.digits:
        return Token(_plain(data, start, end), NUMBERED, 0, start, end)
    marks = _marks(data, start, end, looks)
    if marks & LITERAL:
        return Token(VALUE_HASH, VALUE, 0, start, end)
    return Token(_plain(data, start, end), WORD, marks, start, end)


@bare
def _plain(data: ByteArray, start: int, end: int) -> np.uint64:
    value = _OFFSET
    for place in range(start, end):
        value = (value ^ np.uint64(data[place])) * _PRIME
    return value
