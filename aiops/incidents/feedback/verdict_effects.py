"""What one verdict changes, and what it would have changed in the past days, in words and numbers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from aiops.incidents.feedback.facts import Finding, IncidentFacts, Judged
from aiops.incidents.feedback.lessons import LEAST_THRESHOLD, Lessons
from aiops.incidents.feedback.verdict_labels import IncidentLabel, detections_of, label_of
from aiops.incidents.root_cause import RootCause

MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Change:
    """A number that moves: a threshold of service|metric, or the log odds of a service."""

    name: str
    """service|metric of a threshold, or the service of a prior"""
    before: float
    """without the verdict: a score 0.5..0.95, or log odds"""
    after: float
    """with the verdict, same unit"""


@dataclass(frozen=True, slots=True)
class PairChange:
    """What people said of two services: times together, times apart."""

    one: str
    """the first service, by name"""
    other: str
    """the second"""
    before: tuple[int, int]
    """without the verdict: times said to belong together, times apart"""
    after: tuple[int, int]
    """with the verdict, likewise"""


@dataclass(frozen=True, slots=True)
class VerdictEffect:
    """What a verdict changes. `label` None = no incident label; `detections`: how many are labelled, all `right` or all not."""

    verdict_id: str
    """id of the verdict"""
    incident_id: str
    """id of the incident"""
    label: IncidentLabel | None
    """the label that training gets; null = no incident label"""
    detections: int
    """detections that are labelled"""
    right: bool
    """whether they are labelled right; false = false alarms, or none is labelled"""
    thresholds: tuple[Change, ...]
    """least scores of series that move"""
    priors: tuple[Change, ...]
    """log odds of services as root causes that move"""
    pairs: tuple[PairChange, ...]
    """pairs of services of which the count moves"""


@dataclass(frozen=True, slots=True)
class RankingChange:
    """An analysis whose first cause would be another one."""

    incident_id: str
    """id of the incident"""
    before: str
    """the first cause as it was"""
    after: str
    """the first cause as it would be"""


@dataclass(frozen=True, slots=True)
class Past:
    """What happened in [since, until): anomalous detections of the series concerned, and incidents."""

    since: datetime
    until: datetime
    findings: tuple[Finding, ...]
    incidents: tuple[IncidentFacts, ...]


@dataclass(frozen=True, slots=True)
class VerdictPreview:
    """What a verdict would have changed in the past: `sentences` say all of it in words."""

    effect: VerdictEffect
    """what the verdict changes now"""
    since: datetime
    """begin of the past looked at"""
    until: datetime
    """end of the past looked at (exclusive)"""
    alerts_dropped: int
    """detections that would not have become alerts"""
    alerts_added: int
    """detections that would have become alerts as well"""
    unopened: tuple[str, ...]
    """ids of incidents that would not have opened"""
    pages_spared: int
    """those of them that paged somebody"""
    rankings: tuple[RankingChange, ...]
    """analyses whose first cause would be another"""
    sentences: tuple[str, ...]
    """all of it in words"""


def effect_of(judged: Judged, before: Lessons, after: Lessons) -> VerdictEffect:
    """Return what changes between the lessons without and with a verdict."""
    detections = detections_of(judged)
    pairs = sorted({*before.pairs, *after.pairs})
    moved = [PairChange(*pair, before.pairs.get(pair, (0, 0)), after.pairs.get(pair, (0, 0))) for pair in pairs]
    return VerdictEffect(
        judged.verdict.verdict_id,
        judged.facts.incident_id,
        label_of(judged),
        len(detections),
        any(detections.values()),
        _moved(_by_text(before.thresholds), _by_text(after.thresholds), LEAST_THRESHOLD),
        _moved(before.priors, after.priors, 0.0),
        tuple(change for change in moved if change.before != change.after),
    )


def preview_of(effect: VerdictEffect, before: Lessons, after: Lessons, past: Past) -> VerdictPreview:
    """Return what the lessons `after` would have changed in the past, compared with those in force.

    An incident would not have opened where no alert of it is left. Stored rankings are those of cause score + prior.
    """
    dropped = sum(before.raises_alert(finding) and not after.raises_alert(finding) for finding in past.findings)
    added = sum(after.raises_alert(finding) and not before.raises_alert(finding) for finding in past.findings)
    silent = [incident for incident in past.incidents if _opens(incident, before) and not _opens(incident, after)]
    reranked = (_reranked(incident, before.priors, after.priors) for incident in past.incidents)
    rankings = tuple(change for change in reranked if change is not None)
    unopened, spared = tuple(incident.incident_id for incident in silent), sum(incident.paged for incident in silent)
    days = (past.until - past.since).total_seconds() / 86_400
    sentences = (
        _label_text(effect),
        _threshold_text(effect),
        f"In the last {days:g} days {_many(dropped, 'alert')} would not have been raised, {added} more would have.",
        f"{_many(len(unopened), 'incident')} would not have opened, which spares {_many(spared, 'page')}{_named(unopened)}.",
        *_prior_texts(effect, rankings),
        *(_pair_text(change) for change in effect.pairs),
    )
    return VerdictPreview(effect, past.since, past.until, dropped, added, unopened, spared, rankings, sentences)


def first_cause(causes: Iterable[RootCause], priors: Mapping[str, float]) -> str:
    """Return the service that ranks first with priors added to the causes' scores; of equal ones the earlier; "" of none."""
    ranked = sorted(causes, key=lambda cause: -(cause.score + priors.get(cause.service, 0.0)))
    return ranked[0].service if ranked else ""


