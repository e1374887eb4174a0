"""What a token of a log line is: kinds, marks and the few sets of English words that the rules know.

The rules know how numbers, addresses, paths and identifiers are written anywhere. They know nothing of any one log format.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

HashArray = npt.NDArray[np.uint64]
ByteArray = npt.NDArray[np.uint8]
BoolArray = npt.NDArray[np.bool_]

VALUE: Final = 0
"""A value by its looks: number, hexadecimal, address, path, time, dotted name."""
MIXED: Final = 1
"""A word with one run of digits, equal to others that differ in these digits only: `blk_123`."""
NUMBERED: Final = 2
"""A word with one or two digits at its end, kept as written: `eth0`, `IPv6`."""
WORD: Final = 3
SIGN: Final = 4
"""Punctuation."""

FIXED: Final = 1
"""Mark: looks like a part of the message rather than a value: `STATE`, `started`, `closing`."""
CUE: Final = 2
"""Mark: what comes next is probably a value: `for`, `user`, `=`, `:`."""
UNIT: Final = 4
"""Mark: a unit, which belongs to the number before it."""
CALENDAR: Final = 8
"""Mark: a day or month, which belongs to the number after it."""
OPEN: Final = 16
"""Mark of a value in a template: words were seen there, so any word belongs there."""
LITERAL: Final = 32
"""Mark: a truth value, which is a value wherever it stands."""

CUES: Final = (
    *("for", "from", "to", "by", "at", "on", "in", "of", "with", "as", "via"),
    *("user", "host", "name", "id", "named", "path", "file", "group", "server", "client", "node", "service", "device", "domain"),
)
UNITS: Final = (
    *("b", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "tib", "byte", "bytes", "bit", "bits", "k", "m", "g"),
    *("ns", "us", "ms", "s", "sec", "secs", "second", "seconds", "msec", "msecs", "usec", "usecs"),
    *("nanoseconds", "microseconds", "milliseconds", "min", "mins", "minute", "minutes"),
    *("h", "hr", "hrs", "hour", "hours", "day", "days", "hz", "khz", "mhz", "ghz"),
)
CALENDAR_WORDS: Final = (
    *("mon", "tue", "wed", "thu", "fri", "sat", "sun"),
    *("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    *("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
)
LITERALS: Final = ("true", "false")
LONGEST_KNOWN: Final = 12
"""Longer tokens are in none of the sets, bytes."""

_OFFSET: Final = 0xCBF29CE484222325
_PRIME: Final = 0x100000001B3
_WORD: Final = (1 << 64) - 1


def text_hash(text: bytes) -> int:
    """Return the 64-bit FNV-1a hash of a text, the one of a token.

    >>> hex(text_hash(b"a"))
    '0xaf63dc4c8601ec8c'
    """
    value = _OFFSET
    for byte in text:
        value = ((value ^ byte) * _PRIME) & _WORD
    return value


def _word_table() -> tuple[HashArray, ByteArray]:
    """Return hashes of the known words, ascending, and their marks."""
    marks: dict[int, int] = {}
    for words, mark in ((CUES, CUE), (UNITS, UNIT), (CALENDAR_WORDS, CALENDAR), (LITERALS, LITERAL)):
        for word in words:
            key = text_hash(word.encode())
            marks[key] = marks.get(key, 0) | mark
    keys = sorted(marks)
    return np.array(keys, np.uint64), np.array([marks[key] for key in keys], np.uint8)


KNOWN_WORDS, KNOWN_MARKS = _word_table()
TEXT_KEYS: Final = np.array([text_hash(key) for key in (b"msg", b"message", b"event", b"level", b"lvl", b"severity")], np.uint64)
"""Keys of `key=value` whose value is part of the message."""

SPACE: Final = 1
HARD: Final = 2
DIGIT: Final = 3
TAIL: Final = 4
"""`.`, `!` and `?`, which are punctuation at the end of a word only."""
COLON: Final = 5
SLASH: Final = 6
"""`/` and `\\`."""
UNPRINTABLE: Final = 7
LOWER: Final = 8
"""Classes from here on are letters; bytes of other alphabets (UTF-8) are among these."""
UPPER: Final = 9


_SIGNS: Final = (
    (b" \t\r\n\v\f", SPACE),
    (b"()[]{}<>\"',;=|`", HARD),
    (b"0123456789", DIGIT),
    (b".!?", TAIL),
    (b":", COLON),
    (b"/\\", SLASH),
)


def _byte_classes() -> ByteArray:
    """Return the class of each byte; 0 = other punctuation."""
    classes = np.zeros(256, np.uint8)
    classes[:32] = UNPRINTABLE
    classes[127] = UNPRINTABLE
    classes[128:] = LOWER
    for text, kind in _SIGNS:
        classes[list(text)] = kind
    classes[ord("a") : ord("z") + 1] = LOWER
    classes[ord("A") : ord("Z") + 1] = UPPER
    return classes


BYTE_CLASS: Final = _byte_classes()
VALUE_HASH: Final = np.uint64(text_hash(b"<*>"))
EQUALS_HASH: Final = np.uint64(text_hash(b"="))
LESS_HASH: Final = np.uint64(text_hash(b"<"))
MORE_HASH: Final = np.uint64(text_hash(b">"))
COMMA_HASH: Final = np.uint64(text_hash(b","))
BAR_HASH: Final = np.uint64(text_hash(b"|"))
COLON_HASH: Final = np.uint64(text_hash(b":"))
SQUARE_HASH: Final = np.uint64(text_hash(b"["))
SQUARE_END_HASH: Final = np.uint64(text_hash(b"]"))
JOINERS: Final = np.array(
    sorted(text_hash(sign) for sign in (b",", b":", b"-", b"/", b".", b"#", b"|", b"*", b"&", b"+", b"::")), np.uint64
)
"""Punctuation between two values that makes a list, a time or an address of them."""
OPENING: Final = np.array([text_hash(sign) for sign in (b"(", b"[", b"{", b"<")], np.uint64)
CLOSING: Final = np.array([text_hash(sign) for sign in (b")", b"]", b"}", b">")], np.uint64)
