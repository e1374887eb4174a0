"""Simulated incidents as the product meets them: alerts of a simple rule, correlated by the product, explained by the product."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from aiops.incidents.alert import Alert, Severity, fingerprint_of
from aiops.incidents.correlation.correlator import Correlator
from aiops.incidents.incident import Incident, IncidentState
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.root_cause_question import alerted_in, masks_of
from aiops.simulator.incident_course import Course
from data_contracts.schemas.metrics import spec_of
from data_contracts.values.moments import moment_of_us
from models.rca.explain import explain
from models.rca.grid import SeriesGrid
from models.rca.inputs import RcaInputs
from models.rca.ranking import LEAST_SAMPLES, RootCauseRanker
from models.rca.symptom import symptom_of
from orchestration.bench.simulated.act_world import SimulatedWorld
from orchestration.bench.simulated.rca_cases import GAP_STEPS, alerting
from serving.incidents.desk.analysis_times import AnalysisTimes
from serving.root_cause.incident_telemetry import without

CALLED: Final = ("latency", "errors")
"""Signals whose alerts are critical; those of resources are warnings."""
GOING_ON: Final = (IncidentState.OPEN, IncidentState.ACKNOWLEDGED)
MOST_LOOKED_AT: Final = timedelta(hours=4)
_MINUTE: Final = timedelta(minutes=1)
_SETTLED: Final = timedelta(seconds=5)
_AFTERGLOW: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Seen:
    """An incident as it stood at a time."""

    at: datetime
    incident: Incident


@dataclass(frozen=True, slots=True)
class OpenedIncident:
    """An incident that the correlation opened, with what became of it."""

    incident_id: str
    history: tuple[Seen, ...]

    @property
    def opened_at(self) -> datetime:
        """Return when it opened."""
        return self.history[0].at

    def at(self, moment: datetime) -> Incident:
        """Return it as it stood at a time."""
        return [seen.incident for seen in self.history if seen.at <= moment][-1]

    def has_ended(self, moment: datetime) -> bool:
        """Return whether it was resolved or merged by a time."""
        return self.at(moment).state in (IncidentState.RESOLVED, IncidentState.MERGED)

    def looks(self) -> Iterator[datetime]:
        """Yield when the product explains it, by the minute, as long as it goes on."""
        times, now = AnalysisTimes(), self.opened_at
        while (incident := self.at(now)).state in GOING_ON and now <= self.opened_at + MOST_LOOKED_AT:
            times.see([incident])
            while (due := times.due(now)) is not None:
                yield max(due.at, self.opened_at)
                times.done(due.incident, due.at)
            now += _MINUTE


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """An incident explained at a time: the report, and the baseline that it rests on."""

    at: datetime
    incident: Incident
    report: RootCauseReport
    ranker: RootCauseRanker


def opened_incidents(world: SimulatedWorld) -> tuple[OpenedIncident, ...]:
    """Return the incidents that the product's correlation makes of a world's alerts, in order of time."""
    correlator = Correlator(world.graph)
    histories: dict[str, list[Seen]] = defaultdict(list)
    by_step = _alerts(world.grid)
    for step, alerts in sorted(by_step.items()):
        now = moment_of_us(int(world.grid.time_us[step])) + _SETTLED
        correlator.add(alerts)
        for incident in correlator.advance(now).incidents:
            histories[incident.incident_id].append(Seen(now, incident))
    opened = [OpenedIncident(name, tuple(history)) for name, history in histories.items()]
    return tuple(sorted(opened, key=lambda incident: (incident.opened_at, incident.incident_id)))


def _alerts(grid: SeriesGrid) -> Mapping[int, list[Alert]]:
    """Return alerts by step: one when a series begins to be loud, one when it has been quiet for a while."""
    lasting = alerting(grid)
    by_step: dict[int, list[Alert]] = defaultdict(list)
    for column in np.flatnonzero(lasting.any(axis=0)).tolist():
        service, metric = grid.series[column]
        severity = Severity.CRITICAL if spec_of(metric).signal in CALLED else Severity.WARNING
        labels = {"service": service, "alertname": metric}
        loud = np.flatnonzero(lasting[:, column]).tolist()
        starts = [step for step, before in zip(loud, [-10_000, *loud], strict=False) if step - before > GAP_STEPS]
        for start in starts:
            last = start
            while last + 1 < lasting.shape[0] and lasting[last + 1 : last + 1 + GAP_STEPS, column].any():
                last += 1 + int(np.argmax(lasting[last + 1 : last + 1 + GAP_STEPS, column]))
            at = moment_of_us(int(grid.time_us[start]))
            name = f"{service}-{metric}-{start}"
            alert = Alert(name, fingerprint_of(labels), service, metric, severity, at, labels=labels, until_ended=True)
            by_step[start].append(alert)
            end = min(last + 5, grid.time_us.size - 1)
            by_step[end].append(replace(alert, alert_id=f"{name}-end", ends_at=moment_of_us(int(grid.time_us[end]))))
    return by_step


def explained(
    world: SimulatedWorld, grid: SeriesGrid, opened: Sequence[OpenedIncident], which: OpenedIncident, at: datetime
) -> Explained | None:
    """Return the product's analysis of an incident from telemetry up to a time; None where there is no calm time yet.

    `grid`: the telemetry of the world as it has become; `opened`: all incidents.
    """
    incident = which.at(at)
    alerted = alerted_in(incident, at)
    inputs = RcaInputs.around(grid, world.graph, at, alerted)
    others = [known.at(at) for known in opened if known.opened_at <= at]
    masks = [(start - _AFTERGLOW, end + _AFTERGLOW) for start, end in masks_of(others, which.incident_id)]
    calm = without(inputs.calm, masks)
    if calm.time_us.size < LEAST_SAMPLES:
        return None
    ranker = RootCauseRanker.fit(calm, world.graph)
    symptom = symptom_of(inputs.window, ranker, world.graph, alerted)
    known = replace(inputs, calm=calm, ranker=ranker, symptom=symptom, changes=world.changes, changes_recorded=True)
    return Explained(at, incident, explain(known), ranker)


def course_at(world: SimulatedWorld, at: datetime) -> Course | None:
    """Return the true incident that goes on at a time, or has ended shortly before; None = there is none."""
    now_s = (at - world.simulation.config.start).total_seconds()
    for course in world.simulation.courses():
        incident = course.incident
        if not incident.is_gray and incident.onset_s <= now_s <= incident.ends_s + _AFTERGLOW.total_seconds():
            return course
    return None
