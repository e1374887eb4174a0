"""Lines of one template that come all at once: how uneven a minute is, against how uneven its minutes are.

The fullest of a minute's `SLOTS` is compared with an even minute by a likelihood ratio (Wilks 1938; Dunning 1993). Lines come by
requests and batches, so counts are overdispersed: n lines say as much as n / (1 + (n - 1) r) independent ones (Williams 1982).
r is estimated of each template from its minutes by moments, and pulled to that of the service. What writes all its lines at once
in every minute has r = 1, and no burst. Of a minute beyond chance as much is learnt as chance would have given.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Final

import numpy as np

from aiops.signals.text_arrays import packed_texts, unpacked_texts
from aiops.types import FloatArray, IntArray, State

SLOTS: Final = 6
SLOT_US: Final = 10_000_000
_FALSE_PER_HOUR: Final = 0.5
_MINUTES_AN_HOUR: Final = 60
_LEARNED_MINUTES: Final = 60
"""Minutes of a template that its unevenness is an average of; later ones weigh as much as this many."""
_PRIOR_MINUTES: Final = 3.0
_LEAST_LINES: Final = 2


@dataclass(frozen=True, slots=True)
class Burst:
    """The template of a service that came most at once: z of its fullest slot, in units of what chance reaches now and then."""

    template: int
    ratio: float


@dataclass(slots=True)
class _Unevenness:
    """Means over minutes: by how much the slots vary more than chance, and lines less 1; their ratio is r."""

    minutes: int = 0
    excess: float = 0.0
    others: float = 0.0

    @property
    def correlation(self) -> float:
        """Return r, 0 to 1."""
        return min(1.0, max(0.0, self.excess / self.others)) if self.others > 0 else 0.0

    def learn(self, excess: float, others: float) -> None:
        """Take in a minute."""
        self.minutes += 1
        weight = 1.0 / min(self.minutes, _LEARNED_MINUTES)
        self.excess += weight * (excess - self.excess)
        self.others += weight * (others - self.others)


@dataclass(slots=True)
class _Service:
    """Of a service: all its templates together, and each, by id."""

    whole: _Unevenness = field(default_factory=_Unevenness)
    templates: dict[int, _Unevenness] = field(default_factory=dict)


class LineBursts:
    """Memory: some 150 B a service and template, those that `keep` names."""

    def __init__(self) -> None:
        self._services: dict[str, _Service] = {}

    def strongest(self, service: str, slots: Mapping[int, IntArray]) -> Burst | None:
        """Take in a minute of a service, lines by template and slot (`SLOTS`,).

        Returns its strongest burst; None where no template has enough lines for one.
        """
        state = self._services.setdefault(service, _Service())
        many = {template: counts for template, counts in slots.items() if counts.sum() >= _LEAST_LINES}
        chance = _chance(len(many) * SLOTS)
        before = state.whole.correlation
        strongest: Burst | None = None
        learned: list[FloatArray] = []
        for template in sorted(many):
            counts, own = many[template], state.templates.setdefault(template, _Unevenness())
            ratio = _z(counts, self._correlation(own, before)) / chance
            if strongest is None or ratio > strongest.ratio:
                strongest = Burst(template, ratio)
            learned.append(np.array([_excess(counts) / max(1.0, ratio) ** 2, counts.sum() - 1.0]))
            own.learn(*learned[-1].tolist())
        if learned:
            state.whole.learn(*np.mean(learned, axis=0).tolist())
        return strongest

    def keep(self, service: str, successors: Mapping[int, int]) -> None:
        """Hold these templates alone, under the ids that they lead to now; of merged ones the longer known goes on."""
        state = self._services.get(service)
        if state is None:
            return
        kept: dict[int, _Unevenness] = {}
        for template, own in state.templates.items():
            target = successors.get(template)
            if target is not None and (target not in kept or own.minutes > kept[target].minutes):
                kept[target] = own
        state.templates = kept
        if not kept:
            del self._services[service]

    def services(self) -> list[str]:
        """Return the services of which something is held."""
        return list(self._services)

    def templates(self, service: str) -> list[int]:
        """Return the templates that are held of a service."""
        state = self._services.get(service)
        return list(state.templates) if state else []

    @staticmethod
    def _correlation(own: _Unevenness, whole: float) -> float:
        weight = min(own.minutes, _LEARNED_MINUTES)
        return (_PRIOR_MINUTES * whole + weight * own.correlation) / (_PRIOR_MINUTES + weight)

    def state(self) -> State:
        """Return all that `restored` goes on from, as plain arrays."""
        names, numbers, means = [], [], []
        for name, service in self._services.items():
            names.append(name)
            for template, own in ((0, service.whole), *service.templates.items()):
                numbers.append((len(names) - 1, np.uint64(template).astype(np.int64), own.minutes))
                means.append((own.excess, own.others))
        data, offsets = packed_texts(names)
        arrays: dict[str, Any] = {
            "names": data,
            "offsets": offsets,
            "numbers": np.array(numbers, np.int64).reshape(-1, 3),
            "means": np.array(means, np.float64).reshape(-1, 2),
        }
        return arrays

    @classmethod
    def restored(cls, state: State) -> "LineBursts":
        """Return what was saved."""
        bursts = cls()
        names = unpacked_texts(state["names"], state["offsets"])
        bursts._services = {name: _Service() for name in names}
        for (number, template, minutes), (excess, others) in zip(state["numbers"].tolist(), state["means"].tolist(), strict=True):
            own, service = _Unevenness(minutes, excess, others), bursts._services[names[number]]
            if template:
                service.templates[template & 0xFFFFFFFFFFFFFFFF] = own
            else:
                service.whole = own
        return bursts


@lru_cache(maxsize=4096)
def _chance(compared: int) -> float:
    """Return the z that one of so many slots reaches by chance `_FALSE_PER_HOUR` times an hour."""
    return NormalDist().inv_cdf(1.0 - _FALSE_PER_HOUR / _MINUTES_AN_HOUR / max(1, compared))


def _excess(counts: IntArray) -> float:
    """Return by how much the slots vary more than chance, in units of it.

    >>> _excess(np.array([6, 0, 0, 0, 0, 0])), _excess(np.array([1, 1, 1, 1, 1, 1]))
    (5.0, -1.0)
    """
    even = counts.sum() / SLOTS
    return float(((counts - even) ** 2).sum() / even / (SLOTS - 1)) - 1.0


def _z(counts: IntArray, correlation: float) -> float:
    """Return how far the fullest slot is from an even minute, in standard deviations; 0 at least."""
    lines, fullest = int(counts.sum()), int(counts.max())
    share, even = fullest / lines, 1.0 / SLOTS
    gain = share * math.log(share / even)
    if share < 1.0:
        gain += (1.0 - share) * math.log((1.0 - share) / (1.0 - even))
    effective = lines / (1.0 + (lines - 1) * correlation)
    return math.sqrt(max(0.0, 2.0 * effective * gain))
