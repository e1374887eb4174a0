"""Patterns of requests now against those while all was well: which are new, missing, or more or less frequent than before.

Of each pattern of a service's operation the share of requests that show it is compared by a likelihood ratio (Wilks 1938;
Dunning 1993). Shares wander from minute to minute with what users ask for, so counts are overdispersed: a minute of n requests
says as much as n / (1 + (n - 1) r) independent ones (Williams 1982); r is estimated of each pattern from the minutes of the
reference by moments, pulled to a prior, without the strangest minute where there are enough.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from aiops.signals.requests import Pattern, Requests
from aiops.types import FloatArray, IntArray

LEFT_OUT: Final = -1
WINDOW: Final = 0
"""Parts that a request may be in: neither, the window, or from 1 on a minute of the reference."""


@dataclass(frozen=True, slots=True)
class NoveltyConfig:
    """`correlation` r of requests within a minute before anything is known, which counts as `prior_minutes`.

    Where a pattern has at least `trimmed_from` minutes, the one farthest from all is left out.
    """

    correlation: float = 0.2
    prior_minutes: float = 3.0
    trimmed_from: int = 4


@dataclass(frozen=True, slots=True, eq=False)
class Novelties:
    """Patterns (n,) of operations that were called both then and now: codes, shares of requests that showed the pattern, number
    of requests, and `z` = square root of twice the log likelihood ratio, in standard deviations, never below 0.

    `weighed` is z where all requests changed, and less where few did, by the fourth root of their share: a fault changes most
    requests of its operation, while a template that holds a value is new for some.
    """

    service: IntArray
    operation: IntArray
    pattern: IntArray
    share_now: FloatArray
    share_then: FloatArray
    requests_now: IntArray
    z: FloatArray

    @property
    def weighed(self) -> FloatArray:
        """Return z (n,) weighed by how many requests changed."""
        weighed: FloatArray = self.z * weight_of(self.share_now - self.share_then)
        return weighed

    def strongest(self, service: int) -> int | None:
        """Return the row of a service's strangest pattern; None where it has none."""
        rows = np.flatnonzero(self.service == service)
        return int(rows[np.argmax(self.weighed[rows])]) if rows.size else None


@dataclass(frozen=True, slots=True, eq=False)
class PatternShares:
    """Requests that showed a pattern, and all of the operation, by pattern and part (n, parts); the first part is the window."""

    showing: FloatArray
    all_of_them: FloatArray


def novelties_of(requests: Requests, part: IntArray, config: NoveltyConfig | None = None) -> Novelties:
    """Return how the window's patterns differ from the reference's. `part` (requests,): LEFT_OUT, WINDOW or a minute from 1 on.

    O(patterns x minutes).
    """
    chosen = config or NoveltyConfig()
    operations, group = np.unique(requests.service << 32 | requests.operation, return_inverse=True)
    parts = int(part.max(initial=0)) + 1
    kept = part >= 0
    total = np.bincount(group[kept] * parts + part[kept], minlength=len(operations) * parts).reshape(-1, parts)
    whose = requests.shown_by
    rows = part[whose] >= 0
    many = max(1, len(requests.patterns))
    pairs, pair = np.unique(group[whose[rows]] * many + requests.shown[rows], return_inverse=True)
    showing = np.bincount(pair * parts + part[whose[rows]], minlength=len(pairs) * parts).reshape(-1, parts).astype(np.float64)
    of, pattern = pairs // many, pairs % many
    both = (total[of, WINDOW] > 0) & (total[of, 1:].sum(axis=1) > 0) if parts > 1 else np.zeros(len(pairs), np.bool_)
    of, pattern, shares = of[both], pattern[both], PatternShares(showing[both], total[of[both]].astype(np.float64))
    then, z = compared(shares, chosen)
    now = np.divide(
        shares.showing[:, WINDOW], shares.all_of_them[:, WINDOW], out=np.zeros(len(of)), where=shares.all_of_them[:, 0] > 0
    )
    codes = operations[of]
    return Novelties(codes >> 32, codes & 0xFFFFFFFF, pattern, now, then, total[of, WINDOW], z)


