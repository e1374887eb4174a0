"""What series of signals are about, in words: rows for who explains a detection, each when it is new or changed.

Nothing of a point waits for its text, and no detector reads one. What was said is known until the process ends or the day is
over: then it is said anew, so that a reader needs no more than two days.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa

from aiops.signals.minute_cells import MINUTE_US
from aiops.signals.signal_sentences import SignalText
from data_contracts.schemas.telemetry_schemas import TIMESTAMP
from data_contracts.schemas.wire_schemas import SIGNAL_TEXTS
from data_contracts.series.text import metric_text

_MOST: Final = 65_536
"""Series of which is known what was said; beyond it all is said anew."""
_DAY: Final = 1440
Subject = tuple[str, str, tuple[str, ...]]
"""Service, metric, and key and value of its label, if any."""


@dataclass(slots=True)
class SeriesTexts:
    """Texts of series that were not given out yet. Memory: a text a series."""

    _said: dict[Subject, tuple[int, SignalText]] = field(default_factory=dict)
    _news: list[tuple[int, Subject, SignalText]] = field(default_factory=list)

    def say(self, minute: int, subject: Subject, text: SignalText) -> None:
        """Note what a series is about in a minute (its number since 1970 UTC)."""
        known = (minute // _DAY, text)
        if self._said.get(subject) == known:
            return
        if len(self._said) >= _MOST:
            self._said.clear()
        self._said[subject] = known
        self._news.append((minute, subject, text))

    def say_where_known(self, minute: int, subject: Subject, text: SignalText) -> None:
        """Note what a series is about in a minute, unless nothing is known of it."""
        if text.pattern:
            self.say(minute, subject, text)

    def taken(self) -> pa.Table:
        """Return what is new since the last call, as `SIGNAL_TEXTS`."""
        news, self._news = self._news, []
        return text_rows(news)


def text_rows(news: Iterable[tuple[int, Subject, SignalText]]) -> pa.Table:
    """Return texts as `SIGNAL_TEXTS`, in their order."""
    given = list(news)
    columns: list[Any] = [
        pa.array([(minute + 1) * MINUTE_US for minute, _, _ in given], pa.int64()).cast(TIMESTAMP),
        pa.array([service for _, (service, _, _), _ in given], pa.string()),
        pa.array([_metric(metric, label) for _, (_, metric, label), _ in given], pa.string()),
        pa.array([text.pattern for _, _, text in given], pa.string()),
        pa.array([text.example for _, _, text in given], pa.string()),
    ]
    return pa.table(columns, schema=SIGNAL_TEXTS)


def _metric(metric: str, label: tuple[str, ...]) -> str:
    return metric_text(metric, ((label[0], label[1]),)) if label else metric


def strongest(counts: Mapping[int, int]) -> int | None:
    """Return the number with the highest count, of equal ones the least; None where there is none.

    >>> strongest({7: 2, 3: 2, 5: 1})
    3
    """
    return min(counts, key=lambda number: (-counts[number], number), default=None)
