"""Plans and runs as the API answers them, and making them. Texts below fields are their descriptions in /docs.json."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from aiops.automation.earning import Standing
from aiops.automation.limits import Bounds, limit_refusals, rates_left
from aiops.automation.run import Approval, RunEvent
from aiops.automation.run_ledger import PlannedRun, Switch
from serving.automation.api.question_views import QuestionView, view_of_question


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of a plan, and what has come of it."""

    number: int
    """its number in the plan"""
    action: str
    """kind of action"""
    service: str
    """the service acted on"""
    target: str
    """what is touched"""
    difference: str
    """what changes, from the state that was read into the one it leads to"""
    effect: str
    """what it is expected to bring"""
    undo: str
    """how it is taken back; empty = it cannot be"""
    risk: str
    """low, high or destructive"""
    replica_share: float
    """share of the service's replicas touched at once, 0 to 1"""
    state: str
    """where the step stands"""
    tries: int
    """effects that were intended"""
    note: str
    """what came of it, in words"""


@dataclass(frozen=True, slots=True)
class NeedView:
    """Something that must hold."""

    that: str
    """the condition"""
    holds: bool
    """whether it held when the plan was made"""
    why: str
    """what is wrong where it does not"""


@dataclass(frozen=True, slots=True)
class StandingView:
    """What a runbook has earned on a service."""

    runbook: str
    """name of the runbook"""
    service: str
    """name of the service"""
    actions: tuple[str, ...]
    """kinds of its steps: other steps earn for themselves"""
    cures: int
    """runs that cured it, since it was last undone or unclear"""
    runs: int
    """runs that count"""
    lower: float
    """lower 95 % bound of the rate of cures"""
    refusal: str
    """why it may not run alone, as far as is known; empty = nothing is known against it"""
    demoted_at: datetime | None
    """when it last lost what it had earned; null = never"""
    held_by: str
    """who holds it back; empty = nobody"""
    held_note: str
    """why it is held back"""


@dataclass(frozen=True, slots=True)
class PlanLine:
    """A plan in one line of a list."""

    plan_id: str
    """its id"""
    incident_id: str
    """the incident that it is for"""
    runbook: str
    """name of the runbook"""
    title: str
    """what it does"""
    services: tuple[str, ...]
    """services acted on"""
    state: str
    """where it stands"""
    made_at: datetime
    """when it was planned"""
    expires_at: datetime
    """until when it may be approved"""
    changed_at: datetime
    """when its state changed last"""


@dataclass(frozen=True, slots=True)
class PlanPage:
    """Some plans, the last made first."""

    items: tuple[PlanLine, ...]
    """the plans"""
    next_cursor: str
    """pass it to get the next page; empty = there are no more"""


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan with all that a person needs to decide, and what has become of it."""

    plan: PlanLine
    """the plan in one line"""
    version: str
    """content hash of the runbook"""
    requested_by: str
    """who asked for it"""
    probability: float
    """probability that the service is the cause"""
    steps: tuple[StepView, ...]
    """what it does, in order"""
    needs: tuple[NeedView, ...]
    """what must hold"""
    reach: tuple[str, ...]
    """services that call those acted on, directly or not"""
    expected: str
    """the effect in words"""
    fingerprint: str
    """what is approved: the hash of the plan and of the state it was made from"""
    role: str
    """role that may approve it"""
    not_requester: bool
    """whether another person than who asked must approve"""
    refusals: tuple[str, ...]
    """bounds that speak against it now"""
    runs_left: int
    """runs of this runbook that the rates allow now"""
    standing: StandingView
    """how often the runbook has cured this service"""
    approval: Approval | None
    """who approved it; null = nobody"""
    events: tuple[RunEvent, ...]
    """its log, the oldest first"""
    revision: int
    """grows with each change"""
    question: QuestionView | None
    """what it asks a person now; null = nothing"""


@dataclass(frozen=True, slots=True)
class SwitchView:
    """Whether anything may begin."""

    on: bool
    """false = nothing new begins"""
    remainder: str
    """what becomes of runs that act while it is off: finish, undo or stop"""
    changed_at: datetime | None
    """when it was turned last; null = never, or it cannot be read"""
    by: str
    """who turned it"""
    note: str
    """why"""
    acting: tuple[str, ...]
    """ids of runs that act now"""
    bound: bool
    """whether approvals are bound to persons, by tokens with names; false = names are only typed"""


@dataclass(frozen=True, slots=True)
class StandingList:
    """What runbooks have earned."""

    items: tuple[StandingView, ...]
    """one for each runbook and service"""


def line_of(planned: PlannedRun) -> PlanLine:
    """Return a plan in one line."""
    plan, run = planned.plan, planned.run
    head = (plan.plan_id, plan.subject.incident_id, plan.runbook, plan.title, plan.services, str(run.state))
    return PlanLine(*head, plan.made_at, plan.expires_at, run.changed_at)


def view_of_plan(planned: PlannedRun, standing: Standing, bounds: Bounds) -> PlanView:
    """Return a plan with all that a person needs to decide."""
    plan, run = planned.plan, planned.run
    others = Bounds(
        bounds.at, [begun for begun in bounds.begun if begun.run_id != plan.plan_id], bounds.suite, bounds.application
    )
    return PlanView(
        line_of(planned),
        plan.version,
        plan.requested_by,
        plan.subject.probability,
        _steps(planned),
        tuple(NeedView(need.that, need.holds, need.why) for need in plan.needs),
        plan.reach,
        plan.expected,
        plan.fingerprint,
        plan.terms.approve.role,
        plan.terms.approve.not_requester,
        () if run.has_ended else limit_refusals(plan, others),
        rates_left(plan, bounds),
        view_of_standing(standing),
        run.approval,
        run.events,
        planned.revision,
        view_of_question(planned),
    )


def view_of_standing(standing: Standing) -> StandingView:
    """Return what a runbook has earned."""
    hold = standing.hold
    head = (standing.runbook, standing.service, standing.actions, standing.cures, standing.runs, standing.lower)
    held = ("", "") if hold is None else (hold.by, hold.note)
    return StandingView(*head, standing.refusal, standing.demoted_at, *held)


def view_of_switch(switch: Switch, acting: Sequence[PlannedRun], bound: bool) -> SwitchView:
    """Return the switch with the runs that it finds."""
    ids = tuple(planned.plan.plan_id for planned in acting)
    return SwitchView(switch.on, str(switch.remainder), switch.changed_at, switch.by, switch.note, ids, bound)


def _steps(planned: PlannedRun) -> tuple[StepView, ...]:
    runs = {step.number: step for step in planned.run.steps}
    return tuple(
        StepView(
            step.number,
            step.action,
            step.service,
            step.target,
            step.difference,
            step.effect,
            step.undo,
            str(step.risk),
            step.replica_share,
            str(runs[step.number].state),
            runs[step.number].tries,
            runs[step.number].note,
        )
        for step in planned.plan.steps
    )
