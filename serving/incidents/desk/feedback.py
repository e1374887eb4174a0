"""A verdict takes effect: one transaction of the store, then labels in the lake; before that, what it would have changed.

A crash between store and lake loses nothing: `reconcile` writes the labels that the stored verdicts ask for, under keys that
make a repeat harmless.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from aiops.incidents.feedback.facts import Finding, Judged, newest
from aiops.incidents.feedback.lessons import Lessons, Series, lessons
from aiops.incidents.feedback.verdict_effects import Past, VerdictEffect, VerdictPreview, effect_of, preview_of
from aiops.incidents.verdict import Verdict
from data_contracts.series.metric_texts import metric_texts
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.incident_facts import NAN, facts_between, judged_of
from serving.incidents.desk.verdict_labels import write_labels
from serving.incidents.store.incident_store import IncidentStore
from serving.lake.port import Lake

THRESHOLDS: Final = "thresholds"
PRIORS: Final = "priors"
PAIRS: Final = "pairs"
"""Notes of the store: what verdicts teach."""
_COLUMNS: Final = ("detection_id", "service", "metric", "labels", "score")


def lessons_in_force(store: IncidentStore) -> Lessons:
    """Return what the verdicts so far teach."""
    thresholds = {(service, metric): least for service, metric, least in store.noted(THRESHOLDS) or ()}
    pairs = {(first, second): (together, apart) for first, second, together, apart in store.noted(PAIRS) or ()}
    return Lessons(thresholds, priors_in_force(store), pairs)


def priors_in_force(store: IncidentStore) -> Mapping[str, float]:
    """Return the log odds that root causes start with, by service."""
    return dict(store.noted(PRIORS) or {})


def preview(store: IncidentStore, lake: Lake, verdict: Verdict, now: datetime, days: int = 7) -> VerdictPreview:
    """Return what a verdict would change, and would have changed in the last days; nothing is written."""
    judged, before, after = _with(store, verdict, store.verdicts())
    since = now - timedelta(days=days)
    findings = _findings(lake, since, now, _moved(before, after))
    past = Past(since, now, findings, facts_between(store, since, now))
    return preview_of(effect_of(judged, before, after), before, after, past)


def apply(store: IncidentStore, desk: Desk, lake: Lake, verdict: Verdict) -> VerdictEffect:
    """Store a verdict with all that it teaches, then write its labels; a later one on the same incident takes its place.

    All judged incidents are read before the desk is held up, and again only where another verdict was faster.
    """
    given = store.verdicts()
    judged, before, after = _with(store, verdict, given)
    with desk.transaction(verdict.given_at) as transaction:
        faster = store.verdicts()
        if faster != given:
            judged, before, after = _with(store, verdict, faster)
        effect = effect_of(judged, before, after)
        transaction.writer.put_verdict(verdict)
        transaction.writer.note(THRESHOLDS, [[*series, least] for series, least in after.thresholds.items()])
        transaction.writer.note(PRIORS, dict(after.priors))
        transaction.writer.note(PAIRS, [[*pair, *words] for pair, words in after.pairs.items()])
        transaction.correlator.retaught(after.pairs)
        transaction.act(verdict.given_at, verdict.by, "verdict", verdict.incident_id, _detail(verdict, effect))
        detail = {"kind": str(verdict.kind), "by": verdict.by}
        transaction.writer.event(verdict.given_at, "verdict", verdict.incident_id, detail)
    write_labels(lake, [judged])
    return effect


def reconcile(store: IncidentStore, lake: Lake) -> int:
    """Write the labels that stored verdicts ask for where the lake has others or none; return for how many incidents."""
    return write_labels(lake, judged_of(store, newest(store.verdicts())))


def _with(store: IncidentStore, verdict: Verdict, given: Iterable[Verdict]) -> tuple[Judged, Lessons, Lessons]:
    """Return the verdict with its incident, the lessons in force, and those of all that were given with it."""
    all_newest = newest((*given, verdict))
    judged = judged_of(store, all_newest)
    own = next(incident for incident in judged if incident.verdict.incident_id == verdict.incident_id)
    return own, lessons_in_force(store), lessons(judged)


def _findings(lake: Lake, since: datetime, until: datetime, series: set[Series]) -> tuple[Finding, ...]:
    """Return the anomalous detections of some series; a later revision is the same one again."""
    if not series:
        return ()
    rows = lake.read("detections", since, until, [*_COLUMNS, "anomalous"])
    loud = rows.filter(rows["anomalous"])
    columns: list[list[Any]] = [loud[name].to_pylist() for name in ("detection_id", "service", "score")]
    findings: dict[str, Finding] = {}
    for detection_id, service, score, metric in zip(*columns, metric_texts(loud), strict=True):
        if (service, metric) in series:
            findings.setdefault(detection_id, Finding(detection_id, service, metric, NAN if score is None else score))
    return tuple(findings.values())


def _moved(before: Lessons, after: Lessons) -> set[Series]:
    return {series for series, _ in set(before.thresholds.items()) ^ set(after.thresholds.items())}


def _detail(verdict: Verdict, effect: VerdictEffect) -> dict[str, Any]:
    statement = {"kind": str(verdict.kind), "right_cause": verdict.right_cause, "duplicate_of": verdict.duplicate_of}
    counts = {name: len(getattr(effect, name)) for name in (THRESHOLDS, PRIORS, PAIRS)}
    return {"verdict_id": verdict.verdict_id, **statement, "unrelated": list(verdict.unrelated), "note": verdict.note, **counts}
