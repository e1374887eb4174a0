"""Causes in plain words: what strayed, how far, since when, on which way to the symptom, after which change."""

from datetime import datetime
from typing import Final

import numpy as np

from aiops.root_cause import CauseEvidence, ChangeEvent, RootCause
from data_contracts.metrics import spec_of
from models.rca.change_evidence import ChangeConfig
from models.rca.metric_words import amount, words_of
from models.rca.ranking import BEYOND, Evidence
from models.rca.weighing import Weighed, moment

MOST_CHANGES: Final = 3
_NUMBERS: Final = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def cause_of(weighed: Weighed, place: int, found: tuple[float, float], config: ChangeConfig) -> RootCause:
    """Return a candidate as people read it; `found` = its probability, and what speaks for it in log odds before its prior."""
    probability, score = found
    service = weighed.services[place]
    ranked = weighed.ranked.get(service)
    evidence = tuple(_told(weighed, service, one) for one in ranked.evidence) if ranked else ()
    path = weighed.ways.path(service) if weighed.symptom else ()
    changes = weighed.changed_before(place, config)[:MOST_CHANGES]
    parts = [_strongest(weighed, place, evidence), *_path(path), *(_change(one) for one in changes[:1])]
    return RootCause(
        service, probability, f"{service}: {'; '.join(parts)}", score, weighed.onset_at(place), path, evidence, changes
    )


def _told(weighed: Weighed, service: str, one: Evidence) -> CauseEvidence:
    """Return evidence in the metric's own units: what adds up along calls is shown as it was measured."""
    seen, usual = one.seen, one.usual
    raw = weighed.measured.get((service, one.metric))
    level = weighed.ranker.usual.get((service, one.metric))
    if raw is not None and level is not None:
        known = weighed.window.values[:, raw]
        worst = np.nanmin if one.seen < one.usual else np.nanmax
        seen, usual = (float(worst(known)) if np.isfinite(known).any() else seen), level
    text = f"{words_of(one.metric)} {amount(one.metric, seen)}, usually {amount(one.metric, usual)}"
    return CauseEvidence(one.kind, one.metric, seen, usual, one.excess, one.score, moment(one.since_us), text)


def _strongest(weighed: Weighed, place: int, evidence: tuple[CauseEvidence, ...]) -> str:
    if not evidence:
        measured = weighed.services[place] in weighed.ranked
        return "nothing unusual is measured" if measured else "nothing is measured of it"
    since = weighed.onset_at(place) or evidence[0].since
    edge = weighed.onset[place] == 0
    return f"{evidence[0].text}, {'since before' if edge else 'since'} {since:%H:%M}{_before_symptom(weighed, place)}"


def _before_symptom(weighed: Weighed, place: int) -> str:
    """Return how much earlier than the symptom a candidate strayed; "" where that is unknown or the symptom is itself."""
    service, symptom = weighed.services[place], weighed.symptom
    if not symptom or service == symptom or symptom not in weighed.services:
        return ""
    mine, felt = weighed.onset_at(place), _felt_since(weighed)
    if mine is None or felt is None:
        return ""
    gap_s = round((felt - mine).total_seconds())
    if not gap_s:
        return f", together with {symptom}"
    return f", {span(abs(gap_s))} {'before' if gap_s > 0 else 'after'} {symptom}"


def _felt_since(weighed: Weighed) -> datetime | None:
    """Return when latency or errors of the symptom strayed, the surest of them; else its strongest evidence."""
    ranked = weighed.ranked.get(weighed.symptom)
    for one in ranked.evidence if ranked else ():
        if spec_of(one.metric).signal in ("latency", "errors") and one.excess > BEYOND:
            return moment(one.since_us)
    return weighed.onset_at(weighed.services.index(weighed.symptom))


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
