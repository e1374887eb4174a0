"""Causes in plain words: what strayed, how far, since when, on which way to the symptom, after which change."""

from typing import Final

import numpy as np

from aiops.incidents.root_cause import CauseEvidence, ChangeEvent, RootCause
from aiops.signals.signal_sentences import sentence_of
from data_contracts.values.moments import moment_of_us
from models.rca.change_evidence import ChangeConfig
from models.rca.metric_levels import levels_of
from models.rca.metric_text import amount, kind_words, words_of
from models.rca.ranking import Evidence
from models.rca.weighing import Frame

MOST_CHANGES: Final = 3
_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def cause_of(frame: Frame, place: int, probability: float, score: float, config: ChangeConfig) -> RootCause:
    """Return a candidate as people read it; `score` = what speaks for it in log odds before its prior."""
    service = frame.services[place]
    evidence = tuple(_evidence_text(frame, service, evidence_item) for evidence_item in frame.evidence_of(service))
    path = frame.ways.path(service) if frame.symptom else ()
    changes = frame.changed_before(place, config)[:MOST_CHANGES]
    parts = [_strongest(frame, place, evidence), *_path(path), *(_change(change) for change in changes[:1])]
    return RootCause(
        service=service,
        probability=probability,
        sentence=f"{service}: {'; '.join(parts)}",
        score=score,
        onset=frame.onset_at(place),
        path=path,
        evidence=evidence,
        changes=changes,
        levels=levels_of(frame.window, frame.ranker.baseline, service),
    )


def _evidence_text(frame: Frame, service: str, evidence: Evidence) -> CauseEvidence:
    """Return evidence in the metric's own units: what adds up along calls is shown as it was measured."""
    seen, baseline = evidence.seen, evidence.baseline
    raw = frame.measured.get((service, evidence.metric))
    level = frame.ranker.baseline.get((service, evidence.metric))
    if raw is not None and level is not None:
        known = frame.window.values[:, raw]
        worst = np.nanmin if evidence.seen < evidence.baseline else np.nanmax
        seen, baseline = (float(worst(known)) if np.isfinite(known).any() else seen), level
    signal = sentence_of(evidence.metric, seen, baseline, frame.texts.get((service, evidence.metric)))
    measured = (
        signal or f"{words_of(evidence.metric)} {amount(evidence.metric, seen)}, usually {amount(evidence.metric, baseline)}"
    )
    return CauseEvidence(
        kind_words(evidence.kind),
        evidence.metric,
        seen,
        baseline,
        evidence.excess,
        evidence.score,
        moment_of_us(evidence.since_us),
        evidence.words or measured,
    )


def _strongest(frame: Frame, place: int, evidence: tuple[CauseEvidence, ...]) -> str:
    if not evidence:
        measured = frame.services[place] in frame.ranked
        return "nothing unusual is measured" if measured else "nothing is measured of it"
    since = frame.onset_at(place)
    if since is None:
        return f"{evidence[0].text}, little beyond its recent range"
    edge = frame.timing.onset[place] == 0
    return f"{evidence[0].text}, {'since before' if edge else 'since'} {since:%H:%M}{_before_symptom(frame, place)}"


def _before_symptom(frame: Frame, place: int) -> str:
    """Return how much earlier a candidate strayed than the symptom; "" where that is unknown or the symptom is itself."""
    service, symptom = frame.services[place], frame.symptom
    if not symptom or service == symptom:
        return ""
    onset, symptom_onset = frame.onset_at(place), frame.symptom_onset
    if onset is None or symptom_onset is None:
        return ""
    gap_s = round((symptom_onset - onset).total_seconds())
    if not gap_s:
        return f", when the symptom began at {symptom}"
    return f", {span(abs(gap_s))} {'before' if gap_s > 0 else 'after'} the symptom at {symptom}"


def span(seconds: int) -> str:
    """Return a length of time in words.

    >>> span(60), span(120), span(90)
    ('one minute', 'two minutes', '90 seconds')
    """
    count, unit = (seconds // 60, "minute") if seconds % 60 == 0 else (seconds, "second")
    word = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    return f"{word} {unit}" if count == 1 else f"{word} {unit}s"


def _path(path: tuple[str, ...]) -> list[str]:
    return [f"path {' → '.join(path)}"] if len(path) > 1 else []


def _change(change: ChangeEvent) -> str:
    done = "deployed" if change.kind == "deployment" else f"{change.kind} changed" if change.kind == "config" else change.kind
    return f"{done} at {change.at:%H:%M}" + (f" ({change.what})" if change.what else "")
