"""What one transaction of the run log writes: rows, lines of the audit log, events for those who watch, notifications."""

from collections.abc import Mapping
from typing import Any, Final

from aiops.automation.earning import Hold
from aiops.automation.run import SUITE, Approval, RunState
from aiops.automation.run_changes import Decision
from aiops.automation.run_ledger import PlannedRun, RunChange, Switch
from serving.automation.ledger import run_queries
from serving.automation.ledger.run_records import PlanNotices
from serving.automation.ledger.run_rows import run_row
from serving.incidents.store.automation_tables import AUTOMATION_RUNS
from serving.incidents.store.incident_rows import without_nul
from serving.incidents.store.store_writer import StoreWriter
from serving.incidents.store.tenant_connection import TenantConnection

MOST_DETAIL: Final = 500
"""Characters of a text in the audit log and in events."""


class LedgerEntries:
    """Writes in an open transaction. Not thread-safe."""

    def __init__(self, writer: StoreWriter, notices: PlanNotices) -> None:
        self._writer = writer
        self._notices = notices
        self.rows: Final[TenantConnection] = writer.rows

    def put(self, planned: PlannedRun) -> None:
        """Store a plan with its run as it is."""
        self.rows.upsert(AUTOMATION_RUNS, [run_row(planned)])
        if planned.run.state is not RunState.WAITING:
            self._writer.cancel_waiting(planned.plan.subject.incident_id, planned.plan.plan_id, planned.run.changed_at)

    def decided(self, current: PlannedRun, decision: Decision, approval: Approval) -> None:
        """Store what an approval, or its refusal, has made of a run."""
        if decision.planned != current:
            self.put(decision.planned)
        if not decision.refusal:
            self.changed(decision.planned, "plan approved", approval.note)
            return
        if approval.earned:  # nobody has tried anything; now it waits for a person
            if decision.planned.run.state is RunState.WAITING:
                self.notify_waiting(decision.planned)
            return
        detail = {**_detail(decision.planned), "why": decision.refusal[:MOST_DETAIL]}
        self._writer.audit(approval.at, approval.by[:MOST_DETAIL] or "nobody", "approval refused", current.plan.plan_id, detail)
        if decision.planned != current:
            self._event(decision.planned)

    def changed(self, planned: PlannedRun, what: str, note: str = "") -> None:
        """Note in the audit log what became of a run, and let those who watch know."""
        by = planned.run.events[-1].by if planned.run.events else SUITE
        self._audit(planned, by, what, {"note": note[:MOST_DETAIL]} if note else {})
        self._event(planned)

    def stepped(self, planned: PlannedRun, change: RunChange) -> None:
        """Note what a run did; each step that changed is a part of the line."""
        steps = [
            {"number": step.number, "state": str(step.state), "tries": step.tries, "note": step.note[:MOST_DETAIL]}
            for step in change.steps
        ]
        detail = {"what": change.what[:MOST_DETAIL], **({"steps": steps} if steps else {})}
        self._audit(planned, change.by, f"run {planned.run.state}", detail)
        self._event(planned)

    def notify_waiting(self, planned: PlannedRun) -> None:
        """Notify people of a plan that waits for one of them; once, however often it is called."""
        case = run_queries.case_of(self.rows, planned.plan.subject.incident_id)
        self._writer.enqueue(self._notices.waiting(planned, None if case is None else case.incident))

    def held(self, hold: Hold, held: bool) -> None:
        """Note that people hold a runbook back, or no longer."""
        detail = {"runbook": hold.runbook[:MOST_DETAIL], "service": hold.service[:MOST_DETAIL], "note": hold.note[:MOST_DETAIL]}
        what = "runbook held back" if held else "runbook no longer held back"
        self._writer.audit(hold.at, hold.by, what, hold.runbook[:MOST_DETAIL], detail)
        self._writer.event(hold.at, "automation_hold", "", {**detail, "held": held})

    def turned(self, switch: Switch) -> None:
        """Note that the switch was turned."""
        assert switch.changed_at is not None
        detail = {"on": switch.on, "remainder": str(switch.remainder), "note": switch.note[:MOST_DETAIL]}
        what = f"automation switched {'on' if switch.on else 'off'}"
        self._writer.audit(switch.changed_at, switch.by, what, "automation", detail)
        self._writer.event(switch.changed_at, "automation_switch", "", {**detail, "by": switch.by[:MOST_DETAIL]})

    def _audit(self, planned: PlannedRun, by: str, what: str, detail: Mapping[str, Any]) -> None:
        at = planned.run.changed_at
        self._writer.audit(at, by[:MOST_DETAIL], what, planned.plan.plan_id, {**_detail(planned), **detail})

    def _event(self, planned: PlannedRun) -> None:
        run, plan = planned.run, planned.plan
        line = run.events[-1].what if run.events else ""
        data = {**_detail(planned), "plan_id": plan.plan_id, "title": plan.title, "what": line[:MOST_DETAIL]}
        incident_id = without_nul(plan.subject.incident_id)
        self._writer.event(run.changed_at, f"run_{run.state}", incident_id, data)


def _detail(planned: PlannedRun) -> dict[str, Any]:
    plan = planned.plan
    services = [service[:MOST_DETAIL] for service in plan.services[:20]]
    return {
        "runbook": plan.runbook,
        "incident_id": plan.subject.incident_id[:MOST_DETAIL],
        "services": services,
        "fingerprint": plan.fingerprint,
        "revision": planned.revision,
        "state": str(planned.run.state),
    }
