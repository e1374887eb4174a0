"""Who may approve a plan, and until when: what speaks against an approval. Names that nobody has checked prove nothing."""

import unicodedata
from datetime import timedelta
from typing import Final

from aiops.automation.run import SUITE, Approval, RunState
from aiops.automation.run_ledger import PlannedRun

MOST_NAME: Final = 200
_RANKS: Final = {"viewer": 1, "operator": 2, "admin": 3}


def same_person(name: str, other: str) -> bool:
    """Return whether two names are written for the same person, whatever their case and width.

    >>> same_person("Ann ", "ann"), same_person("ann", "bob")
    (True, False)
    """
    return _plain(name) == _plain(other)


def approval_refusal(planned: PlannedRun, approval: Approval, role: str) -> str:
    """Return why a person's approval is refused, in words; "" = it is not."""
    plan, state = planned.plan, planned.run.state
    if state is not RunState.WAITING:
        return f"it does not wait for an approval: state={state}"
    if approval.at >= plan.expires_at:
        return f"it has expired at {plan.expires_at:%Y-%m-%d %H:%M:%S} UTC; wait for a new plan"
    if approval.fingerprint != plan.fingerprint:
        return f"fingerprint={approval.fingerprint[:12]!r} is not that of the plan ({plan.fingerprint[:12]}); look at it again"
    if not plan.is_possible:
        return "something that it needs did not hold: " + "; ".join(need.why for need in plan.needs if not need.holds)
    return _refusal_of_person(planned, approval, role)


def _refusal_of_person(planned: PlannedRun, approval: Approval, role: str) -> str:
    approve, requester = planned.plan.terms.approve, planned.plan.requested_by
    if not approval.by.strip() or len(approval.by) > MOST_NAME:
        return f"by={approval.by[:20]!r}: must name who approves, in at most {MOST_NAME} characters"
    if _RANKS.get(role, 0) < _RANKS[approve.role]:
        return f"role={role}: the runbook asks for {approve.role} or more"
    if same_person(approval.by, SUITE):
        return f"by={approval.by}: the suite cannot approve its own plans; a person must"
    if not approve.not_requester:
        return ""
    if same_person(approval.by, requester):
        return f"by={approval.by} has asked for it: the runbook wants another person's approval (approve.not_requester)"
    if not same_person(requester, SUITE) and not approval.bound:
        return (
            "approve.not_requester needs names that are checked: without serving.jwt_key approvals are not bound to persons; "
            "approve over the HTTP API with a token"
        )
    return ""


def stale_approval(planned: PlannedRun, fresh_fingerprint: str) -> str:
    """Return why an approval does not hold for the plan made anew, in words; "" = it does."""
    approval, plan = planned.run.approval, planned.plan
    if approval is None or planned.run.state is not RunState.APPROVED:
        return f"it is not approved: state={planned.run.state}"
    if not approval.fingerprint == plan.fingerprint == fresh_fingerprint:
        return f"what was approved ({approval.fingerprint[:12]}) is not what would be done now ({fresh_fingerprint[:12]})"
    return ""


def approval_lasts(planned: PlannedRun) -> timedelta:
    """Return how long an approval holds before the run must have begun: as long as the plan might have waited for it."""
    return timedelta(seconds=planned.plan.terms.approve.expires)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()
