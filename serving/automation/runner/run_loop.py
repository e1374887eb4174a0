"""Carries out the open runs of one tenant, and says what they do."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiops.automation.moves import Wait
from aiops.automation.run import SUITE, Approval, RunState
from aiops.automation.run_ledger import PlannedRun, RunLedger
from aiops.errors import RunRefused
from serving.automation.runner.automation_metrics import TenantMetrics
from serving.automation.runner.run_executor import RunExecutor
from serving.automation.runner.run_reports import RunReports
from serving.automation.runner.runner_lease import RunnerLease

MOST_MOVES: Final = 50
"""Moves of one run at a time: others wait."""
SHOW_S: Final = 15.0
"""How often it is shown how the switch is where nothing goes on."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoopParts:
    """What the loop works with."""

    ledger: RunLedger
    executor: RunExecutor
    reports: RunReports
    lease: RunnerLease
    metrics: TenantMetrics
    now: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class _Rest:
    """Nothing is to be done with a run of this revision before a time; None = before it changes."""

    revision: int
    until: datetime | None


class RunLoop:
    """One thread. Memory: a time for each open run."""

    def __init__(self, parts: LoopParts) -> None:
        self._parts = parts
        self._rests: dict[str, _Rest] = {}
        self._shown_s = 0.0

    def look(self) -> bool:
        """Carry out what is due; return whether something was changed.

        Raises:
            Unavailable: run log or store do not answer; call it again.
        """
        parts = self._parts
        runs = parts.ledger.open_runs()
        parts.reports.say(runs)
        changed = [self._advance(planned) for planned in runs if self._is_due(planned)]
        self._rests = {planned.run.run_id: rest for planned in runs if (rest := self._rests.get(planned.run.run_id)) is not None}
        if any(changed):
            runs = parts.ledger.open_runs()
            parts.reports.say(runs)
        if any(changed) or time.monotonic() - self._shown_s > SHOW_S:
            self._shown_s = time.monotonic()
            parts.metrics.show(Counter(planned.run.state for planned in runs), parts.ledger.switch().on)
        return any(changed)

    def _is_due(self, planned: PlannedRun) -> bool:
        rest = self._rests.get(planned.run.run_id)
        if rest is None or rest.revision != planned.revision:
            return True
        return self._parts.now() >= rest.until if rest.until is not None else self._is_released(planned)

    def _is_released(self, planned: PlannedRun) -> bool:
        """Return whether a run that waits for somebody may go on: the switch changes no run."""
        return not isinstance(self._parts.executor.move(planned), Wait)

    def _approved_alone(self, planned: PlannedRun) -> PlannedRun:
        """Approve a plan that waits where its runbook has earned to run alone; where it has not, the run log notifies people."""
        plan, ledger = planned.plan, self._parts.ledger
        may = plan.requested_by == SUITE and plan.terms.earn is not None and plan.is_possible
        if planned.run.state is not RunState.WAITING or not may:
            return planned
        try:
            return ledger.approve(plan.plan_id, Approval(SUITE, self._parts.now(), plan.fingerprint, earned=True), "")
        except RunRefused as error:
            log.info("plan %s waits for a person: %s", plan.plan_id, error)
            return ledger.get(plan.plan_id)

    def _advance(self, planned: PlannedRun) -> bool:
        """Carry out moves of a run while there are some; return whether something was changed."""
        parts, before = self._parts, planned.revision
        planned = self._approved_alone(planned)
        changed = planned.revision != before
        for _ in range(MOST_MOVES):
            move = parts.executor.move(planned)
            if isinstance(move, Wait):
                self._rests[planned.run.run_id] = _Rest(planned.revision, move.until)
                return changed
            if not parts.lease.hold():
                return changed
            advance = parts.executor.advance(planned, move)
            planned, changed = advance.planned, changed or advance.changed
            if planned.run.has_ended:
                parts.metrics.ended(planned.run.state)
                log.info("run %s has ended: %s", planned.run.run_id, planned.run.state)
                return changed
            if not advance.changed:
                self._rests[planned.run.run_id] = _Rest(planned.revision, advance.until)
                return changed
        return changed
