"""A run log in memory, for trials and benches: the same rules as the durable one, and nothing survives the process."""

import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from aiops.automation import run_changes
from aiops.automation.earning import EndedRun, Hold, Standing, standing_of, standings_of
from aiops.automation.limits import BegunRun, Bounds, SuiteLimits, since_of
from aiops.automation.plan import Plan
from aiops.automation.run import Answer, Approval
from aiops.automation.run_changes import Decision
from aiops.automation.run_ledger import PlannedRun, RunChange, Switch

Application = Callable[[Sequence[str]], frozenset[str]]
"""Gives the services of the applications of these services, as the call graph has them; empty = it does not know."""


def unknown_application(services: Sequence[str]) -> frozenset[str]:
    """Return that nothing is known of an application: each service stands for itself."""
    del services
    return frozenset()


class MemoryRunLedger:
    """Implements `RunLedger`. Thread-safe. Memory: all plans that it was given."""

    def __init__(self, limits: SuiteLimits, application: Application = unknown_application) -> None:
        self._limits = limits
        self._application = application
        self._lock = threading.RLock()
        self._runs: dict[str, PlannedRun] = {}
        self._holds: dict[tuple[str, str], Hold] = {}
        self._switch = Switch(True)

    def propose(self, plan: Plan) -> PlannedRun:
        """Store a plan that waits, or return the open one of the incident with the same fingerprint."""
        planned = run_changes.proposed(plan)
        with self._lock:
            known = self._runs.get(plan.plan_id)
            return known or self._same(plan) or self._kept(planned)

    def approve(self, plan_id: str, approval: Approval, role: str) -> PlannedRun:
        """Approve a plan for what it is; RunRefused where it may not be."""
        with self._lock:
            planned = self.get(plan_id)
            if approval.earned:
                decision = run_changes.approved_by_standing(planned, approval, self.standing(planned.plan), self._switch)
            else:
                decision = run_changes.approved(planned, approval, role, self._switch)
            return self._decided(decision)

    def begin(self, fresh: Plan, planned: PlannedRun, at: datetime) -> PlannedRun:
        """Let an approved run act, with all bounds counted."""
        with self._lock:
            current = self.get(planned.plan.plan_id)
            run_changes.run_is_current(current, planned)
            bounds = Bounds(at, self._begun(since_of(fresh, at)), self._limits, self._application(fresh.services))
            earned = current.run.approval is not None and current.run.approval.earned
            standing = self.standing(current.plan) if earned else None
            return self._decided(run_changes.begun(fresh, current, bounds, self._switch, standing))

    def change(self, planned: PlannedRun, change: RunChange) -> PlannedRun:
        """Store what a run becomes."""
        with self._lock:
            return self._kept(run_changes.changed(self.get(planned.plan.plan_id), planned, change))

    def reject(self, plan_id: str, by: str, at: datetime, note: str = "") -> PlannedRun:
        """End a plan by a person's no."""
        with self._lock:
            return self._decided(run_changes.rejected(self.get(plan_id), by, at, note))

    def answer(self, plan_id: str, answer: Answer) -> PlannedRun:
        """Store a person's answer."""
        with self._lock:
            planned = self.get(plan_id)
            return self._kept(run_changes.changed(planned, planned, run_changes.after_answer(planned, answer)))

    def standing(self, plan: Plan) -> Standing:
        """Return what the plan's runbook has earned on its service."""
        with self._lock:
            return standing_of(plan, self._ended(), self._hold_of(plan.runbook, plan.subject.service))

    def standings(self) -> Sequence[Standing]:
        """Return what each runbook has earned on each service."""
        with self._lock:
            return standings_of(self._ended(), self._holds.values())

    def hold(self, hold: Hold, held: bool) -> None:
        """Hold a runbook back on a service, or no longer."""
        with self._lock:
            if held:
                self._holds[(hold.runbook, hold.service)] = hold
            else:
                self._holds.pop((hold.runbook, hold.service), None)

    def get(self, plan_id: str) -> PlannedRun:
        """Return a plan with its run, named by its id or a unique beginning of it."""
        with self._lock:
            if plan_id in self._runs:
                return self._runs[plan_id]
            names = [name for name in self._runs if plan_id and name.startswith(plan_id)]
            return self._runs[run_changes.only_name(plan_id, names)]

    def open_runs(self) -> Sequence[PlannedRun]:
        """Return all that have not ended, the oldest first."""
        with self._lock:
            waiting = [planned for planned in self._runs.values() if not planned.run.has_ended]
            return sorted(waiting, key=lambda planned: (planned.plan.made_at, planned.plan.plan_id))

    def switch(self) -> Switch:
        """Return whether anything may be begun."""
        return self._switch

    def turn(self, switch: Switch) -> None:
        """Turn the switch."""
        with self._lock:
            self._switch = run_changes.turned(switch)

    def _same(self, plan: Plan) -> PlannedRun | None:
        for planned in self.open_runs():
            same = planned.plan.subject.incident_id == plan.subject.incident_id and planned.plan.fingerprint == plan.fingerprint
            if same and run_changes.expired(planned, plan.made_at) is None:
                return planned
        return None

    def _begun(self, since: datetime) -> list[BegunRun]:
        begun = [run for run in map(run_changes.begun_run_of, self._runs.values()) if run is not None]
        return [run for run in begun if run.ended_at is None or run.ended_at > since or run.began_at > since]

    def _ended(self) -> list[EndedRun]:
        ended = [each for each in self._runs.values() if each.run.began_at is not None and each.run.has_ended]
        return sorted((run_changes.ended_run_of(planned) for planned in ended), key=lambda run: run.ended_at)

    def _hold_of(self, runbook: str, service: str) -> Hold | None:
        return self._holds.get((runbook, service))

    def _decided(self, decision: Decision) -> PlannedRun:
        planned = self._kept(decision.planned)
        if decision.refusal:
            raise run_changes.refused(planned, decision.refusal)
        return planned

    def _kept(self, planned: PlannedRun) -> PlannedRun:
        self._runs[planned.plan.plan_id] = planned
        return planned
