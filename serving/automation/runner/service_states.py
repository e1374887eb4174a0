"""How the services of a run are, by the suite's own telemetry: before the trouble, at its peak before the action, and after it.

The baseline is the one that root cause analysis compares with: calm hours before the trouble, without other incidents. It is
fitted once an incident.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aiops.automation.fact_values import callers_of
from aiops.automation.run import RunEvent, RunState
from aiops.automation.run_ledger import PlannedRun
from aiops.automation.service_state import Judgement, ServiceState
from aiops.errors import Unavailable
from aiops.incidents.incident import Incident
from aiops.topology.graph import ServiceGraph
from data_contracts.values.moments import microseconds_of
from models.rca.ranking import LEAST_SAMPLES, RootCauseRanker
from models.rca.service_looks import LookedAt, service_state, well_services
from serving.incidents.desk.analyses import known_beside
from serving.incidents.desk.detection_alerts import DETECTED, FORESEEN
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentCase, PageRequest
from serving.lake.port import Lake
from serving.root_cause.incident_telemetry import IncidentTelemetry, TelemetryConfig, near, shared_end, without
from serving.root_cause.kept_baselines import KeptBaselines

LEAD: Final = timedelta(minutes=10)
"""How long before the trouble was seen the time before it ends: it began earlier than it was seen."""
BEFORE: Final = timedelta(minutes=30)
MOST_SERVICES: Final = 200
KEPT: Final = 8
NEWEST: Final = timedelta(minutes=5)
"""How much telemetry says how a service is now."""
MOST_ALERTS: Final = 500


@dataclass(frozen=True, slots=True)
class StateParts:
    """Where it is read how services are."""

    lake: Lake
    store: IncidentStore
    graph_at: Callable[[datetime], ServiceGraph]
    telemetry: TelemetryConfig


@dataclass(frozen=True, slots=True)
class _Times:
    """When trouble began, when the run acted, and from when on what follows counts."""

    began: datetime
    acted: datetime
    settled: datetime


@dataclass(frozen=True, slots=True, eq=False)
class _Baseline:
    services: tuple[str, ...]
    ranker: RootCauseRanker


class ServiceStates:
    """Reads lake and incident store. Thread-safe. Memory: `KEPT` baselines."""

    def __init__(self, parts: StateParts) -> None:
        self._parts = parts
        self._telemetry = IncidentTelemetry(parts.lake, parts.telemetry)
        self._kept = KeptBaselines[_Baseline](KEPT)

    def graph_at(self, at: datetime) -> ServiceGraph:
        """Return the call graph of a moment."""
        return self._parts.graph_at(at)

    def of(self, planned: PlannedRun, at: datetime) -> Judgement:
        """Return three looks at the services of a run by what is known at `at`.

        Raises:
            Unavailable: there is no baseline to compare with, or the store does not answer.
            StateError: lake or store is damaged.
        """
        incident = self._parts.store.case(planned.plan.subject.incident_id).incident
        subject, times = planned.plan.subject, _times(planned, at)
        wanted = (*planned.plan.services, subject.symptom, *incident.services)
        baseline = self._baseline(incident, subject.began_at, wanted)
        window = self._telemetry.between(times.began - LEAD - BEFORE, at, baseline.services)
        cuts = [microseconds_of(moment) for moment in (times.began - LEAD, times.began, times.acted, times.settled, at)]
        before, peak, after = window.between(0, cuts[0]), window.between(cuts[1], cuts[2]), window.between(cuts[3], cuts[4] + 1)
        ranker, services = baseline.ranker, frozenset({*planned.plan.services, subject.symptom})
        firing = self._firing(incident, times)
        spreads_to = callers_of(ranker.graph, planned.plan.services)  # with the trouble itself, not with the action
        well = well_services(peak, ranker).difference(incident.services, spreads_to)
        return Judgement(
            service_state(before, ranker, LookedAt(services)),
            service_state(peak, ranker, LookedAt(services, (), firing.peak)),
            service_state(after, ranker, LookedAt(services, well, firing.after)),
        )

    def now(self, case: IncidentCase, service: str, at: datetime) -> ServiceState | None:
        """Return how a service of an incident is in the newest minutes; None where nothing is known to compare it with.

        Raises:
            StateError: lake or store is damaged.
        """
        incident, report = case.incident, case.report
        onset = report.causes[0].onset if report is not None and report.causes else None
        began = min(incident.opened_at, onset or incident.opened_at)
        try:
            baseline = self._baseline(incident, began, (service, incident.anchor, *incident.services))
        except Unavailable:
            return None
        window = self._telemetry.between(at - NEWEST, at, baseline.services)
        firing = self._firing(incident, _Times(began, at, at - NEWEST)).after
        return service_state(window, baseline.ranker, LookedAt(frozenset({service}), (), firing))

    def _baseline(self, incident: Incident, began: datetime, wanted: Sequence[str]) -> _Baseline:
        before = began - LEAD
        key = (incident.incident_id, before, frozenset(wanted))
        kept = self._kept.get(key)
        if kept is not None:
            return kept
        graph = self._parts.graph_at(before)
        services = near(graph, tuple(dict.fromkeys(wanted)), MOST_SERVICES)
        _, masked = known_beside(self._parts.store, incident)
        end = shared_end(before)
        calm = without(self._telemetry.calm(end, services), self._telemetry.masks_before(end, masked))
        if calm.time_us.size < LEAST_SAMPLES:
            raise Unavailable(f"fewer than {LEAST_SAMPLES} steps of telemetry before {end:%Y-%m-%d %H:%M} UTC: no baseline")
        baseline = _Baseline(services, RootCauseRanker.fit(calm, graph))
        self._kept.keep(key, baseline)
        return baseline

    def _firing(self, incident: Incident, times: _Times) -> "_Firing":
        """Return how many alerts fired before the run acted and do now; own ones do while they are repeated."""
        stored = self._parts.store.alerts(incident.incident_id, PageRequest(MOST_ALERTS)).items
        own = {row.alert.fingerprint for row in stored if row.alert.source in (DETECTED, FORESEEN)}
        peak = sum(entry.first_seen <= times.acted for entry in incident.alerts)
        after = sum(
            not entry.ended and (entry.fingerprint not in own or entry.last_seen >= times.settled) for entry in incident.alerts
        )
        return _Firing(peak, after)


@dataclass(frozen=True, slots=True)
class _Firing:
    peak: int
    after: int


def _times(planned: PlannedRun, at: datetime) -> _Times:
    """Return the times of a run; `settled` is after its steps, or after they were taken back."""
    events, verify = planned.run.events, planned.plan.terms.verify
    acted = planned.run.began_at or at
    done = _first(events, RunState.CHECKING) or _first(events, RunState.SETTLING) or acted
    return _Times(planned.plan.subject.began_at, acted, min(at, done + timedelta(seconds=verify.settle)))


def _first(events: Sequence[RunEvent], state: RunState) -> datetime | None:
    return next((event.at for event in events if event.state is state), None)
