"""What series of logs, requests and calls say, as people read it: the pattern in words and a line, not an id and a rate."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from data_contracts.series.text import SeriesTextError, metric_of

MOST_PATTERN: Final = 160
MOST_EXAMPLE: Final = 240
TEXT_PREFIXES: Final = ("log.", "request.")
"""Beginnings of the names of series that have texts."""
SIGNAL_PREFIXES: Final = (*TEXT_PREFIXES, "span.")
"""Beginnings of the names of all series that log lines and spans give."""
_MINUTE_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class SignalText:
    """What a point of a series is about: a log pattern or a change in words, and a line as it was stored; "" = none."""

    pattern: str
    example: str = ""

    @classmethod
    def cut(cls, pattern: str, example: str = "") -> "SignalText":
        """Return a text of bounded length, on one line.

        >>> SignalText.cut("a" * 200, "two\\nlines").example
        'two lines'
        """
        return cls(_cut(pattern, MOST_PATTERN), _cut(example, MOST_EXAMPLE))


@dataclass(frozen=True, slots=True)
class SignalPoint:
    """A point of a series: labels, its value and what is usual (NaN = unknown), and what it is about."""

    labels: Mapping[str, str]
    value: float
    expected: float
    text: SignalText


def sentence_of(metric: str, value: float, expected: float, text: SignalText | None) -> str:
    """Return a point of a metric (with its labels, as people read it) in words; "" where its name and value say it all.

    >>> text = SignalText("payment <*> refused: <*>", "payment 4711 refused: card expired")
    >>> sentence_of('log.template_records_per_second{template="2a"}', 0.15, 0.0, text)
    'log pattern "payment <*> refused: <*>" 9 times a minute, usually 0; for example "payment 4711 refused: card expired"'
    >>> sentence_of("cpu_utilization", 0.9, 0.2, None)
    ''
    """
    if not metric.startswith(SIGNAL_PREFIXES):
        return ""
    try:
        name, labels = metric_of(metric)
    except SeriesTextError:
        return ""
    sentence = _SENTENCES.get(name)
    return sentence(SignalPoint(dict(labels), value, expected, text or SignalText(""))) if sentence else ""


def _template(point: SignalPoint) -> str:
    template = point.labels.get("template", "")
    named = f'log pattern "{point.text.pattern}"' if point.text.pattern else f"log pattern {template}"
    which = "log patterns that have no series of their own" if template.startswith("(") else named
    return f"{which} {_times(point.value)}{_usually(point, _count)}{_example(point)}"


def _new(point: SignalPoint) -> str:
    if not point.text.pattern or point.value < 0.5:
        return f"{_patterns(point.value)} that never came before"
    if round(point.value) == 1:
        return f'log pattern "{point.text.pattern}" never came before{_example(point)}'
    return f'{_patterns(point.value)} that never came before, such as "{point.text.pattern}"{_example(point)}'


def _missing(point: SignalPoint) -> str:
    if not point.text.pattern or point.value < 0.5:
        return f"{_patterns(point.value)} that came every minute and stopped"
    last = f'; its lines read "{point.text.example}"' if point.text.example else ""
    if round(point.value) == 1:
        return f'log pattern "{point.text.pattern}" came every minute and stopped{last}'
    return f'{_patterns(point.value)} that came every minute and stopped, such as "{point.text.pattern}"{last}'


def _burst(point: SignalPoint) -> str:
    named = f'lines of log pattern "{point.text.pattern}"' if point.text.pattern else "lines of a log pattern"
    return f"{named} came all at once, {point.value:.3g} times what chance gives{_example(point)}"


def _new_values(point: SignalPoint) -> str:
    where = f' of pattern "{point.text.pattern}"' if point.text.pattern else ""
    return f"{_share(point.value)} of log records{where} hold a value that never came there before{_example(point)}"


def _records(point: SignalPoint) -> str:
    level = point.labels.get("level", "")
    return f"{_count(point.value)} log records of level {level} a minute{_usually(point, _count)}{_example(point)}"


def _errors(point: SignalPoint) -> str:
    most = f', most of them "{point.text.pattern}"' if point.text.pattern else ""
    return f"{_share(point.value)} of log records are errors{_usually(point, _share)}{most}{_example(point)}"


def _change(point: SignalPoint) -> str:
    return f"requests changed{f', {point.text.pattern}' if point.text.pattern else ''}; {point.value:.3g} times what chance gives"


def _call_rate(point: SignalPoint) -> str:
    return f"calls to {_callee(point)} {_times(point.value)}{_usually(point, _count)}"


def _call_errors(point: SignalPoint) -> str:
    return f"{_share(point.value)} of calls to {_callee(point)} fail{_usually(point, _share)}"


def _call_length(what: str) -> Callable[[SignalPoint], str]:
    def sentence(point: SignalPoint) -> str:
        return f"calls to {_callee(point)}: {what} {_length(point.value)}{_usually(point, _length)}"

    return sentence


_ENDS: Final = {
    "client": "time as the caller waits",
    "server": "time in the callee",
    "network": "time between both ends (network and queues)",
}
_MEASURES: Final = {"mean_s": "mean", "p50_s": "median", "p99_s": "99th percentile"}
_SENTENCES: Final[dict[str, Callable[[SignalPoint], str]]] = {
    "log.template_records_per_second": _template,
    "log.new_templates": _new,
    "log.missing_templates": _missing,
    "log.burst_ratio": _burst,
    "log.new_value_ratio": _new_values,
    "log.records_per_second": _records,
    "log.error_ratio": _errors,
    "request.change_ratio": _change,
    "span.call.requests_per_second": _call_rate,
    "span.call.error_ratio": _call_errors,
    **{
        f"span.call.{end}_latency_{measure}": _call_length(f"{words}, {kind},")
        for end, words in _ENDS.items()
        for measure, kind in _MEASURES.items()
    },
}


def _callee(point: SignalPoint) -> str:
    return point.labels.get("callee", "another service")


def _patterns(count: float) -> str:
    return f"{count:.0f} log pattern" if round(count) == 1 else f"{count:.0f} log patterns"


def _example(point: SignalPoint) -> str:
    return f'; for example "{point.text.example}"' if point.text.example else ""


def _usually(point: SignalPoint, shown: Callable[[float], str]) -> str:
    return f", usually {shown(point.expected)}" if point.expected == point.expected else ""


def _times(per_second: float) -> str:
    return f"{_count(per_second)} times a minute" if _count(per_second) != "1" else "once a minute"


def _count(per_second: float) -> str:
    """Return a rate as a count in a minute, of at most three digits after rounding below 10.

    >>> _count(0.15), _count(0.004), _count(0.0), _count(12.3)
    ('9', '0.2', '0', '738')
    """
    count = max(0.0, per_second * _MINUTE_S)
    return f"{count:.0f}" if count >= 9.95 or abs(count - round(count)) < 0.05 else f"{count:.1f}"


def _share(ratio: float) -> str:
    """Return a share in per cent.

    >>> _share(0.434), _share(0.004), _share(0.0)
    ('43 %', '0.4 %', '0 %')
    """
    percent = 100.0 * max(0.0, ratio)
    return f"{percent:.0f} %" if percent >= 9.95 or percent < 0.05 else f"{percent:.1f} %"


def _length(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1.0 else f"{max(0.0, seconds) * 1e3:.3g} ms"


def _cut(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
