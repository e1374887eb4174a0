"""Labels that a verdict gives: an incident of a service, or detections that were right or false."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aiops.incidents.feedback.facts import Judged
from aiops.incidents.verdict import VerdictKind

KIND: Final = "verdict"
"""Of incident labels that come from verdicts."""
EARLIEST_ONSET: Final = timedelta(hours=2)
"""How long before its first alert an incident may have begun to build up."""
SHORTEST: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class IncidentLabel:
    """A row of `schemas.INCIDENTS`: the root service, its onset, when users met it, its end, when that became known."""

    incident_id: str
    """id of the incident"""
    service: str
    """its root service"""
    kind: str
    """where the label comes from: verdict"""
    onset_at: datetime
    """when it began at the root, at most two hours before the first alert"""
    starts_at: datetime
    """when the incident opened"""
    ends_at: datetime
    """when it ended"""
    known_at: datetime
    """when the verdict was given"""


def label_of(judged: Judged) -> IncidentLabel | None:
    """Return the incident label of a verdict; None for a false alarm (there was none) and a duplicate (the other one has it).

    The onset is that of the root cause where the analysis found one, at most two hours before the first alert.
    """
    if not judged.real:
        return None
    facts, root = judged.facts, judged.root
    onsets = [cause.onset for cause in facts.causes if cause.service == root and cause.onset is not None]
    onset = max(min([facts.opened_at, *onsets]), facts.opened_at - EARLIEST_ONSET)
    ends = max(facts.ended_at, facts.opened_at + SHORTEST)
    return IncidentLabel(facts.incident_id, root, KIND, onset, facts.opened_at, ends, judged.verdict.given_at)


def detections_of(judged: Judged) -> Mapping[str, bool]:
    """Return detection id → right. A duplicate says nothing of them, nor does any verdict of unrelated services' ones."""
    verdict = judged.verdict
    if verdict.kind is VerdictKind.DUPLICATE:
        return {}
    related = [finding for finding in judged.facts.findings if not judged.real or finding.service not in verdict.unrelated]
    return {finding.detection_id: judged.real for finding in related}
