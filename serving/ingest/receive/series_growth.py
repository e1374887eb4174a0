"""Labels that explode: a service's metric that gains series far faster than it has any, and by which label.

A metric explodes when within ten minutes it gains `threshold` series or more, and twice as many as it had before; never in the
first ten minutes, when everything is new. Where the tenant's limit is reached, the label is named whenever that happens.
Memory: one number a metric and window; values of labels of what is about to explode only.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from data_contracts.series.key import SeriesKey

WINDOW_S: Final = 600.0
CAP: Final = "series limit reached"
EXPLOSION: Final = "label with too many values"
_MOST_METRICS: Final = 100_000
_MOST_VALUES: Final = 500
_MOST_SAMPLED: Final = 64


class Explosion(NamedTuple):
    """What gains series: `since_s` of the clock; `ends_s` 0 = it goes on."""

    name: str
    service: str
    metric: str
    label: str
    text: str
    since_s: float
    ends_s: float = 0.0


class _Metric(NamedTuple):
    service: str
    metric: str


class SeriesGrowth:
    """Counts the new series of one tenant by service and metric."""

    def __init__(self, threshold: int, clock: Callable[[], float] = time.time) -> None:
        self._threshold = threshold
        self._clock = clock
        self._began = self._window = clock()
        self._before: Counter[_Metric] = Counter()
        self._new: Counter[_Metric] = Counter()
        self._refused: Counter[_Metric] = Counter()
        self._values: dict[_Metric, dict[str, set[str]]] = {}
        self._open: dict[tuple[str, _Metric], Explosion] = {}

    def added(self, key: SeriesKey) -> None:
        """Note a new series."""
        name = _Metric(key.service, key.metric)
        if name in self._new or len(self._new) < _MOST_METRICS:
            self._new[name] += 1
            if 2 * self._new[name] >= self._threshold:
                self._sample(name, key)

    def refused(self, key: SeriesKey) -> None:
        """Note a series that was refused because the tenant has too many."""
        name = _Metric(key.service, key.metric)
        if name in self._refused or len(self._refused) < _MOST_METRICS:
            self._refused[name] += 1
            self._sample(name, key)

    def look(self) -> Iterator[Explosion]:
        """Yield what began and what ended since the last look; call it every few seconds."""
        now = self._clock()
        if self._refused:
            worst, count = self._refused.most_common(1)[0]
            yield from self._begins(CAP, worst, f"{count} new series of it were refused", now)
        if self._began != self._window:
            for name, count in self._new.items():
                if count >= self._threshold and count >= 2 * self._before[name]:
                    yield from self._begins(
                        EXPLOSION, name, f"it gained {count} series, and had {self._before[name]} before", now
                    )
        if now - self._window >= WINDOW_S:
            yield from self._next_window(now)

    @property
    def is_growing(self) -> bool:
        """Return whether an explosion was said to begin and not yet to end."""
        return bool(self._open)

    def forgotten(self, share: float) -> None:
        """Note that a share of all series was forgotten."""
        self._before = Counter({name: round(count * (1 - share)) for name, count in self._before.items()})

    def _begins(self, kind: str, name: _Metric, what: str, now: float) -> Iterator[Explosion]:
        if (kind, name) in self._open or (kind == CAP and any(open_kind == CAP for open_kind, _ in self._open)):
            return
        values = self._values.get(name, {})
        label = max(values, key=lambda key: len(values[key]), default="")
        by = f"by label {label!r}, of which {len(values[label])} values were seen" if label else "and has no labels"
        text = f"{name.metric} of {name.service}: {what} within {WINDOW_S / 60:.0f} min, {by}. Drop that label where it is sent"
        explosion = self._open[kind, name] = Explosion(kind, name.service, name.metric, label, text, now)
        yield explosion

    def _next_window(self, now: float) -> Iterator[Explosion]:
        grew = {(EXPLOSION, name) for name, count in self._new.items() if count >= self._threshold}
        grew |= {(CAP, name) for name in self._refused}
        capped = bool(self._refused)
        for place, explosion in list(self._open.items()):
            if place not in grew and not (explosion.name == CAP and capped):
                del self._open[place]
                yield explosion._replace(ends_s=now)
        self._before.update(self._new)
        if len(self._before) > _MOST_METRICS:
            self._before = Counter(dict(self._before.most_common(_MOST_METRICS)))
        self._new, self._refused, self._values = Counter(), Counter(), {}
        self._window = now

    def _sample(self, name: _Metric, key: SeriesKey) -> None:
        if name not in self._values and len(self._values) >= _MOST_SAMPLED:
            return
        values = self._values.setdefault(name, defaultdict(set))
        for label, text in key.labels:
            if len(values[label]) < _MOST_VALUES:
                values[label].add(text)
