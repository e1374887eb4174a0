"""Levels as loggers write them, as OpenTelemetry's severity numbers (0 = not known).

Source: OpenTelemetry logs data model, appendix B (syslog, Log4j, Zap); bunyan's and pino's levels in tens; Python's `levelno`.
"""

import re
from typing import Final

WORDS: Final = {
    "trace": 1,
    "finest": 1,
    "finer": 3,
    "debug": 5,
    "verbose": 5,
    "fine": 5,
    "config": 8,
    "info": 9,
    "information": 9,
    "informational": 9,
    "notice": 10,
    "warn": 13,
    "warning": 13,
    "error": 17,
    "err": 17,
    "severe": 17,
    "crit": 18,
    "critical": 18,
    "dpanic": 18,
    "alert": 19,
    "panic": 19,
    "fatal": 21,
    "emerg": 21,
    "emergency": 21,
}
SYSLOG: Final = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""Names of syslog's severities 0 to 7."""
_TENS: Final = {10: 1, 20: 5, 30: 9, 40: 13, 50: 17, 60: 21}
_MOST_SEVERITY: Final = 24
_SEARCHED: Final = 200
"""So many characters of a text are searched for its level."""

_ANY: Final = "|".join(sorted(WORDS, key=len, reverse=True))
_CAPITALS: Final = "|".join(
    word.upper() for word in sorted(WORDS, key=len, reverse=True) if word not in ("config", "fine", "alert")
)
_LEVEL: Final = re.compile(
    rf"""(?:^|(?<=[\s,{{]))(?i:level|lvl|loglevel|severity)=["']?(?P<key>(?i:{_ANY}))\b"""
    rf"|[\[<(|]\s*(?P<bracket>(?i:{_ANY}))\s*[\]>)|]"
    rf"|(?<![\w.\-/])(?P<capitals>{_CAPITALS})(?![\w\-])"
    rf"|^(?P<lead>(?i:{_ANY})):"
)
_GLOG: Final = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+\s")
_GLOG_LETTERS: Final = {"I": 9, "W": 13, "E": 17, "F": 21}


def severity_of_word(word: str) -> int:
    """Return the severity number of a word, 0 where it is not known.

    >>> severity_of_word("WARN"), severity_of_word("Information"), severity_of_word("loud")
    (13, 9, 0)
    """
    return WORDS.get(word.strip().lower(), 0)


def severity_of_number(level: int) -> int:
    """Return the severity number of a level of bunyan or pino (tens) or of syslog (0 to 7), 0 where it is neither.

    >>> severity_of_number(50), severity_of_number(3), severity_of_number(33)
    (17, 17, 0)
    """
    return WORDS[SYSLOG[level]] if 0 <= level < len(SYSLOG) else _TENS.get(level, 0)


def stated_number(value: object) -> int:
    """Return a severity number of OpenTelemetry as it is stated, 0 where it is none."""
    text = str(value).rpartition(":")[2].strip()
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 3 else 0
    return number if number <= _MOST_SEVERITY else 0


def level_in(text: str) -> str:
    """Return the word in a text that states its level, "" where none does: in capitals, in brackets, after `level=`, or leading.

    >>> level_in("12:00 WARN disk"), level_in("[error] no"), level_in("t=1 level=info msg=x"), level_in("an error came")
    ('WARN', 'error', 'info', '')
    """
    match = _LEVEL.search(text, 0, _SEARCHED)
    if match is not None:
        return match[match.lastgroup or 0]
    letter = _GLOG.match(text)
    return letter[1] if letter is not None else ""


def severity_in(text: str, word: str) -> int:
    """Return the severity number of the word that `level_in` gave for a text."""
    return _GLOG_LETTERS[word] if word in _GLOG_LETTERS and _GLOG.match(text) else severity_of_word(word)
