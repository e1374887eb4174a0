"""Plans for tests: deterministic, their fingerprints are those of their content."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from aiops.automation.action import PlannedStep, Risk
from aiops.automation.plan import NeedCheck, Plan, PlanSubject, RunTerms, fingerprint_of, plan_id_of
from aiops.automation.run import Approval
from aiops.automation.runbook import Approve, Earn, Escalate, Limits, Verify

BEGAN = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
EARNS = Earn(cure_rate=0.8)
OFTEN = Limits(cool_down=0.0, per_hour=1000, per_day=10_000)
ANYBODY = Approve()


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is special about a plan; `services` are acted on, one step each, `incident` it is for."""

    services: tuple[str, ...] = ("cart",)
    runbook: str = "restart"
    incident: str = "inc-1"
    made_at: datetime = BEGAN
    requested_by: str = "suite"
    risk: Risk = Risk.LOW
    undo: str = "starts the old one again"
    replica_share: float = 0.25
    limits: Limits = OFTEN
    approve: Approve = ANYBODY
    earn: Earn | None = None
    holds: bool = True
    state: str = "old"
    target: str = ""


def step_of(wish: Wish, number: int, service: str) -> PlannedStep:
    target = wish.target or f"process/{service}"
    states = {"before": {"generation": wish.state}, "after": {"generation": f"{wish.state}+1"}}
    fixed = {"parameters": {"replicas": 1, "nested": [{"x": None}]}, "difference": f"- {wish.state}\n+ {wish.state}+1", **states}
    return PlannedStep(
        number,
        "process.restart",
        service,
        target,
        risk=wish.risk,
        undo=wish.undo,
        replica_share=wish.replica_share,
        effect="the leak ends",
        **fixed,  # type: ignore[arg-type]
    )


def plan_of(wish: Wish | None = None) -> Plan:
    """Return a plan as a planner makes it."""
    wish = wish or Wish()
    subject = PlanSubject(wish.incident, wish.services[0], "web", BEGAN - timedelta(minutes=5), 0.9)
    steps = tuple(step_of(wish, number, service) for number, service in enumerate(wish.services))
    needs = (NeedCheck("cause.probability > 0.8", wish.holds, "the cause is not sure enough"),)
    fingerprint = fingerprint_of("v1", subject, steps, needs)
    terms = RunTerms(wish.limits, Verify(), wish.approve, wish.earn, Escalate())
    plan_id = plan_id_of(wish.incident, wish.runbook, fingerprint, wish.made_at)
    head = (plan_id, wish.runbook, "v1", "Restart it", subject, wish.made_at, wish.requested_by)
    return Plan(*head, steps, needs, ("web",), "memory falls", terms, fingerprint)


def made_anew(plan: Plan, at: datetime) -> Plan:
    """Return the plan as it is made again just before it acts, where nothing has changed."""
    return replace(plan, plan_id=plan_id_of(plan.subject.incident_id, plan.runbook, plan.fingerprint, at), made_at=at)


def approval_of(plan: Plan, seconds: float = 10.0, by: str = "ann", bound: bool = False) -> Approval:
    return Approval(by, after(seconds), plan.fingerprint, bound=bound)