def weight_of(difference: FloatArray) -> FloatArray:
    """Return what a difference of shares (n,) weighs, 0 to 1."""
    weight: FloatArray = np.abs(difference) ** 0.25
    return weight


def compared(shares: PatternShares, config: NoveltyConfig) -> tuple[FloatArray, FloatArray]:
    """Return the reference's share and z (n,) of each pattern. O(n parts)."""
    showing, counted = shares.showing[:, 1:], shares.all_of_them[:, 1:]
    counted = np.where(_strangest(showing, counted, config), 0.0, counted)
    showing = np.where(counted > 0, showing, 0.0)
    then = showing.sum(axis=1) / np.maximum(counted.sum(axis=1), 1.0)
    correlation = _correlation(showing, counted, then, config)
    now_all = shares.all_of_them[:, WINDOW]
    now = shares.showing[:, WINDOW] / np.maximum(now_all, 1.0)
    ratio = _ratio(now, _effective(now_all, correlation), then, _effective(counted, correlation[:, None]).sum(axis=1))
    return then, np.sqrt(np.maximum(0.0, 2.0 * ratio))


def _strangest(showing: FloatArray, counted: FloatArray, config: NoveltyConfig) -> "np.typing.NDArray[np.bool_]":
    """Return which minute (n, minutes) of each pattern is left out: the farthest from all, where there are enough."""
    share = showing.sum(axis=1, keepdims=True) / np.maximum(counted.sum(axis=1, keepdims=True), 1.0)
    away = np.abs(showing - share * counted) / np.sqrt(np.maximum(counted, 1.0))
    out = np.zeros(showing.shape, np.bool_)
    if showing.shape[1]:
        enough = np.flatnonzero((counted > 0).sum(axis=1) >= config.trimmed_from)
        out[enough, np.argmax(away[enough], axis=1)] = True
    return out


def _correlation(showing: FloatArray, counted: FloatArray, share: FloatArray, config: NoveltyConfig) -> FloatArray:
    """Return the correlation (n,) of requests within a minute: by moments, pulled to the prior."""
    minutes = (counted > 0).sum(axis=1)
    spread = np.maximum(share * (1.0 - share), 1e-12)
    away = np.where(counted > 0, (showing - share[:, None] * counted) ** 2 / np.maximum(counted, 1.0), 0.0).sum(axis=1)
    total = np.maximum(counted.sum(axis=1), 1.0)
    size = np.maximum(total - (counted**2).sum(axis=1) / total, 1e-9)
    by_moments = np.clip((away / spread - (minutes - 1)) / size, 0.0, 1.0)
    weight = np.where((share > 0) & (share < 1), np.maximum(minutes - 1, 0), 0)
    pulled: FloatArray = (config.prior_minutes * config.correlation + weight * by_moments) / (config.prior_minutes + weight)
    return pulled


def _effective(count: FloatArray, correlation: FloatArray) -> FloatArray:
    independent: FloatArray = np.where(count > 0, count / (1.0 + np.maximum(count - 1.0, 0.0) * correlation), 0.0)
    return independent


def _ratio(now: FloatArray, now_all: FloatArray, then: FloatArray, then_all: FloatArray) -> FloatArray:
    """Return the log likelihood ratio (n,) of two shares against one."""
    both = (now * now_all + then * then_all) / np.maximum(now_all + then_all, 1e-12)
    gain: FloatArray = now_all * (_entropy(now, now) - _entropy(now, both)) + then_all * (
        _entropy(then, then) - _entropy(then, both)
    )
    return gain


def _entropy(share: FloatArray, expected: FloatArray) -> FloatArray:
    tiny = 1e-12
    expected = np.clip(expected, tiny, 1.0 - tiny)
    gain: FloatArray = share * np.log(expected) + (1.0 - share) * np.log1p(-expected)
    return gain


def pattern_of(requests: Requests, novelties: Novelties, row: int) -> Pattern:
    """Return the pattern of a row."""
    return requests.patterns[int(novelties.pattern[row])]
