"""Queries of the run log: one plan, lists, what counts for bounds and for standings. All within one transaction."""

import re
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, and_, or_, select

from aiops.automation.earning import EndedRun, Hold
from aiops.automation.limits import BegunRun
from aiops.automation.plan import Plan
from aiops.automation.run_changes import begun_run_of, expired, only_name
from aiops.automation.run_ledger import PlannedRun, Switch
from aiops.errors import ContractError
from data_contracts.values.moments import microseconds_of
from serving.automation.ledger.run_records import RunFilter
from serving.automation.ledger.run_rows import ended_of, hold_of, planned_run_of, switch_of
from serving.incidents.store import incident_queries
from serving.incidents.store.automation_tables import AUTOMATION_HOLDS, AUTOMATION_LINKS, AUTOMATION_RUNS, AUTOMATION_SWITCH
from serving.incidents.store.incident_rows import key_text
from serving.incidents.store.paging import page_of
from serving.incidents.store.records import IncidentCase, Page, PageRequest
from serving.incidents.store.tenant_connection import TenantConnection

MOST_OPEN: Final = 1000
"""Plans that have not ended and are returned at once, the oldest first."""
MOST_ENDED: Final = 10_000
"""Newest runs that count for standings."""
_NAMES: Final = 5
_PREFIX: Final = re.compile(r"[A-Za-z0-9._:-]{1,80}")
_COLUMNS: Final = AUTOMATION_RUNS.c


def run_of(connection: TenantConnection, plan_id: str) -> PlannedRun:
    """Return a plan with its run, named by its id or a unique beginning of it.

    Raises:
        ContractError: none, or several, are named so.
    """
    if not _PREFIX.fullmatch(plan_id):
        raise ContractError(f"plan={plan_id[:80]!r} is not known; list them with `aiops plans`")
    row = connection.first(_own(connection).where(_COLUMNS.run_id == plan_id))
    if row is None:
        names = select(_COLUMNS.run_id).where(connection.own(AUTOMATION_RUNS))
        alike = names.where(_COLUMNS.run_id.startswith(plan_id, autoescape=True)).order_by(_COLUMNS.run_id).limit(_NAMES)
        matches = [name for name in connection.execute(alike).scalars() if name.startswith(plan_id)]
        row = connection.execute(_own(connection).where(_COLUMNS.run_id == only_name(plan_id, matches))).one()
    return planned_run_of(row)


def known_run(connection: TenantConnection, plan_id: str) -> PlannedRun | None:
    """Return the plan with this id, None where there is none."""
    row = connection.first(_own(connection).where(_COLUMNS.run_id == plan_id))
    return None if row is None else planned_run_of(row)


def same_plan(connection: TenantConnection, plan: Plan) -> PlannedRun | None:
    """Return an open plan of the incident with the same fingerprint that is still in time."""
    same = and_(_COLUMNS.incident_id == key_text(plan.subject.incident_id), _COLUMNS.fingerprint == plan.fingerprint)
    rows = connection.execute(_own(connection).where(same, _COLUMNS.ended_us.is_(None)).order_by(_COLUMNS.made_us)).all()
    return next((planned for planned in map(planned_run_of, rows) if expired(planned, plan.made_at) is None), None)


def open_runs(connection: TenantConnection) -> tuple[PlannedRun, ...]:
    """Return the plans that have not ended, the oldest first, at most `MOST_OPEN`."""
    statement = _own(connection).where(_COLUMNS.ended_us.is_(None)).order_by(_COLUMNS.made_us, _COLUMNS.run_id).limit(MOST_OPEN)
    return tuple(planned_run_of(row) for row in connection.execute(statement))


def page_of_runs(connection: TenantConnection, run_filter: RunFilter, request: PageRequest) -> Page[PlannedRun]:
    """Return plans that fit, the last made first.

    Raises:
        ContractError: the cursor is not one that a page gave.
    """
    statement = _own(connection)
    if run_filter.states:
        statement = statement.where(_COLUMNS.state.in_([str(state) for state in run_filter.states]))
    texts = (
        (_COLUMNS.incident_id, run_filter.incident_id),
        (_COLUMNS.runbook, run_filter.runbook),
        (_COLUMNS.service, run_filter.service),
    )
    for column, text in texts:
        if text:
            statement = statement.where(column == key_text(text))
    if run_filter.began:
        statement = statement.where(_COLUMNS.began_us.is_not(None))
    return page_of(connection, statement, (_COLUMNS.made_us, _COLUMNS.run_id), request, planned_run_of)


def begun_since(connection: TenantConnection, since: datetime) -> tuple[BegunRun, ...]:
    """Return the runs that act, or that began or ended after a time."""
    since_us = microseconds_of(since)
    recent = or_(_COLUMNS.ended_us.is_(None), _COLUMNS.ended_us >= since_us, _COLUMNS.began_us >= since_us)
    rows = connection.execute(_own(connection).where(_COLUMNS.began_us.is_not(None), recent))
    return tuple(run for row in rows if (run := begun_run_of(planned_run_of(row))) is not None)


def ended_runs(connection: TenantConnection, runbook: str = "", service: str = "") -> tuple[EndedRun, ...]:
    """Return runs that had begun and ended, the oldest first, of a runbook on a service; at most the newest `MOST_ENDED`."""
    statement = _own(connection).where(_COLUMNS.began_us.is_not(None), _COLUMNS.ended_us.is_not(None))
    if runbook:
        statement = statement.where(_COLUMNS.runbook == key_text(runbook), _COLUMNS.service == key_text(service))
    newest = connection.execute(statement.order_by(_COLUMNS.ended_us.desc(), _COLUMNS.run_id).limit(MOST_ENDED)).all()
    return tuple(ended_of(row) for row in reversed(newest))


def holds(connection: TenantConnection) -> tuple[Hold, ...]:
    """Return what people hold back, by name."""
    query = select(AUTOMATION_HOLDS).where(connection.own(AUTOMATION_HOLDS))
    rows = connection.execute(query.order_by(AUTOMATION_HOLDS.c.runbook, AUTOMATION_HOLDS.c.service))
    return tuple(hold_of(row) for row in rows)


def hold_on(connection: TenantConnection, runbook: str, service: str) -> Hold | None:
    """Return the hold of a runbook on a service, None where there is none."""
    columns = AUTOMATION_HOLDS.c
    same = and_(columns.runbook == key_text(runbook), columns.service == key_text(service))
    row = connection.first(select(AUTOMATION_HOLDS).where(connection.own(AUTOMATION_HOLDS), same))
    return None if row is None else hold_of(row)


def switch(connection: TenantConnection) -> Switch:
    """Return the switch; off where it cannot be read."""
    return switch_of(connection.first(select(AUTOMATION_SWITCH).where(connection.own(AUTOMATION_SWITCH))))


def link_is_used(connection: TenantConnection, link_id: str) -> bool:
    """Return whether a link was used."""
    query = select(AUTOMATION_LINKS.c.link_id).where(connection.own(AUTOMATION_LINKS), AUTOMATION_LINKS.c.link_id == link_id)
    return connection.first(query) is not None


def case_of(connection: TenantConnection, incident_id: str) -> IncidentCase | None:
    """Return the incident of a plan, None where retention has dropped it."""
    try:
        return incident_queries.case(connection, incident_id)
    except ContractError:
        return None


def _own(connection: TenantConnection) -> Select[Any]:
    return select(AUTOMATION_RUNS).where(connection.own(AUTOMATION_RUNS))
