r"""The one text form of a series, for people: `service|metric{key="value",…}`. Programs use the id or the key.

A backslash stands before a backslash, a `|` in a service, a `{` in a metric, and a `"` in a label's value; the tenant is not in
it, for people see one tenant at a time.
"""

from typing import Final

from data_contracts.series.key import Labels, SeriesKey, labels_of

_SERVICE_END: Final = "|"
_METRIC_END: Final = "{"


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
    return text.replace("\\", "\\\\").replace(end, "\\" + end)


def _until(text: str, end: str) -> tuple[str, str]:
    """Return the unescaped text before the first `end` that stands alone, and the rest from there on."""
    characters = []
    at = 0
    while at < len(text) and text[at] != end:
        at += text[at] == "\\" and at + 1 < len(text)
        characters.append(text[at])
        at += 1
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
