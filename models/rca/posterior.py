"""From evidence to probabilities: first whether it is one of these services at all, then which.

The log odds of a service are a weighted sum of what speaks for it, plus its prior from past verdicts; services share one
exponential normalisation (McFadden 1974, "Conditional logit analysis"). Whether it is none of them is a logit of its own, for an
alarm without a cause can look strong: of how the alarm went (`models/rca/alarm_course.py`) and of what requests show, or, where
nothing alerted, of the strongest evidence alone. Weights are fitted by `models/rca/posterior_fit.py`.
"""

from collections.abc import Collection, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Final, Literal

import numpy as np

from aiops.types import FloatArray, IntArray

EvidenceKind = Literal["metrics", "timing", "surge", "changes", "position", "alerts", "order", "own time", "network"]
FEATURES_OF: Final[Mapping[EvidenceKind, tuple[str, ...]]] = {
    "metrics": ("magnitude",),
    "timing": ("early", "unexplained", "lead"),
    "surge": ("surge",),
    "changes": ("changed",),
    "position": ("covers",),
    "alerts": ("alerted",),
    "order": ("order",),
    "own time": ("own_time",),
    "network": ("network",),
}
"""Kinds of evidence that can be switched off, and the features that each is."""


@dataclass(frozen=True, slots=True, eq=False)
class CauseFeatures:
    """What speaks for each candidate (n,), higher = more likely the cause.

    `magnitude`: the ranker's score, all kinds of evidence together. `early`: -log(1 + steps after the first onset).
    `unexplained`: -share that callees explain.
    `lead`: correlation with the symptom at a lag at which it leads. `changed`: log odds of its changes. `covers`: share of the
    alerted services that call it. `alerted`: 1 = alerted first, or at the same time.
    `surge`: log(1 + excess) of traffic beyond that of its callers. `order`: log likelihood ratio of the strangest pattern of its
    requests. `own_time`, `network`: log(1 + excess) of its requests' own time, and of the gaps between both ends of its calls.
    `prior`: log odds from past verdicts.
    """

    magnitude: FloatArray
    early: FloatArray
    unexplained: FloatArray
    lead: FloatArray
    changed: FloatArray
    covers: FloatArray
    alerted: FloatArray
    surge: FloatArray
    order: FloatArray
    own_time: FloatArray
    network: FloatArray
    prior: FloatArray

    @property
    def strongest(self) -> float:
        """Return the most that speaks against any candidate by itself."""
        return float((self.magnitude + self.order + self.own_time + self.network).max(initial=0.0))

    def without(self, kinds: Collection[EvidenceKind]) -> "CauseFeatures":
        """Return the features with those of some kinds of evidence unknown."""
        off = {name: np.zeros_like(self.prior) for kind in kinds for name in FEATURES_OF[kind]}
        return replace(self, **off)

    def matrix(self) -> FloatArray:
        """Return (n, weights) what is weighted; the prior is not."""
        weighted = (
            self.magnitude,
            self.early,
            self.unexplained,
            self.lead,
            self.changed,
            self.covers,
            self.alerted,
            self.surge,
            self.order,
            self.own_time,
            self.network,
        )
        return np.stack(weighted, axis=1)


@dataclass(frozen=True, slots=True)
class PosteriorWeights:
    """Weights of `CauseFeatures`, none below 0.

    Where nothing alerted, the log odds of "none of these" are `none` - `against_none` x the strongest.
    """

    magnitude: float = 0.5
    early: float = 0.5
    unexplained: float = 0.5
    lead: float = 0.5
    changed: float = 0.5
    covers: float = 0.5
    alerted: float = 0.5
    surge: float = 0.5
    order: float = 1.0
    own_time: float = 3.0
    network: float = 3.0
    none: float = 1.0
    against_none: float = 0.5

    def vector(self) -> FloatArray:
        """Return the weights in the order of `CauseFeatures.matrix`."""
        return np.array(astuple(self)[:-2])


FITTED: Final = PosteriorWeights(0.682, 0.607, 0.908, 1.819, 0.508, 2.198, 2.154, 1.325, 0.9, 2.7, 2.7, -0.729, 0.385)
"""Fitted by `aiops bench rca-calibration --refit` on its fit seeds, which have no requests: `order` is a log likelihood and
counts as it is; `own_time` and `network` were set on delays laid over requests without a fault. All of these times 0.9, which no
rank notices: with answers up to half an hour later first causes were surer than right on seeds 25 to 40."""


def log_odds(features: CauseFeatures, weights: PosteriorWeights = FITTED) -> FloatArray:
    """Return what speaks for each candidate (n,), without its prior."""
    odds: FloatArray = features.matrix() @ weights.vector()
    return odds


def shown_by_requests(features: CauseFeatures, weights: PosteriorWeights = FITTED) -> float:
    """Return the most that requests say against any candidate, log odds: it speaks against a false alarm as much."""
    shown = weights.order * features.order + weights.own_time * features.own_time + weights.network * features.network
    return float(shown.max(initial=0.0))


CROWD: Final = 30
"""Candidates, the likeliest, that count by themselves, as many as the weights were fitted with; the rest count as so many."""


def posterior(
    features: CauseFeatures, weights: PosteriorWeights = FITTED, nothing: float | None = None
) -> tuple[FloatArray, float]:
    """Return the probability (n,) of each candidate and of "none of these"; all together 1.

    `nothing`: log odds that nothing began; None = how the alarm went is unknown.
    """
    odds = log_odds(features, weights) + features.prior
    if not odds.size:
        return odds, 1.0
    odds = _crowd(odds)
    share = np.exp(odds - odds.max())
    level = weights.none - weights.against_none * features.strongest if nothing is None else nothing
    none = 1.0 / (1.0 + float(np.exp(-level)))
    return share / share.sum() * (1.0 - none), none


def _crowd(odds: FloatArray) -> FloatArray:
    """Return log odds (n,) with those beyond the CROWD likeliest lowered so that thousands of quiet services weigh no more."""
    rest = odds.size - CROWD
    if rest <= CROWD:
        return odds
    lowered: FloatArray = odds - np.log(rest / CROWD)
    likeliest = np.lexsort((np.arange(odds.size), -odds))[:CROWD]
    lowered[likeliest] = odds[likeliest]
    return lowered


def order_of(shares: FloatArray) -> IntArray:
    """Return the places (n,) of candidates, the most probable first, equal ones by name: the order that is shown and measured."""
    order: IntArray = np.lexsort((np.arange(len(shares)), -shares))
    return order
