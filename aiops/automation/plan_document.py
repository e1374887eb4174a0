"""Plans as plain data, as JSON can hold them, and back: what a plan was made of stays as it was read."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
from pydantic import BaseModel, ValidationError

from aiops.automation.action import PlannedStep, Risk
from aiops.automation.plan import NeedCheck, Plan, PlanSubject, RunTerms
from aiops.automation.runbook import Approve, Earn, Escalate, Limits, Verify
from aiops.errors import StateError


def plain_plan(plan: Plan) -> dict[str, Any]:
    """Return a plan as plain data."""
    plain: dict[str, Any] = msgspec.to_builtins(plan, enc_hook=_plain_model)
    return plain


def plan_of_plain(fields: Mapping[str, Any]) -> Plan:
    """Return the plan of plain data.

    Raises:
        StateError: the data is none, or of another version.
    """
    try:
        parts = {
            "subject": msgspec.convert(fields["subject"], PlanSubject, strict=False),
            "needs": msgspec.convert(fields["needs"], tuple[NeedCheck, ...]),
            "steps": tuple(_step(step) for step in fields["steps"]),
            "terms": _terms(fields["terms"]),
            "reach": tuple(fields["reach"]),
            "made_at": msgspec.convert(fields["made_at"], datetime, strict=False),
        }
        return Plan(**{**fields, **parts})
    except (KeyError, TypeError, ValueError, msgspec.MsgspecError, ValidationError) as error:
        raise StateError(f"run log: a plan cannot be read ({error}); restore the database from a backup") from error


def _step(fields: Mapping[str, Any]) -> PlannedStep:
    return PlannedStep(**{**fields, "risk": Risk(fields["risk"])})


def _terms(fields: Mapping[str, Any]) -> RunTerms:
    earn = fields["earn"]
    return RunTerms(
        Limits.model_validate(fields["limits"]),
        Verify.model_validate(fields["verify"]),
        Approve.model_validate(fields["approve"]),
        None if earn is None else Earn.model_validate(earn),
        Escalate.model_validate(fields["escalate"]),
    )


def _plain_model(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    raise NotImplementedError(f"{type(value).__name__} has no place in a plan")
