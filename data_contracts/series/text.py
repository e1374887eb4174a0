r"""The one text form of a series, for people: `service|metric{key="value",…}`. Programs use the id or the key.

A backslash stands before a backslash, a `|` in a service, a `{` in a metric, and a `"` in a label's value; line breaks and other
control characters are written `\n`, `\r`, `\t` or `\u` with four hexadecimal digits, so that a text is one line. The tenant is
not in it, for people see one tenant at a time.
"""

import unicodedata
from typing import Final

from data_contracts.series.key import Labels, SeriesKey, labels_of

_SERVICE_END: Final = "|"
_METRIC_END: Final = "{"
MAX_BYTES: Final = 4096
"""Metric and labels as text may have so many, in UTF-8."""
_WRITTEN: Final = {"\n": "n", "\r": "r", "\t": "t"}
_READ: Final = {letter: character for character, letter in _WRITTEN.items()}
_BREAKS: Final = frozenset("\u0085\u2028\u2029")


class SeriesTextError(ValueError):
    """A text is not the form of a series."""


def metric_text(metric: str, labels: Labels = ()) -> str:
    """Return metric and labels as people read them.

    >>> metric_text("http_requests", (("code", "500"),))
    'http_requests{code="500"}'
    """
    name = _escaped(metric, _METRIC_END)
    if not labels:
        return name
    inner = ",".join(f'{_escaped(key, "=")}="{_escaped(value, chr(34))}"' for key, value in labels)
    return f"{name}{{{inner}}}"


def series_text(key: SeriesKey) -> str:
    """Return a series as people read it.

    >>> series_text(SeriesKey("default", "cart", "up"))
    'cart|up'
    """
    return f"{_escaped(key.service, _SERVICE_END)}|{metric_text(key.metric, key.labels)}"


def text_of(service: str, metric: str, labels: str) -> str:
    """Return a series as people read it; `labels` is the canonical text.

    >>> text_of("cart", "http_requests", '{"code":"500"}')
    'cart|http_requests{code="500"}'
    """
    return series_text(SeriesKey("", service, metric, labels_of(labels)))


def metric_with_labels(metric: str, labels: str) -> str:
    """Return metric and labels as people read them; `labels` is the canonical text.

    >>> metric_with_labels("up", ""), metric_with_labels("http_requests", '{"code":"500"}')
    ('up', 'http_requests{code="500"}')
    """
    return metric_text(metric, labels_of(labels))


def metric_of(text: str) -> tuple[str, Labels]:
    """Return metric and labels of a text that `metric_text` wrote.

    >>> metric_of('http_requests{code="500"}')
    ('http_requests', (('code', '500'),))

    Raises:
        SeriesTextError: the labels are not closed, or not of the form key="value".
    """
    metric, rest = _until(text, _METRIC_END)
    return metric, _labels(rest, text) if rest else ()


def series_of(text: str, tenant: str) -> SeriesKey:
    """Return the key that a text names within a tenant.

    Raises:
        SeriesTextError: the text has no `|`, or its labels are not of the form key="value".
    """
    service, rest = _until(text, _SERVICE_END)
    if not rest:
        raise SeriesTextError(f"series {text[:120]!r} has no '|'; write service|metric or service|metric{{key=\"value\"}}")
    metric, labels = metric_of(rest[1:])
    return SeriesKey(tenant, service, metric, labels)


def _escaped(text: str, end: str) -> str:
    escaped = text.replace("\\", "\\\\").replace(end, "\\" + end)
    return escaped if escaped.isprintable() else "".join(map(_visible, escaped))


def _visible(character: str) -> str:
    if character in _WRITTEN:
        return f"\\{_WRITTEN[character]}"
    hidden = character in _BREAKS or unicodedata.category(character) == "Cc"
    return f"\\u{ord(character):04x}" if hidden else character


def _meant(text: str, at: int) -> tuple[str, int]:
    """Return the character that is written at `at`, behind a backslash, and where the next one begins."""
    digits = text[at + 1 : at + 5]
    if text[at] == "u" and len(digits) == 4 and all(digit in "0123456789abcdef" for digit in digits):
        return chr(int(digits, 16)), at + 5
    return _READ.get(text[at], text[at]), at + 1


def _until(text: str, end: str) -> tuple[str, str]:
    """Return the unescaped text before the first `end` that stands alone, and the rest from there on."""
    characters = []
    at = 0
    while at < len(text) and text[at] != end:
        character, following = text[at], at + 1
        if character == "\\" and following < len(text):
            character, following = _meant(text, following)
        characters.append(character)
        at = following
    return "".join(characters), text[at:]


def _labels(rest: str, whole: str) -> Labels:
    wrong = SeriesTextError(
        f'labels of {whole[:120]!r} are not of the form {{key="value",…}}; quotes in values are escaped by \\'
    )
    if not rest.endswith("}"):
        raise wrong
    labels, left = [], rest[1:-1]
    while left:
        key, left = _until(left, "=")
        if left[:2] != '="':
            raise wrong
        value, left = _until(left[2:], '"')
        if left[:1] != '"' or left[1:2] not in ("", ","):
            raise wrong
        labels.append((key, value))
        left = left[2:]
    return tuple(sorted(labels))
