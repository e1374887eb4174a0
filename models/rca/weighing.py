"""What speaks for each candidate: magnitude, order in time, changes and the graph, side by side for the posterior."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np

from aiops.incidents.root_cause import ChangeEvent
from aiops.signals.novelty import LEFT_OUT
from aiops.signals.signal_sentences import SignalText
from aiops.types import FloatArray, IntArray
from data_contracts.values.moments import microseconds_of, moment_of_us
from models.rca.aliases import aliases_of
from models.rca.change_evidence import ChangeConfig, KnownChanges, no_change
from models.rca.grid import SeriesGrid
from models.rca.inputs import RcaInputs
from models.rca.paths import Ways, candidates, covered, ways_to
from models.rca.posterior import CauseFeatures
from models.rca.ranking import Evidence, Judgement, RankedCause, RootCauseRanker, reached_by
from models.rca.request_evidence import GAP, ORDER, OWN_TIME, RequestWindow, request_evidence
from models.rca.surge import surges_of
from models.rca.timing import LEAST_STEPS, NEVER, STRAYED, Timing, onsets, symptom_deviation, timing_of

MOST_AT_ONCE: Final = 1 / 3
"""Share of the services that strayed up to which those in the first step are taken for chance."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """What is looked at: who may have begun it, `services` by name, and what is known of each.

    `window` ends at `made_at`; `measured` = number of each of its series, (service, metric); `deviation` = that of the
    symptom, in spreads.
    """

    services: tuple[str, ...]
    ranked: Mapping[str, RankedCause]
    timing: Timing
    ways: Ways
    symptom: str
    deviation: FloatArray
    alerted: Mapping[str, datetime]
    changes: KnownChanges
    ranker: RootCauseRanker
    window: SeriesGrid
    measured: Mapping[tuple[str, str], int]
    surges: Mapping[str, Evidence]
    requests: Mapping[str, tuple[Evidence, ...]]
    texts: Mapping[tuple[str, str], SignalText]

    @property
    def time_us(self) -> IntArray:
        """Return the steps of the window."""
        return self.window.time_us

    @property
    def symptom_onset(self) -> datetime | None:
        """Return when latency or errors of the symptom strayed."""
        return self._moment_of(int(onsets(self.deviation[:, None])[0]))

    def onset_at(self, place: int) -> datetime | None:
        """Return when a candidate's strongest evidence among metrics began, or, without one, what requests or a surge show."""
        service = self.services[place]
        onset, surge = self._moment_of(int(self.timing.onset[place])), self.surges.get(service)
        loud = [item for item in (*self.requests.get(service, ()), *([surge] if surge else ())) if item.excess >= STRAYED]
        if onset is None and loud:
            return moment_of_us(min(item.since_us for item in loud))
        return onset

    def evidence_of(self, service: str) -> list[Evidence]:
        """Return what speaks against a service, strongest first."""
        ranked, surge = self.ranked.get(service), self.surges.get(service)
        evidence = [*(ranked.evidence if ranked else ()), *([surge] if surge else []), *self.requests.get(service, ())]
        return sorted(evidence, key=lambda item: (-item.score, item.kind))

    def changed_before(self, place: int, config: ChangeConfig) -> tuple[ChangeEvent, ...]:
        """Return the changes of a candidate shortly before its onset; none where it did not stray."""
        onset = self.onset_at(place)
        return () if onset is None else self.changes.before(self.services[place], onset, config)

    def _moment_of(self, step: int) -> datetime | None:
        return None if step == NEVER else moment_of_us(int(self.time_us[step]))


def weigh(inputs: RcaInputs, changing: ChangeConfig) -> tuple[Frame, CauseFeatures]:
    """Return the candidates of an incident and what speaks for each, by what was known at `made_at`."""
    frame = _framed(inputs)
    return frame, _features(frame, inputs, changing)


def _framed(inputs: RcaInputs) -> Frame:
    end_us = microseconds_of(inputs.made_at) + 1
    window, calm = inputs.window.between(0, end_us), inputs.calm.between(0, end_us)
    before = None if inputs.before is None else inputs.before.between(0, end_us)
    ranker = inputs.ranker or RootCauseRanker.fit(calm, inputs.graph)
    judged = ranker.judge(window, before, inputs.symptom)
    alerted = {name: at for name, at in inputs.alerted.items() if at <= inputs.made_at}
    symptom = inputs.symptom.service if inputs.symptom else min(alerted, key=lambda name: (alerted[name], name), default="")
    requests = _request_evidence(inputs, end_us)
    seen = frozenset(judged.services) | requests.keys()
    names = _candidates(inputs, alerted, seen, aliases_of(calm, window, inputs.graph))
    deviation = symptom_deviation(window, symptom, ranker.baseline, ranker.width)
    timing = timing_of(_columns(judged, names), deviation, names, inputs.graph)
    strayed = {name for name, step in zip(names, timing.onset.tolist(), strict=True) if step != NEVER}
    starts = moment_of_us(int(calm.time_us[0])) if calm.time_us.size else inputs.made_at
    return Frame(
        services=names,
        ranked={cause.service: cause for cause in judged.causes},
        timing=timing,
        ways=ways_to(symptom, inputs.graph, strayed),
        symptom=symptom,
        deviation=deviation,
        alerted=alerted,
        changes=KnownChanges.of(inputs.changes, starts, inputs.made_at),
        ranker=ranker,
        window=window,
        measured={pair: number for number, pair in enumerate(window.series)},
        surges=surges_of(window, ranker, names),
        requests=requests,
        texts=inputs.texts,
    )