def _opens(facts: IncidentFacts, lessons: Lessons) -> bool:
    return facts.others > 0 or any(lessons.raises_alert(finding) for finding in facts.findings)


def _reranked(facts: IncidentFacts, before: Mapping[str, float], after: Mapping[str, float]) -> RankingChange | None:
    was, will = first_cause(facts.causes, before), first_cause(facts.causes, after)
    return None if was == will else RankingChange(facts.incident_id, was, will)


def _by_text(thresholds: Mapping[tuple[str, str], float]) -> dict[str, float]:
    return {"|".join(series): least for series, least in thresholds.items()}


def _moved(before: Mapping[str, float], after: Mapping[str, float], default: float) -> tuple[Change, ...]:
    names = sorted({*before, *after})
    changes = [Change(name, before.get(name, default), after.get(name, default)) for name in names]
    return tuple(change for change in changes if change.before != change.after)


def _many(count: int, singular: str, plural: str = "") -> str:
    return f"{count} {singular if count == 1 else plural or singular + 's'}"


def _named(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return f": {', '.join(names[:MOST_NAMED])}{more}" if names else ""


def _label_text(effect: VerdictEffect) -> str:
    detections = f"{_many(effect.detections, 'detection')} labelled {'right' if effect.right else 'false alarms'}"
    if effect.label is None:
        return f"No incident label; {detections if effect.detections else 'no detection is labelled'}."
    label = effect.label
    span = f"{label.onset_at:%Y-%m-%d %H:%M} to {label.ends_at:%Y-%m-%d %H:%M}"
    return f"Training sees an incident of {label.service} from {span} UTC; {detections}."


def _threshold_text(effect: VerdictEffect) -> str:
    if not effect.thresholds:
        return "No series' threshold moves."
    moves = tuple(f"{change.name} {change.before:.2f} → {change.after:.2f}" for change in effect.thresholds)
    return f"Least scores that alert change for {len(moves)} series{_named(moves)}."


def _prior_texts(effect: VerdictEffect, rankings: tuple[RankingChange, ...]) -> Iterable[str]:
    for change in effect.priors:
        yield f"As a root cause {change.name} starts with log odds {change.after:+.2f} instead of {change.before:+.2f}."
    if effect.priors:
        changes = tuple(f"{ranking.incident_id} {ranking.before} → {ranking.after}" for ranking in rankings)
        number = _many(len(rankings), "stored analysis", "stored analyses")
        yield f"{number} would have named another first cause{_named(changes)}."


def _pair_text(change: PairChange) -> str:
    (yes, no), word = change.after, "belong together"
    word = word if yes > no else "do not belong together" if no > yes else "are judged by the call graph alone"
    return f"Alerts of {change.one} and {change.other} {word}."
