"""The durable run log: each method is one transaction of the incident store, with its lines in the audit log and its event.

Delivery: what a method returned is on disk; what it raised has left no trace, but for a refusal, which is stored as well.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import delete

from aiops.automation import run_changes
from aiops.automation.earning import Hold, Standing, standing_of, standings_of
from aiops.automation.limits import Bounds, since_of
from aiops.automation.plan import Plan
from aiops.automation.run import Answer, Approval
from aiops.automation.run_changes import Decision
from aiops.automation.run_ledger import PlannedRun, RunChange, Switch
from aiops.errors import AiopsError
from data_contracts.values.moments import microseconds_of
from serving.automation.ledger import run_queries
from serving.automation.ledger.ledger_entries import LedgerEntries
from serving.automation.ledger.run_records import LedgerRules, LinkUse, RunFilter
from serving.incidents.store.automation_tables import AUTOMATION_HOLDS, AUTOMATION_LINKS, AUTOMATION_SWITCH
from serving.incidents.store.codec import text_of
from serving.incidents.store.incident_rows import key_text
from serving.incidents.store.incident_store import IncidentStore
from serving.incidents.store.records import Page, PageRequest
from serving.incidents.store.tenant_connection import TenantConnection


class StoreRunLedger:
    """Implements `RunLedger` for the tenant of a store. Thread-safe as the store is.

    Every method raises `Unavailable` where the database does not answer, `StateError` where it is damaged.
    """

    def __init__(self, store: IncidentStore, rules: LedgerRules) -> None:
        self._store = store
        self._rules = rules

    def propose(self, plan: Plan) -> PlannedRun:
        """Store a plan that waits, or return the open one of the incident with the same fingerprint."""
        planned = run_changes.proposed(plan)
        with self._writing() as entries:
            rows = entries.rows
            known = run_queries.known_run(rows, plan.plan_id) or run_queries.same_plan(rows, plan)
            if known is not None:
                return known
            entries.put(planned)
            entries.changed(planned, "plan made")
            if plan.is_possible and (plan.terms.earn is None or self._standing(rows, plan).refusal):
                entries.notify_waiting(planned)
        return planned

    def approve(self, plan_id: str, approval: Approval, role: str) -> PlannedRun:
        """Approve a plan for what it is; RunRefused where it may not be."""
        with self._writing() as entries:
            current = run_queries.run_of(entries.rows, plan_id)
            decision = self._approval(entries.rows, current, approval, role)
            entries.decided(current, decision, approval)
        return _done(decision)

    def approve_by_link(self, link: LinkUse, approval: Approval, role: str) -> PlannedRun:
        """Approve a plan by a link that was checked, which is used up by it.

        Raises:
            RunRefused: the link was used, has expired, or the approval is refused.
            ContractError: no such plan.
        """
        with self._writing() as entries:
            current = run_queries.run_of(entries.rows, link.plan_id)
            decision = self._approval(entries.rows, current, approval, role)
            refusal = _refusal_of_link(entries.rows, link, approval.at)
            decision = Decision(current, refusal) if refusal else decision
            if not decision.refusal:
                used = {"link_id": link.link_id, "run_id": current.plan.plan_id, "used_us": microseconds_of(approval.at)}
                entries.rows.insert(AUTOMATION_LINKS, [used])
            entries.decided(current, decision, approval)
        return _done(decision)

    def begin(self, fresh: Plan, planned: PlannedRun, at: datetime) -> PlannedRun:
        """Let an approved run act, with all bounds counted."""
        rules = self._rules
        application = rules.application(fresh.services)  # reads the call graph: not while others wait to write
        with self._writing() as entries:
            rows = entries.rows
            current = run_queries.run_of(rows, planned.plan.plan_id)
            run_changes.run_is_current(current, planned)
            begun = run_queries.begun_since(rows, since_of(fresh, at))
            bounds = Bounds(at, begun, rules.limits, application)
            earned = current.run.approval is not None and current.run.approval.earned
            switch, standing = run_queries.switch(rows), self._standing(rows, current.plan) if earned else None
            decision = run_changes.begun(fresh, current, bounds, switch, standing)
            entries.put(decision.planned)
            entries.changed(decision.planned, "run refused" if decision.refusal else "run begun", decision.refusal)
        return _done(decision)

    def change(self, planned: PlannedRun, change: RunChange) -> PlannedRun:
        """Store what a run becomes."""
        with self._writing() as entries:
            current = run_queries.run_of(entries.rows, planned.plan.plan_id)
            changed = run_changes.changed(current, planned, change)
            entries.put(changed)
            entries.stepped(changed, change)
        return changed

    def reject(self, plan_id: str, by: str, at: datetime, note: str = "") -> PlannedRun:
        """End a plan by a person's no."""
        with self._writing() as entries:
            current = run_queries.run_of(entries.rows, plan_id)
            decision = run_changes.rejected(current, by, at, note)
            if not decision.refusal:
                entries.put(decision.planned)
                entries.changed(decision.planned, "plan rejected", note)
        return _done(decision)

    def answer(self, plan_id: str, answer: Answer) -> PlannedRun:
        """Store a person's answer to what a run asks."""
        with self._writing() as entries:
            current = run_queries.run_of(entries.rows, plan_id)
            change = run_changes.after_answer(current, answer)
            planned = run_changes.changed(current, current, change)
            entries.put(planned)
            entries.stepped(planned, change)
        return planned

    def standing(self, plan: Plan) -> Standing:
        """Return what the plan's runbook has earned on its service."""
        return self._store.reading(lambda rows: self._standing(rows, plan))

    def standings(self) -> Sequence[Standing]:
        """Return what each runbook has earned on each service."""
        return self._store.reading(lambda rows: standings_of(run_queries.ended_runs(rows), run_queries.holds(rows)))

    def hold(self, hold: Hold, held: bool) -> None:
        """Hold a runbook back on a service, or no longer."""
        names = {"runbook": key_text(hold.runbook), "service": key_text(hold.service)}
        columns = AUTOMATION_HOLDS.c
        with self._writing() as entries:
            if held:
                entries.rows.upsert(AUTOMATION_HOLDS, [{**names, "document": text_of(hold)}])
            else:
                same = (columns.runbook == names["runbook"]) & (columns.service == names["service"])
                entries.rows.execute(delete(AUTOMATION_HOLDS).where(entries.rows.own(AUTOMATION_HOLDS), same))
            entries.held(hold, held)

    def get(self, plan_id: str) -> PlannedRun:
        """Return a plan with its run, named by its id or a unique beginning of it."""
        return self._store.reading(lambda rows: run_queries.run_of(rows, plan_id))

    def open_runs(self) -> Sequence[PlannedRun]:
        """Return all that have not ended, the oldest first."""
        return self._store.reading(run_queries.open_runs)

    def runs(self, run_filter: RunFilter, request: PageRequest) -> Page[PlannedRun]:
        """Return plans with their runs, the last made first.

        Raises:
            ContractError: the cursor is not one that a page gave.
        """
        return self._store.reading(lambda rows: run_queries.page_of_runs(rows, run_filter, request))

    def bounds(self, plan: Plan, at: datetime) -> Bounds:
        """Return what would count if the plan began now."""
        rules = self._rules
        begun = self._store.reading(lambda rows: run_queries.begun_since(rows, since_of(plan, at)))
        return Bounds(at, begun, rules.limits, rules.application(plan.services))

    def switch(self) -> Switch:
        """Return whether anything may be begun; off where it cannot be read."""
        try:
            return self._store.reading(run_queries.switch)
        except AiopsError as error:
            return Switch(False, note=f"it cannot be read: {error}")

    def turn(self, switch: Switch) -> None:
        """Turn the switch."""
        turned = run_changes.turned(switch)
        with self._writing() as entries:
            entries.rows.upsert(AUTOMATION_SWITCH, [{"document": text_of(turned)}])
            entries.turned(turned)

    @contextmanager
    def _writing(self) -> Iterator[LedgerEntries]:
        with self._store.writing() as writer:
            yield LedgerEntries(writer, self._rules.notices)

    def _approval(self, rows: TenantConnection, current: PlannedRun, approval: Approval, role: str) -> Decision:
        switch = run_queries.switch(rows)
        if approval.earned:
            return run_changes.approved_by_standing(current, approval, self._standing(rows, current.plan), switch)
        return run_changes.approved(current, approval, role, switch)

    @staticmethod
    def _standing(rows: TenantConnection, plan: Plan) -> Standing:
        service = plan.subject.service
        ended = run_queries.ended_runs(rows, plan.runbook, service)
        return standing_of(plan, ended, run_queries.hold_on(rows, plan.runbook, service))


def _done(decision: Decision) -> PlannedRun:
    """Return the run, or raise the refusal, which is stored."""
    if decision.refusal:
        raise run_changes.refused(decision.planned, decision.refusal)
    return decision.planned


def _refusal_of_link(rows: TenantConnection, link: LinkUse, at: datetime) -> str:
    if run_queries.link_is_used(rows, link.link_id):
        return "the link was used; it holds once"
    return "" if at < link.expires_at else "the link has expired; look at the plan in the console or with `aiops plans show`"