def _features(frame: Frame, inputs: RcaInputs, changing: ChangeConfig) -> CauseFeatures:
    names, ranked = frame.services, frame.ranked
    first = min(frame.alerted.values(), default=None)
    in_order = sorted(frame.alerted, key=lambda name: (frame.alerted[name], name))
    timed = float(_shows_order(frame.timing.onset, frame.time_us.size))
    return CauseFeatures(
        magnitude=np.array([ranked[name].score if name in ranked else 0.0 for name in names]),
        early=timed * _early(frame.timing.onset, frame.time_us.size),
        unexplained=-timed * frame.timing.explained,
        lead=timed * frame.timing.lead,
        changed=_changed(frame, changing) if inputs.changes_recorded else np.zeros(len(names)),
        covers=_looked_up(covered(inputs.graph, in_order), names, 0.0),
        alerted=np.array([float(first is not None and frame.alerted.get(name) == first) for name in names]),
        surge=_looked_up({name: surge.score for name, surge in frame.surges.items()}, names, 0.0),
        order=_looked_up(_scores(frame.requests, ORDER), names, 0.0),
        own_time=_looked_up(_scores(frame.requests, OWN_TIME), names, 0.0),
        network=_looked_up(_scores(frame.requests, GAP), names, 0.0),
        prior=_looked_up(inputs.priors, names, 0.0),
    )


def _request_evidence(inputs: RcaInputs, end_us: int) -> Mapping[str, tuple[Evidence, ...]]:
    """Return what requests that began by then say."""
    if inputs.requests is None:
        return {}
    requests = inputs.requests.requests
    return request_evidence(RequestWindow(requests, np.where(requests.start_us < end_us, inputs.requests.part, LEFT_OUT)))


def _scores(evidence: Mapping[str, tuple[Evidence, ...]], kind: str) -> dict[str, float]:
    return {name: sum(item.score for item in items if item.kind == kind) for name, items in evidence.items()}


def _candidates(
    inputs: RcaInputs, alerted: Mapping[str, datetime], seen: frozenset[str], aliases: Mapping[str, str]
) -> tuple[str, ...]:
    """Return who may have begun it, by name: what the symptom calls or, unknown, all connected with what was alerted."""
    if inputs.symptom is not None:
        services = frozenset(reached_by(inputs.graph, inputs.symptom.service) | set(alerted))
    elif alerted:
        services = candidates(inputs.graph, alerted)
    else:
        services = seen
    return tuple(sorted(services - aliases.keys()))


def _columns(judged: Judgement, names: Sequence[str]) -> FloatArray:
    """Return (steps, names) how each strayed; NaN where a service is not measured."""
    place = {name: number for number, name in enumerate(judged.services)}
    padded = np.column_stack([judged.strayed, np.full(len(judged.strayed), np.nan)])
    return padded[:, [place.get(name, len(place)) for name in names]]


def _shows_order(onset: IntArray, steps: int) -> bool:
    """Return whether a window tells who strayed first: it has the steps for it, and few strayed in its first step already.

    Else it began in the trouble, and what came before it is unknown.
    """
    strayed = onset[onset != NEVER]
    return bool(steps >= LEAST_STEPS and strayed.size and (strayed == 0).mean() <= MOST_AT_ONCE)


def _early(onset: IntArray, steps: int) -> FloatArray:
    strayed = onset != NEVER
    first = int(onset[strayed].min()) if strayed.any() else 0
    return -np.log1p(np.where(strayed, onset - first, steps))


def _changed(frame: Frame, config: ChangeConfig) -> FloatArray:
    touched = {change.service for change in frame.changes.changes}
    log_odds = np.full(len(frame.services), no_change(config))
    for place, name in enumerate(frame.services):
        onset = frame.onset_at(place) if name in touched else None
        if onset is not None:
            log_odds[place] = frame.changes.log_odds(name, onset, config)
    return log_odds


def _looked_up(known: Mapping[str, float] | Mapping[str, int], names: Sequence[str], otherwise: float) -> FloatArray:
    return np.array([known.get(name, otherwise) for name in names], dtype=np.float64)
