"""Explains open incidents beside the desk, one at a time: a slow or failing analysis holds up nobody and is tried again."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from aiops.errors import AiopsError, Unavailable
from aiops.incidents.incident import Incident
from aiops.incidents.root_cause import RootCauseReport
from aiops.incidents.root_cause_question import Interval, masks_of
from serving.host.log_rate_limit import LineLimit
from serving.incidents.desk.analysis_times import AnalysisTimes
from serving.incidents.desk.desk import Step
from serving.incidents.desk.desk_metrics import ResponderMetrics
from serving.incidents.desk.desk_transaction import Audience
from serving.incidents.desk.feedback import priors_in_force
from serving.incidents.notify.messages import update_messages
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import IncidentFilter, PageRequest

LOOK_S: Final = 0.5
MOST_MASKED: Final = 200
"""Newest incidents whose time does not count as calm."""

log = logging.getLogger(__name__)
_lines = LineLimit(log)


class Analyst(Protocol):
    """Explains one incident."""

    def explain(
        self, incident: Incident, at: datetime, priors: Mapping[str, float], masked: Iterable[Interval] = ()
    ) -> RootCauseReport:
        """Return why an incident came about, as far as telemetry up to `at` shows."""


@dataclass(frozen=True, slots=True)
class AnalysisParts:
    """What explaining needs; `now` = the desk's time."""

    store: IncidentStore
    analyst: Analyst
    audience: Audience
    metrics: ResponderMetrics
    now: Callable[[], datetime]
    lag_s: float = 0.0


class Analyses:
    """Explains a tenant's incidents, in one thread; `see` is called by the desk's.

    Steps of the desk are taken in `lag_s` later: in a replay minutes of telemetry pass until a second's are in the lake.
    """

    def __init__(self, parts: AnalysisParts) -> None:
        self._parts = parts
        self._times = AnalysisTimes()
        self._steps: deque[tuple[float, Step]] = deque()
        self._unseen: frozenset[str] = frozenset()

    def see(self, step: Step) -> None:
        """Take in what the desk has just done."""
        self._steps.append((time.monotonic() + self._parts.lag_s, step))

    def look(self) -> bool:
        """Explain at most one incident that is due; return whether there was one."""
        done = self.explain_next()
        if not done:
            self._parts.metrics.to_explain(self.waiting())
        return done

    def waiting(self) -> int:
        """Return how many incidents are to be explained, as far as is known; called by the thread that explains."""
        incident_count = sum(len(step.outcome.incidents) for _, step in tuple(self._steps))
        return self._times.waiting(self._parts.now()) + incident_count + len(self._unseen)

    def explain_next(self) -> bool:
        """Explain the incident that is due first; return whether there was one."""
        self._take_steps()
        due = self._times.due(self._parts.now())
        if due is None:
            return False
        self._parts.metrics.to_explain(self.waiting())
        outcome = self._explained(due.incident, due.at)
        self._parts.metrics.explained(outcome)
        self._times.done(due.incident, due.at)
        return True

    def _take_steps(self) -> None:
        """Take in the steps that are old enough, and read what no step of this process changed."""
        now_s = time.monotonic()
        while self._steps and self._steps[0][0] <= now_s:
            step = self._steps.popleft()[1]
            self._times.see(step.outcome.incidents)
            self._unseen = self._times.keep(step.open_ids)
        if self._unseen:
            self._read(self._unseen)
            self._unseen = frozenset()

    def _read(self, incident_ids: Iterable[str]) -> None:
        """Read incidents that were open before this process, or opened by another one, and when they were explained last."""
        for incident_id in sorted(incident_ids):
            try:
                incident, reports = self._parts.store.case(incident_id).incident, self._parts.store.reports(incident_id)
            except AiopsError as error:
                _lines.warn("unread", f"incident {incident_id} is not explained: {error}")
                continue
            self._times.see((incident,))
            if reports:
                self._times.done(incident, reports[-1].made_at)

    def _explained(self, incident: Incident, now: datetime) -> str:
        """Explain and store; return what came of it, as a word."""
        began = time.perf_counter()
        try:
            priors, masked = known_beside(self._parts.store, incident)
            report = self._parts.analyst.explain(incident, now, priors, masked)
            self._parts.metrics.analysis_s.observe(time.perf_counter() - began)
            self._store(incident.incident_id, report)
        except Unavailable as error:
            _lines.warn("later", f"incident {incident.incident_id} is explained later: {error}")
            return "failed"
        except Exception:  # whatever it is, it costs this analysis and not the desk
            log.exception("incident %s could not be explained", incident.incident_id)
            return "failed"
        return "decided" if report.decided else "undecided"

    def _store(self, incident_id: str, report: RootCauseReport) -> None:
        parts = self._parts
        first = report.causes[0].service if report.causes else ""
        event = {"decided": report.decided, "cause": first, "statement": report.statement, "false_alarm": report.false_alarm}
        with parts.store.writing() as writer:
            case = parts.store.case(incident_id)
            incident = case.incident
            writer.put_report(incident_id, report)
            writer.event(report.made_at, "root_cause", incident_id, event | {"services": [first] if first else []})
            writer.enqueue(update_messages(incident, report, parts.audience.channels, parts.audience.base_url, case.report))


def known_beside(store: IncidentStore, incident: Incident) -> tuple[Mapping[str, float], tuple[Interval, ...]]:
    """Return what else an analysis of an incident goes by: log odds of past verdicts, and the times of the newest other ones."""
    others = store.incidents(IncidentFilter(until=incident.opened_at), PageRequest(MOST_MASKED)).items
    return priors_in_force(store), masks_of(others, incident.incident_id)
