"""What a runbook says: its form in YAML, as frozen models whose JSON schema is published. Unknown names are refused."""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    SerializationInfo,
    ValidationInfo,
    WithJsonSchema,
)

_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
AS_TEXT: Final = "as_text"
"""Context of validation and serialisation: durations are written with a unit, as in a file."""
NAME: Final = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"


def seconds_of(text: object) -> float:
    """Return the seconds of a duration such as 90s, 5m, 1.5h or 2d.

    Raises:
        ValueError: it is none.

    >>> seconds_of("1.5h")
    5400.0
    """
    match = _DURATION.fullmatch(text.strip()) if isinstance(text, str) else None
    if match is None:
        raise ValueError(f"duration={text!r} must be a number with a unit, such as 90s, 5m, 1.5h or 2d")
    return float(match[1]) * _SECONDS[match[2]]


def _duration(value: object, info: ValidationInfo) -> float:
    of_program = isinstance(value, float) and not _is_text(info.context)
    return value if of_program and isinstance(value, float) else seconds_of(value)


def _written(seconds: float, info: SerializationInfo) -> float | str:
    return f"{Decimal(repr(float(seconds))):f}s" if _is_text(info.context) else seconds


def _is_text(context: object) -> bool:
    return isinstance(context, Mapping) and bool(context.get(AS_TEXT))


Duration = Annotated[
    float,
    Field(ge=0.0, le=30 * 86400.0),
    BeforeValidator(_duration),
    PlainSerializer(_written),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(s|m|h|d)$", "examples": ["90s", "5m"]}),
]
"""Seconds, written with a unit."""
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Expression = Annotated[str, Field(min_length=1, max_length=2000)]
"""CEL; what it may name is in `aiops.automation.fact_names`."""
_BETTER: Final = " && ".join(
    (
        "after.error_excess <= 0.25 * peak.error_excess",
        "after.latency_excess <= 0.25 * peak.latency_excess",
        # Alerts outlast what they are about, and some are of the cure itself, such as more traffic elsewhere.
        "(after.alerts_firing == 0 || peak.error_excess >= 3.0 || peak.latency_excess >= 3.0)",
    )
)
_WORSE: Final = " || ".join(
    (
        "after.error_excess > 1.25 * peak.error_excess",
        "after.latency_excess > 1.25 * peak.latency_excess",
        "after.new_services > 0",
    )
)
AfterVerdict = Literal["close", "undo", "page"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False)


class Target(_Part):
    """Whom it acts on: the probable cause of the incident, the service where it showed, or one by name."""

    service: Annotated[str, Field(pattern=r"^(cause|symptom|name:.+)$")] = Field(
        "cause", description="cause, symptom, or name:SERVICE"
    )


class Need(_Part):
    """Something that must hold when the plan is made and again just before it acts."""

    that: Expression = Field(description="CEL expression that must be true")
    why: str = Field(min_length=1, max_length=300, description="what is wrong where it is not, in words")


class Step(_Part):
    """One action; texts in `with` may hold {service}, {incident} and {cause.*} facts."""

    action: str = Field(pattern=r"^[a-z_]+(\.[a-z_]+)?$", description="kind of action, such as kubernetes.rollback")
    parameters: dict[str, JsonValue] = Field(default_factory=dict, alias="with", description="parameters of the action")
    timeout: Duration = Field(60.0, description="how long one try may take")
    retries: int = Field(0, ge=0, le=5, description="further tries where it surely changed nothing")
    undo: bool = Field(True, description="whether it is taken back when things get worse, where the action can be")


class Limits(_Part):
    """What one run may touch, and how often there may be one."""

    services: int = Field(1, ge=1, le=100, description="services that one run may act on")
    replica_share: Share = Field(0.34, description="share of a service's replicas that may be touched at once")
    per_hour: int = Field(2, ge=1, le=1000, description="runs of this runbook in an hour")
    per_day: int = Field(6, ge=1, le=10_000, description="runs of this runbook in a day")
    cool_down: Duration = Field(900.0, description="least time between two runs on one service")


class Verify(_Part):
    """How it is judged whether it helped. `better` and `worse` are CEL over before.*, peak.* and after.*; neither = unclear."""

    settle: Duration = Field(120.0, description="time that the effect is given before it is looked at")
    window: Duration = Field(300.0, description="how long is looked at")
    better: Expression = _BETTER
    worse: Expression = _WORSE
    on_better: AfterVerdict = "close"
    on_worse: AfterVerdict = "undo"
    on_unclear: AfterVerdict = "page"


class Approve(_Part):
    """Who must say yes."""

    role: Literal["operator", "admin"] = "operator"
    not_requester: bool = Field(False, description="whether another one than who asked for the plan must approve")
    expires: Duration = Field(900.0, description="how long a plan may wait for its approval")


class Earn(_Part):
    """When it may run without approval: lower 95 % bound of its verified cure rate on the service."""

    cure_rate: Annotated[float, Field(ge=0.5, lt=1.0)] = Field(0.8, description=".8 needs 14 cures of 14 runs")


class Escalate(_Part):
    """Whom to page where nobody approves, or a run ends badly."""

    after: Duration = Field(600.0, description="how long a plan waits before somebody else is paged")


class RunbookTest(_Part):
    """What must come of the runbook in a case, on fakes: `aiops runbooks test` runs it."""

    name: str = Field(min_length=1, max_length=100)
    case: Literal["cured", "worse", "changed", "killed", "unclear", "no-match"]
    facts: dict[str, JsonValue] = Field(default_factory=dict, description="facts that differ from those of the example incident")
    expect: Literal["cured", "undone", "refused", "paged", "no-plan"] = "cured"


class Runbook(_Part):
    """One runbook. Its version is the hash of its content."""

    runbook: str = Field(pattern=NAME, description="name, the same for all versions")
    title: str = Field(min_length=1, max_length=200, description="what it does, in words")
    match: Expression = Field(description="CEL over incident.*, cause.* and change.*: when it fits")
    target: Target = Target()
    needs: tuple[Need, ...] = ()
    steps: tuple[Step, ...] = Field(alias="do", min_length=1, max_length=20)
    limits: Limits = Limits()
    verify: Verify = Verify()
    approve: Approve = Approve()
    earn: Earn | None = Field(None, description="absent = a person approves each run")
    escalate: Escalate = Escalate()
    tests: tuple[RunbookTest, ...] = ()
