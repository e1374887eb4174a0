"""Verdicts → thresholds of series, priors of root causes, pairs of services. Pure folds over the newest verdict on each incident.

Nothing is counted up: all is made anew from the verdicts that are kept, so a correction takes back what it replaces, the order
does not matter, and what is learned fades when the store forgets the incident (`responder.retention_days`).
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiops.incidents.feedback.facts import Finding, Judged
from aiops.incidents.verdict import VerdictKind

LEAST_THRESHOLD: Final = 0.5
MOST_THRESHOLD: Final = 0.95
THRESHOLD_STEP: Final = 0.05
MOST_PRIOR: Final = 1.5
"""Log odds: a factor of 4.5."""
PRIOR_WEIGHT: Final = 4.0
"""Verdicts that no prior at all is worth, on either side."""
Series = tuple[str, str]
Pair = tuple[str, str]
Votes = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Lessons:
    """What all verdicts together teach.

    `thresholds`: by (service, metric), the least score at which a detection becomes an alert, (0.5, 0.95]; a series that is not
    there has none. `priors`: log odds by service, -1.5..1.5. `pairs`: how often people said together, and apart.
    """

    thresholds: Mapping[Series, float] = field(default_factory=dict)
    priors: Mapping[str, float] = field(default_factory=dict)
    pairs: Mapping[Pair, Votes] = field(default_factory=dict)

    def raises_alert(self, finding: Finding) -> bool:
        """Return whether a detection becomes an alert; one of unknown score always does."""
        return not finding.score < self.thresholds.get(finding.series, 0.0)


def lessons(judged: Iterable[Judged]) -> Lessons:
    """Return what verdicts teach, one an incident; O(findings)."""
    known = sorted(judged, key=lambda incident: incident.facts.incident_id)
    return Lessons(thresholds(known), priors(known), pairs(known))


def thresholds(judged: Iterable[Judged]) -> dict[Series, float]:
    """Return the thresholds above 0.5, by (service, metric).

    Each incident that was a false alarm raises its series by 0.05, each real one lowers them; never above the highest score that
    a series reached in each of its real incidents, so that none of them would have been lost.
    """
    balance: Counter[Series] = Counter()
    needed: dict[Series, float] = {}
    for incident in judged:
        best = _best(incident.facts.findings)
        if incident.verdict.kind is VerdictKind.FALSE_ALARM:
            balance.update(best.keys())
        elif incident.real:
            related = {series: score for series, score in best.items() if series[0] not in incident.verdict.unrelated}
            balance.subtract(related.keys())
            for series, score in related.items():
                needed[series] = min(needed.get(series, math.inf), score)
    raised = {}
    for series, net in sorted(balance.items()):
        wanted = min(round(LEAST_THRESHOLD + THRESHOLD_STEP * net, 4), MOST_THRESHOLD, needed.get(series, math.inf))
        if wanted > LEAST_THRESHOLD:
            raised[series] = wanted
    return raised


def priors(judged: Iterable[Judged]) -> dict[str, float]:
    """Return log odds by service: log((right + 4) / (wrongly blamed + 4)) within ±1.5, so few verdicts say little.

    A true incident confirms a cause that was named as decided; a wrong cause speaks for the right one and against the first.
    """
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for incident in judged:
        first = incident.facts.causes[0].service if incident.facts.causes else ""
        if incident.verdict.kind is VerdictKind.WRONG_CAUSE:
            right[incident.verdict.right_cause] += 1
            wrong[first] += bool(first) and first != incident.verdict.right_cause
        elif incident.verdict.kind is VerdictKind.TRUE and first and incident.facts.decided:
            right[first] += 1
    log_odds = {}
    for service in sorted({*right, *wrong} - {""}):
        odds = math.log((right[service] + PRIOR_WEIGHT) / (wrong[service] + PRIOR_WEIGHT))
        if odds:
            log_odds[service] = max(-MOST_PRIOR, min(MOST_PRIOR, odds))
    return log_odds


def pairs(judged: Iterable[Judged]) -> dict[Pair, Votes]:
    """Return how often two services were said to belong together and apart.

    A duplicate: where both incidents began belongs together. Unrelated services do not belong where their incident began.
    """
    together: Counter[Pair] = Counter()
    apart: Counter[Pair] = Counter()
    for incident in judged:
        anchor = incident.facts.anchor
        if incident.verdict.kind is VerdictKind.DUPLICATE and incident.other_anchor not in ("", anchor):
            together[_pair(anchor, incident.other_anchor)] += 1
        elif incident.real:
            apart.update(_pair(anchor, other) for other in {*incident.verdict.unrelated} - {anchor})
    return {pair: (together[pair], apart[pair]) for pair in sorted({*together, *apart})}


def _best(findings: Iterable[Finding]) -> dict[Series, float]:
    """Return the highest known score of each series; those of unknown score teach nothing."""
    best: dict[Series, float] = {}
    for finding in findings:
        if not math.isnan(finding.score):
            best[finding.series] = max(finding.score, best.get(finding.series, 0.0))
    return best


def _pair(service: str, other: str) -> Pair:
    return (service, other) if service < other else (other, service)
