"""Rows of the run log and the plans, runs, holds and switches that they hold."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Row

from aiops.automation.earning import EndedRun, Hold
from aiops.automation.plan_document import plain_plan, plan_of_plain
from aiops.automation.run import Run
from aiops.automation.run_changes import ended_run_of
from aiops.automation.run_ledger import PlannedRun, Switch
from aiops.errors import StateError
from data_contracts.values.moments import microseconds_of
from serving.incidents.store.codec import text_of_numbers, value_of
from serving.incidents.store.incident_rows import key_text

DAMAGED: Final = Switch(False, note="its row in the store cannot be read; turn it anew")


def run_row(planned: PlannedRun) -> dict[str, Any]:
    """Return the columns of a plan with its run."""
    plan, run = planned.plan, planned.run
    return {
        "run_id": plan.plan_id,
        "incident_id": key_text(plan.subject.incident_id),
        "fingerprint": plan.fingerprint,
        "runbook": key_text(plan.runbook),
        "service": key_text(plan.subject.service),
        "state": str(run.state),
        "revision": planned.revision,
        "made_us": microseconds_of(plan.made_at),
        "changed_us": microseconds_of(run.changed_at),
        "began_us": None if run.began_at is None else microseconds_of(run.began_at),
        "ended_us": microseconds_of(run.changed_at) if run.has_ended else None,
        "plan": text_of_numbers(plain_plan(plan)),
        "run": text_of_numbers(run),
    }


def planned_run_of(row: Row[Any]) -> PlannedRun:
    """Return the plan with its run of a row.

    Raises:
        StateError: a document is damaged.
    """
    return PlannedRun(plan_of_plain(_fields(row.plan)), value_of(Run, row.run), row.revision)


def ended_of(row: Row[Any]) -> EndedRun:
    """Return what counts for the standing of its runbook of a run that has ended."""
    return ended_run_of(planned_run_of(row))


def hold_of(row: Row[Any]) -> Hold:
    """Return the hold of a row."""
    return value_of(Hold, row.document)


def switch_of(row: Row[Any] | None) -> Switch:
    """Return the switch of a row; off where it cannot be read, on where it was never turned."""
    if row is None:
        return Switch(True)
    try:
        switch = msgspec.json.decode(row.document, type=Switch)
    except (msgspec.MsgspecError, TypeError, ValueError):
        return DAMAGED
    return switch


def _fields(text: str) -> Mapping[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise StateError(f"run log: a plan cannot be read ({error}); restore the database from a backup") from error
