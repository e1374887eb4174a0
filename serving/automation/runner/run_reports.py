"""Says what runs do: in the timeline of their incident and to people, each line of the run log once.

How many lines of a run have been said is stored in the transaction that says them, so a process that dies between the run log
and its report is followed by one that says the rest.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiops.automation.run import RunEvent, RunState
from aiops.automation.run_ledger import PlannedRun, RunLedger
from aiops.automation.urgency import Urgency, urgencies
from aiops.errors import ContractError
from aiops.incidents.incident import Incident, IncidentState
from serving.automation.runner.run_words import headline, timeline_words
from serving.incidents.desk.desk import Desk
from serving.incidents.desk.desk_transaction import DeskTransaction
from serving.incidents.notify.messages import RunNotice, run_messages
from serving.incidents.store.incident_store import IncidentStore

SAID: Final = "automation_said"
"""Note of the store: how many lines of open runs have been said, by run."""
BY: Final = "automation"
_MOST_MERGES: Final = 20

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunAudience:
    """Who is told of runs: channels, those beside them that hear of a failed undo, and the address of links."""

    channels: tuple[str, ...]
    alarm_channels: tuple[str, ...]
    base_url: str


@dataclass(frozen=True, slots=True)
class ReportParts:
    """What reports are made with; `desk` is made when there is something to say."""

    store: IncidentStore
    ledger: RunLedger
    desk: Callable[[], Desk]
    audience: Callable[[], RunAudience]
    now: Callable[[], datetime]


class RunReports:
    """Says the lines of one tenant's runs. One thread; several processes say each line once."""

    def __init__(self, parts: ReportParts) -> None:
        self._parts = parts
        self._said: dict[str, int] | None = None
        self._desk: Desk | None = None

    def say(self, open_runs: Sequence[PlannedRun]) -> int:
        """Say what has not been said of open runs, and of those that have ended since; return how many lines it was.

        Raises:
            Unavailable: the store does not answer; call it again.
        """
        if self._said is None:
            self._said = dict(self._parts.store.noted(SAID) or {})
        known = {planned.run.run_id: planned for planned in open_runs}
        ended = [planned for run_id in list(self._said) if run_id not in known and (planned := self._stored(run_id)) is not None]
        new = [planned for planned in (*known.values(), *ended) if self._is_news(planned)]
        lines = [self._say_run(planned) for planned in new]
        return sum(lines)

    def _stored(self, run_id: str) -> PlannedRun | None:
        """Return a run; one that retention has dropped has nothing more to say, and is forgotten."""
        try:
            return self._parts.ledger.get(run_id)
        except ContractError:
            with self._parts.store.writing() as writer:
                said: dict[str, int] = dict(writer.noted(SAID) or {})
                said.pop(run_id, None)
                writer.note(SAID, said)
            self._said = said
            return None

    def _is_news(self, planned: PlannedRun) -> bool:
        assert self._said is not None
        return planned.run.has_ended or len(planned.run.events) > self._said.get(planned.run.run_id, 0)

    def _say_run(self, planned: PlannedRun) -> int:
        parts, run = self._parts, planned.run
        if self._desk is None:
            self._desk = parts.desk()
        with self._desk.transaction(parts.now()) as transaction:
            said: dict[str, int] = dict(transaction.writer.noted(SAID) or {})
            before = said.get(run.run_id, len(run.events) if run.has_ended else 0)
            for number, (event, urgency) in enumerate(urgencies(planned)):
                if number >= before:
                    self._say_line(transaction, planned, _Line(number, event, urgency))
            said[run.run_id] = len(run.events)
            if run.has_ended:
                del said[run.run_id]
            transaction.writer.note(SAID, said)
        self._said = said
        return len(run.events) - before

    def _say_line(self, transaction: DeskTransaction, planned: PlannedRun, line: "_Line") -> None:
        incident = self._incident(transaction, planned, line.event)
        if line.urgency is Urgency.NONE or line.event.state is RunState.WAITING:
            return  # of a plan that waits the run log notifies, with links that approve it
        audience = self._parts.audience()
        channels = audience.channels + (audience.alarm_channels if line.urgency is Urgency.ALARM else ())
        text = headline(planned, line.event)
        loud = line.urgency >= Urgency.PAGE
        said = RunNotice(f"{planned.run.run_id} {line.number}", transaction.moment, text, loud)
        transaction.writer.enqueue(run_messages(incident, said, channels, audience.base_url))

    def _incident(self, transaction: DeskTransaction, planned: PlannedRun, event: RunEvent) -> Incident:
        """Return the incident with the line in its timeline; one that is over, or went on in another, says it there."""
        incident_id = planned.plan.subject.incident_id
        state = IncidentState.MITIGATED if event.state is RunState.CURED else None
        by = event.by if event.by != "suite" else BY
        for _ in range(_MOST_MERGES):
            try:
                return transaction.correlator.remark(incident_id, transaction.moment, timeline_words(planned, event), by, state)
            except ContractError:  # it is not open
                incident = self._parts.store.case(incident_id).incident
            if not incident.merged_into:
                log.info("incident %s is over; %s", incident_id, timeline_words(planned, event))
                return incident
            incident_id = incident.merged_into
        return incident


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    event: RunEvent
    urgency: Urgency
