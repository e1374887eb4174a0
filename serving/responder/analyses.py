"""Explains open incidents beside the desk, one at a time: a slow or failing analysis holds up nobody and is tried again."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from aiops.errors import AiopsError, Unavailable
from aiops.incident import Incident
from aiops.root_cause import RootCauseReport
from serving.incident_store.records import IncidentFilter, PageRequest
from serving.incident_store.store import IncidentStore
from serving.notify.messages import update_messages
from serving.responder.analysis_times import AnalysisTimes
from serving.responder.desk import Step
from serving.responder.metrics import ResponderMetrics
from serving.responder.turn import Audience

LOOK_S: Final = 0.5
MOST_MASKED: Final = 200
"""Newest incidents whose time does not count as calm."""
PRIORS: Final = "priors"
"""Note of the store: log odds that past verdicts give services."""

log = logging.getLogger(__name__)

Interval = tuple[datetime, datetime]


class Analyst(Protocol):
    """Explains one incident."""

    def explain(
        self, incident: Incident, at: datetime, priors: Mapping[str, float], masked: Iterable[Interval] = ()
    ) -> RootCauseReport:
        """Return why an incident came about, as far as telemetry up to `at` tells."""


@dataclass(frozen=True, slots=True)
class AnalysisParts:
    """What explaining needs; `now` = the desk's time."""

    store: IncidentStore
    analyst: Analyst
    audience: Audience
    metrics: ResponderMetrics
    now: Callable[[], datetime]


class Analyses:
    """The thread that explains; `see` is called by the desk's."""

    def __init__(self, parts: AnalysisParts) -> None:
        self._parts = parts
        self._times = AnalysisTimes()
        self._lock = threading.Lock()
        self._strange: set[str] = set()

    def see(self, step: Step) -> None:
        """Take in what the desk has just done."""
        with self._lock:
            self._times.see(step.outcome.incidents)
            self._strange |= self._times.keep(step.open_ids)

    def run(self, stop: threading.Event) -> None:
        """Explain what is due until stopped."""
        while not stop.wait(LOOK_S):
            while not stop.is_set() and self.explain_next():
                pass

    def explain_next(self) -> bool:
        """Explain the incident that is due first; return whether there was one."""
        self._get_known()
        now = self._parts.now()
        with self._lock:
            incident = self._times.due(now)
        if incident is None:
            return False
        outcome = self._explained(incident, now)
        self._parts.metrics.analyses.labels(outcome).inc()
        with self._lock:
            self._times.done(incident, now)
        return True

    def _get_known(self) -> None:
        """Read incidents that were open before this process, or opened by another one, and when they were explained last."""
        with self._lock:
            strange, self._strange = self._strange, set()
        for incident_id in sorted(strange):
            try:
                incident, reports = self._parts.store.case(incident_id).incident, self._parts.store.reports(incident_id)
            except AiopsError as error:
                log.warning("incident %s is not explained: %s", incident_id, error)
                continue
            with self._lock:
                self._times.see((incident,))
                if reports:
                    self._times.done(incident, reports[-1].made_at)

    def _explained(self, incident: Incident, now: datetime) -> str:
        """Explain and store; return what came of it, as a word."""
        began = time.perf_counter()
        try:
            priors, masked = self._parts.store.noted(PRIORS) or {}, self._masked(incident)
            report = self._parts.analyst.explain(incident, now, priors, masked)
            self._parts.metrics.analysis_s.observe(time.perf_counter() - began)
            self._store(incident.incident_id, report)
        except Unavailable as error:
            log.warning("incident %s is explained later: %s", incident.incident_id, error)
            return "failed"
        except AiopsError as error:
            log.error("incident %s could not be explained: %s", incident.incident_id, error)
            return "failed"
        except (ArithmeticError, LookupError, TypeError, ValueError):
            log.exception("incident %s could not be explained: a fault of this program; the desk goes on", incident.incident_id)
            return "failed"
        return "decided" if report.decided else "undecided"

    def _store(self, incident_id: str, report: RootCauseReport) -> None:
        parts = self._parts
        first = report.causes[0].service if report.causes else ""
        told = {"decided": report.decided, "cause": first, "statement": report.statement}
        with parts.store.writing() as writer:
            incident = parts.store.case(incident_id).incident
            writer.put_report(incident_id, report)
            writer.event(report.made_at, "root_cause", incident_id, told | {"services": [first] if first else []})
            writer.enqueue(update_messages(incident, report, parts.audience.channels, parts.audience.base_url))

    def _masked(self, but: Incident) -> tuple[Interval, ...]:
        """Return the times of the newest other incidents: they are not what is usual."""
        found = self._parts.store.incidents(IncidentFilter(until=but.opened_at), PageRequest(MOST_MASKED)).items
        return tuple(sorted((one.opened_at, one.updated_at) for one in found if one.incident_id != but.incident_id))
